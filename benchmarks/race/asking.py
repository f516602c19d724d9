"""Asking contestants: their processes, started when they are first needed."""

import contextlib
import json
import subprocess
import sys

from benchmarks.race.places import BENCH, PROJECT, ROOT_ENVIRONMENT, environment

from beampipe.settings import KEYS

RDATAFRAME = PROJECT / "benchmarks" / "race" / "rdataframe.py"


class StandError(Exception):
    """A contestant could not do what it was asked."""


def make_root_environment(say):
    """Install ROOT in an environment of its own; gives what stands in the way, or nothing."""
    python = ROOT_ENVIRONMENT / "bin" / "python"
    stamp = ROOT_ENVIRONMENT / ".stamp"
    if stamp.exists():
        return ""
    say("installing ROOT in build/bench/root (once, 200 MB)")
    uv = PROJECT / ".venv" / "bin" / "uv"
    maker, installer = [sys.executable, "-m", "venv", ROOT_ENVIRONMENT], [python, "-m", "pip"]
    if uv.exists():
        maker = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, ROOT_ENVIRONMENT]
        installer = [uv, "pip"]
    packages = ["install", "--quiet", "--pre", "root", "numpy"]
    place = ["--python", python] if uv.exists() else []
    for command in (maker, [*installer, packages[0], *place, *packages[1:]]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["pip failed"])[-1]
    check = subprocess.run([python, "-c", "import ROOT"], capture_output=True, check=False)
    if check.returncode:
        return "it does not import"
    stamp.touch()
    return ""


class Stands:
    """All processes of contestants. Use it in a `with` block: they end with it."""

    def __init__(self):
        self._running = {}
        self._stack = contextlib.ExitStack()
        self._log = None

    def __enter__(self):
        BENCH.mkdir(parents=True, exist_ok=True)
        self._log = self._stack.enter_context((BENCH / "stands.log").open("a"))
        return self

    def __exit__(self, *_):
        for process in self._running.values():
            process.stdin.close()  # the end of its input is the end of its work
        for process in self._running.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._stack.close()

    def ask(self, stand, question):
        """Put a question to a stand and wait for the answer.

        Raises
        ------
        StandError
            It could not do it, or has died.
        """
        process = self._running.get(stand)
        if process is None:
            process = self._running[stand] = self._start(stand)
        try:
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass
        line = process.stdout.readline()
        if not line:
            del self._running[stand]
            raise StandError(f"{stand} died with {process.wait()}; see {BENCH / 'stands.log'}")
        answer = json.loads(line)
        if "error" in answer:
            raise StandError(answer["error"])
        return answer

    def _start(self, stand):
        command = [sys.executable, "-m", "benchmarks.race.stand", stand]
        if stand == "rdataframe":
            command = [str(ROOT_ENVIRONMENT / "bin" / "python"), str(RDATAFRAME)]
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=PROJECT,
            env=self._environment(stand),
            start_new_session=True,  # Ctrl-C is for the one who asks
        )

    @staticmethod
    def _environment(stand):
        variables = environment()
        if stand == "rdataframe":
            del variables["PYTHONPATH"]
        return variables | stand_settings(stand)

    def close(self, stand):
        """End one stand, so that the next question meets a cold one."""
        process = self._running.pop(stand, None)
        if process is not None:
            process.stdin.close()
            process.wait()


COLUMN_CACHE = "column_cache"
"""The setting of the cache that makes second runs quick; all others read the files."""


def has_column_cache():
    return COLUMN_CACHE in KEYS


def stand_settings(stand):
    """Variables of one stand: the column cache belongs to the second run alone."""
    if not has_column_cache() or stand == "second":
        return {}
    return {f"BEAMPIPE_{COLUMN_CACHE.upper()}": "0"}
