"""Beampipe's clusters beside dask-jobqueue's, on real batch systems that this script starts.

    sudo tests/farms/install.sh
    sudo .venv/bin/python benchmarks/farms.py [--only start killed] [--systems slurm] [--rounds 5]

Both are told the same stories (`farm_stories.py`) in turns, each round begun by the other one.
dask-jobqueue gets a venv of its own, with the same Dask; both environments are compiled first.
Prints the tables of docs/explanation/farms-beside-dask-jobqueue.md; ``--json`` is what they are
made of.
"""

import argparse
import datetime as dt
import json
import os
import platform
import pwd
import statistics
import subprocess
import sys
import tempfile
import uuid
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from tests.farms import htcondor, sge, slurm  # noqa: E402

SYSTEMS = {"slurm": slurm, "htcondor": htcondor, "sge": sge}
TITLES = {"slurm": "Slurm", "htcondor": "HTCondor", "sge": "Grid Engine"}
STORIES = {
    "killed": "a job is cancelled behind our back",
    "scale_down": "4 workers to 1, with 40 results in memory",
    "refused": "the queue does not take the job",
    "adaptive": "`adapt(0, 2)`: work, then none",
    "crowded": "14 jobs asked for, fewer fit, then `scale(4)`",
    "walltime": "jobs of one minute, two minutes of work",
}
CONTESTANTS = ("beampipe", "dask-jobqueue")
JOBQUEUE = "dask-jobqueue==0.9.0"
# Not in /tmp or /var/tmp: HTCondor gives each job empty ones of its own.
VENV = Path("/var/lib/beampipe-farms/dask-jobqueue")
GIVE_UP_S = 400


def make_venv():
    """A venv with dask-jobqueue and the Dask that we have; its Python."""
    python = VENV / "bin" / "python"
    if not (VENV / "ready").exists():
        VENV.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        same = [f"{name}=={version(name)}" for name in ("dask", "distributed")]
        pip = [str(python), "-m", "pip", "install", "--quiet", JOBQUEUE, *same]
        subprocess.run(pip, check=True)
        (VENV / "ready").touch()
    return python


def compile_all(python):
    """Compile all that an environment imports, as a machine does that may write bytecode."""
    show = "import sysconfig; print(sysconfig.get_path('purelib'))"
    asked = subprocess.run([str(python), "-c", show], check=True, capture_output=True, text=True)
    places = [asked.stdout.strip(), str(HERE.parent / "src")]
    # Some packages carry files that no Python can compile.
    subprocess.run([str(python), "-m", "compileall", "-qq", "-j", "2", *places], check=False)


def tell(farm, contestant, story, python):
    """What a contestant tells of a story, as the farm's user in a new folder."""
    folder = farm.shared / f"told-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    os.chown(folder, *pwd.getpwnam(farm.user)[2:4])
    program = [str(python), str(HERE / "farm_stories.py"), contestant, story, farm.system]
    limit = ["timeout", f"{GIVE_UP_S}"]
    done = subprocess.run(
        farm.as_user(*limit, *program, farm.nodes.host),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd=folder,
        env=farm.user_environment(),
    )  # fmt: skip
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-4000:], file=sys.stderr)
        return {"outcome": f"failed: exit code {done.returncode}", "versions": {}}
    return json.loads(done.stdout.splitlines()[-1])


def play(system, options, pythons):
    """All stories on one system."""
    told = {"starts": {each: [] for each in CONTESTANTS}, "stories": {}, "versions": {}}
    with tempfile.TemporaryDirectory(prefix="bpf-", ignore_cleanup_errors=True) as folder:
        farm = SYSTEMS[system].start(Path(folder))
        try:
            if "start" in options.only:
                for number in range(options.rounds + 1):
                    for each in CONTESTANTS[:: 1 if number % 2 else -1]:
                        found = tell(farm, each, "start", pythons[each])
                        told["versions"] |= found["versions"]
                        if number:  # the first one warms caches
                            told["starts"][each].append(found["outcome"])
                        print(f"# {system} {each} start: {found['outcome']}", file=sys.stderr)
            for story in [each for each in STORIES if each in options.only]:
                for each in CONTESTANTS:
                    found = tell(farm, each, story, pythons[each])
                    told["stories"].setdefault(story, {})[each] = found["outcome"]
                    told["versions"] |= found["versions"]
                    print(f"# {system} {each} {story}: {found['outcome']}", file=sys.stderr)
        finally:
            SYSTEMS[system].stop(farm)
    return told


def describe_times(seconds):
    times = sorted(each for each in seconds if isinstance(each, float))
    if len(times) < len(seconds) or not times:
        return "failed"
    return f"{statistics.median(times):.1f} s ({times[0]:.1f} to {times[-1]:.1f})"


def write_tables(record):
    """The page's tables."""
    lines = [
        f"Measured on {record['date']}, {record['machine']}, load {record['load']:.1f} before; "
        + ", ".join(f"{name} {text}" for name, text in sorted(record["versions"].items()))
        + ".",
        "",
    ]
    told = record["systems"]
    if any(each["starts"]["beampipe"] for each in told.values()):
        lines += ["| opening to first worker | Beampipe | dask-jobqueue |", "|---|---|---|"]
        for system, each in told.items():
            cells = [describe_times(each["starts"][name]) for name in CONTESTANTS]
            lines.append(f"| {TITLES[system]} | {' | '.join(cells)} |")
        lines.append("")
    for system, each in told.items():
        if each["stories"]:
            lines += [f"| {TITLES[system]} | Beampipe | dask-jobqueue |", "|---|---|---|"]
        for story, outcomes in each["stories"].items():
            cells = [outcomes[name].replace("|", "\\|") for name in CONTESTANTS]
            lines.append(f"| {STORIES[story]} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument(
        "--only", nargs="+", choices=["start", *STORIES], default=["start", *STORIES]
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    pythons = {"beampipe": Path(sys.executable), "dask-jobqueue": make_venv()}
    for python in pythons.values():
        compile_all(python)
    record = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        "load": os.getloadavg()[0],
    }
    record["systems"] = {each: play(each, options, pythons) for each in options.systems}
    record["versions"] = {}
    for each in record["systems"].values():
        record["versions"] |= each["versions"]
    print(json.dumps(record, indent=1) if options.json else write_tables(record))


if __name__ == "__main__":
    main()
