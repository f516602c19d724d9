"""What a worker with another version of a package does to a run: tried, one by one.

    python -m benchmarks.mismatches --page docs/reference/version-gate.md

For each row an environment is made (build/mismatches/, with `uv`) that is this one but for one
package. A worker of it does the dimuon analysis with the version gate off; what comes back is
compared with what this process computes itself.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
from distributed import Client, LocalCluster

import beampipe as bp

PROJECT = Path(__file__).parents[1]
FOLDER = PROJECT / "build" / "mismatches"
BEGIN, END = "<!-- mismatches: begin -->", "<!-- mismatches: end -->"
# What is put in place of what; an empty version takes the package away.
WARM = "import numba, hist, beampipe.runs.run, beampipe.reading.reader, coffea.nanoevents"
ROWS = {
    "nothing": {},
    "dask, distributed": {"dask": "2026.3.0", "distributed": "2026.3.0"},
    "dask, distributed (a year)": {"dask": "2025.9.1", "distributed": "2025.9.1"},
    "dask, distributed (two years)": {"dask": "2024.9.1", "distributed": "2024.9.1"},
    "msgpack": {"msgpack": "1.0.8"},
    "cloudpickle": {"cloudpickle": "3.0.0"},
    "cloudpickle (old)": {"cloudpickle": "2.2.1"},
    "tornado": {"tornado": "6.4.1"},
    "numpy": {"numpy": "2.0.2"},
    "numpy 1": {"numpy": "1.26.4"},
    "awkward": {"awkward": "2.8.2", "awkward-cpp": "45"},
    "uproot": {"uproot": "5.6.0"},
    "coffea": {"coffea": "2026.7.0"},
    "coffea (half a year)": {"coffea": "2026.5.0"},
    "coffea (a year)": {"coffea": "2025.12.0"},
    "coffea not there": {"coffea": ""},
    "hist": {"hist": "2.11.0"},
    "hist (old)": {"hist": "2.9.2"},
    "hist (older)": {"hist": "2.8.1"},
    "boost-histogram": {"boost-histogram": "1.5.0"},
    "numba": {"numba": "0.65.1", "llvmlite": "0.47.0"},
    "numba (old)": {"numba": "0.61.2", "llvmlite": "0.44.0", "numpy": "2.2.6"},
    "numba not there": {"numba": ""},
    "dask-gateway": {"dask-gateway": "2025.4.0"},
    "python 3.12": {"python": "3.12"},
    "python 3.13": {"python": "3.13"},
    "beampipe not there": {"beampipe": ""},
}
# Only what a user of theirs asks for: `beampipe` itself does not need them.
EXTRAS = {"dask-gateway"}
_PATIENCE_S = 180


def say(text):
    print(text, file=sys.stderr, flush=True)


def uv(*argv):
    program = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    done = subprocess.run([program, *argv], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])


def make_environment(name, changes):
    """An environment like this one, but for the changes."""
    place = FOLDER / "".join(sign if sign.isalnum() else "-" for sign in name)
    python = place / "bin" / "python"
    if (place / "made").exists():
        return python
    shutil.rmtree(place, ignore_errors=True)
    uv("venv", "--python", find_python(changes.get("python")), str(place))
    given = {name: text for name, text in changes.items() if text and name != "python"}
    pins = [
        line
        for line in (PROJECT / "constraints.txt").read_text().splitlines()
        if line.partition("==")[0] not in given
    ]
    with tempfile.TemporaryDirectory() as folder:
        # All are overrides: what a package of the past says of others is what is to be tried.
        overrides = Path(folder) / "overrides.txt"
        overrides.write_text(
            "\n".join([*pins, *(f"{name}=={text}" for name, text in given.items())])
        )
        uv(
            *("pip", "install", "--quiet", "--python", str(python)),
            *("--override", str(overrides), "-e", str(PROJECT), *sorted(EXTRAS & given.keys())),
        )
    for package in changes.keys() - given.keys() - {"python"}:
        uv("pip", "uninstall", "--quiet", "--python", str(python), package)
    # Compiles what is imported: else the first worker would take a minute.
    subprocess.run([python, "-c", WARM], check=False, capture_output=True)
    (place / "made").touch()
    return python


def find_python(version):
    """The interpreter of another minor version; this one, if none is asked for."""
    if version is None:
        return sys.executable
    homes = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    found = str(homes[-1]) if homes else shutil.which(f"python{version}")
    if found is None:
        raise RuntimeError(f"there is no Python {version}")
    return found


def versions_of(python, packages):
    code = (
        "import sys, importlib.metadata as m\n"
        "for p in sys.argv[1:]:\n"
        "    try: print(p, sys.version.split()[0] if p == 'python' else m.version(p))\n"
        "    except m.PackageNotFoundError: print(p, 'none')"
    )
    shown = [package for package in packages if package not in {"awkward-cpp", "llvmlite"}]
    done = subprocess.run([python, "-c", code, *shown], capture_output=True, text=True, check=True)
    return ", ".join(done.stdout.split("\n")[:-1])


def try_run(python, data, expected):
    """What a run on one worker of that environment gives, in words."""
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(n_workers=0, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        log = Path(folder) / "worker.log"
        command = [
            "-m",
            "distributed.cli.dask_worker",
            cluster.scheduler_address,
            "--nthreads",
            "1",
        ]
        with log.open("w") as output:
            worker = subprocess.Popen(
                [python, *command, "--no-dashboard", "--local-directory", folder],
                stdout=output, stderr=output, cwd=folder,
            )  # fmt: skip
            try:
                client.wait_for_workers(1, timeout=_PATIENCE_S)
                return _outcome(client, data, expected, Path(folder) / "run")
            except TimeoutError:
                lines = [line for line in log.read_text().splitlines() if "Error" in line]
                return f"no worker: {lines[-1] if lines else 'no word'}"
            finally:
                worker.kill()  # one that hangs hears nothing else
                worker.wait(60)


def _outcome(client, data, expected, run_dir):
    found = []

    def run():
        try:
            result = bp.run(
                f"{PROJECT}/examples/dimuon.py:process", str(data),
                client=client, run_dir=run_dir, progress=False, fresh=True, chunksize=10_000,
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 (it is what is looked for)
            text = str(error).splitlines()[0].replace("The run was stopped by ", "")
            found.append(f"it stopped: {text.partition('] ')[2][:150] or text[:150]}")
            return
        equal = all(_is_same(expected[name], result.output[name]) for name in expected)
        found.append("the same result" if equal else "**another result**")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_PATIENCE_S)
    return found[0] if found else f"nothing within {_PATIENCE_S} s"


def _is_same(one, other):
    return bool(
        np.array_equal(one.values(), other.values()) if hasattr(one, "axes") else one == other
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=ROWS, default=[*ROWS])
    parser.add_argument("--page", type=Path, help="write the table into this page")
    arguments = parser.parse_args()
    os.environ["BEAMPIPE_VERSION_GATE"] = "off"
    FOLDER.mkdir(parents=True, exist_ok=True)
    data = FOLDER / "data"
    if not data.exists():
        bp.make_data(data, events=40_000)
    expected = bp.run(
        f"{PROJECT}/examples/dimuon.py:process", str(data),
        workers=0, progress=False, fresh=True, run_dir=Path(tempfile.mkdtemp()) / "run",
    ).output  # fmt: skip
    rows = []
    for name in arguments.only:
        packages = [*ROWS[name]]
        try:
            python = make_environment(name, ROWS[name])
        except RuntimeError as error:
            say(f"{name}: cannot be installed: {error}")
            continue
        here, there = versions_of(sys.executable, packages), versions_of(python, packages)
        row = (here or "all of it", there or "the same")
        rows.append((*row, try_run(python, data, expected)))
        say(f"{name}: {rows[-1]}")
    lines = ["| here | on the worker | what came of it |", "|---|---|---|"]
    table = "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
    print(table)
    if arguments.page:
        text = arguments.page.read_text()
        head, tail = text.partition(BEGIN)[0], text.partition(END)[2]
        arguments.page.write_text(f"{head}{BEGIN}\n{table}\n{END}{tail}")


if __name__ == "__main__":
    main()
