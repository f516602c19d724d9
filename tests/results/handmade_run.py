"""Run directories written by hand, as docs/reference/run-format.md describes them."""

import hashlib
import io
import json
import zipfile

RUN_ID = "0f1e2d3c4b5a6978"
UUIDS = [f"aaaaaaaa-0000-1111-2222-{i:012d}" for i in range(4)]
HOSTILE = "Z → µµ 'x' \"q\""
COLUMNS = [
    "urls",
    "treename",
    "uuid",
    "entries",
    "size_bytes",
    "kind",
    "n_chunks",
    "used_chunks",
    "stop",
    "steps",
]


def file_row(number, entries=100, n=4, *, used=None, stop=None, steps=None):
    used = n if used is None else used
    stop = entries if stop is None else stop
    return [["/d/µ.root"], "Events", UUIDS[number], entries, None, "TTree", n, used, stop, steps]


def plan_of(**datasets):
    """A plan; a dataset is a list of file rows, or of those and a number of uncounted files."""
    error = {"code": "dataset-not-root", "message": "m", "why": "", "fix": ""}
    return {
        "format": "beampipe-plan",
        "version": 1,
        "chunksize": 25,
        "columns": COLUMNS,
        "datasets": [
            {
                "name": HOSTILE if name == "Z" else name,
                "metadata": {},
                "files": [row for row in rows if not isinstance(row, int)],
                "uncounted": [{"urls": ["/x"], "error": error}]
                * sum(n for n in rows if isinstance(n, int)),
            }
            for name, rows in datasets.items()
        ],
    }


def digest_of(plan):
    lines = []
    for dataset in plan["datasets"]:
        lines.append(["dataset", dataset["name"]])
        lines += [[row[2], row[1], row[3], *row[6:10]] for row in dataset["files"]]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    return hashlib.sha256(b"beampipe-plan 1\n" + text.encode()).hexdigest()


def done(number, k, start, stop, n=4):
    return [UUIDS[number], k, n, start, stop]


def failure(number, k, start, stop, n=4):
    place = {"uuid": UUIDS[number], "k": k, "n": n, "start": start, "stop": stop}
    return {
        **place,
        "url": "/d/µ.root",
        "code": "processor-failed",
        "error_type": "ValueError",
        "message": "no",
        "traceback": "",
        "worker": "w",
        "host": "h",
        "attempt": 1,
    }


def manifest_of(number, dataset, done_rows, failed=(), **changes):
    return {
        "format": "beampipe-segment",
        "version": 1,
        "run_id": RUN_ID,
        "segment": number,
        "dataset": HOSTILE if dataset == "Z" else dataset,
        "done": list(done_rows),
        "failed": list(failed),
        "metrics": {},
        **changes,
    }


def segment_bytes(manifest, members=None):
    """A segment with the checksums of its members, unless the manifest brings its own."""
    if members is None:
        members = {"value/value.json": b'{"format":"beampipe-value","version":1,"value":7}'}
    sha256 = {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
        archive.writestr(
            zipfile.ZipInfo("manifest.json"), json.dumps({"sha256": sha256, **manifest})
        )
    return stream.getvalue()


class HandmadeRun:
    """Builds a run directory step by step."""

    def __init__(self, path, plan):
        self.path = path
        (path / "claims").mkdir(parents=True)
        (path / "segments").mkdir()
        self.write("plan.json", plan)
        self.plan = plan
        self.write(
            "run.json",
            {
                "format": "beampipe-run",
                "version": 1,
                "beampipe": "0.1",
                "run_id": RUN_ID,
                "name": HOSTILE,
                "provenance": {"plan_sha256": digest_of(plan)},
            },
        )

    def write(self, name, data):
        (self.path / name).write_text(json.dumps(data), encoding="utf-8")

    def claim(self, number, driver="d"):
        self.write(f"claims/{number:06d}", {"host": "h", "pid": 1, "driver": driver, "time": 1.0})

    def segment_path(self, number):
        return self.path / "segments" / f"{number:06d}.zip"

    def commit(self, number, dataset, done_rows, failed=(), *, members=None, **changes):
        self.claim(number)
        manifest = manifest_of(number, dataset, done_rows, failed, **changes)
        self.segment_path(number).write_bytes(segment_bytes(manifest, members))
        return self

    def end(self, status, **accounting):
        """Write outcome.json; per dataset nine numbers in the order of the accounting."""
        names = (
            "files",
            "files_uncounted",
            "events_planned",
            "events_processed",
            "events_failed",
            "events_not_reached",
            "chunks_planned",
            "chunks_processed",
            "chunks_failed",
        )
        entries = [
            {
                "name": HOSTILE if name == "Z" else name,
                **dict(zip(names, numbers, strict=True)),
                "chunks_reused": 0,
            }
            for name, numbers in accounting.items()
        ]
        self.write("outcome.json", {"status": status, "driver": "d", "accounting": entries})
        return self
