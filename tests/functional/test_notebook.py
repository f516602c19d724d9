"""Runs from a notebook, in a real Jupyter kernel."""

import asyncio
import os
import signal
import tempfile
import threading

import nbformat
import psutil
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from tests.functional.processes import count_lines, wait_until

import beampipe as bp

DEFINE = """
import os, time
import hist
import beampipe as bp

open("kernel.pid", "w").write(str(os.getpid()))
CUT = 20.0

def process(events):
    time.sleep(PAUSE)
    with open("done.log", "a") as log:
        log.write("chunk\\n")
    met = events.MET.pt
    h = hist.Hist.new.Reg(50, 0, 200, name="met").Int64().fill(met[met > CUT])
    return {"n": len(events), "met": h}
"""
RUN = 'result = bp.run(process, DATA, workers=1, chunksize=200, checkpoint=0.2, run_dir="a run")'
AGAIN = 'second = bp.run(process, DATA, workers=2, maxchunks=1, run_dir="another run")'
RESUME = 'import beampipe as bp; result = bp.resume("a run", workers=2); result'
N_CHUNKS = 40


@pytest.fixture(autouse=True)
def temporary(monkeypatch):
    """What is killed cannot tidy up. (Not below `tmp_path`: sockets want a short path.)"""
    with tempfile.TemporaryDirectory(prefix="bp ") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield


@pytest.fixture
def execute(samples, tmp_path, monkeypatch):
    """Run cells in a new kernel, which works in a folder of its own; gives their outputs."""
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    folder = tmp_path / "my notebooks 'µ'"
    folder.mkdir()

    def execute(*cells, pause=0.0, on_client=None, **options):
        texts = [
            cell.replace("DATA", repr(str(samples))).replace("PAUSE", str(pause)) for cell in cells
        ]
        notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, texts)))
        resources = {"metadata": {"path": str(folder)}}
        client = NotebookClient(notebook, timeout=120, resources=resources, **options)
        if on_client is not None:
            on_client(client)
        client.execute()
        return [cell.outputs for cell in notebook.cells]

    execute.folder = folder
    return execute


def html_of(outputs, kind):
    return [one.data["text/html"] for one in outputs if one.output_type == kind]


def test_the_progress_is_shown_and_the_result_too(execute):
    _, run, again, shown = execute(DEFINE, RUN, AGAIN, "result")
    (progress,) = html_of(run, "display_data")
    assert "<progress" in progress
    assert "100%" in progress
    assert "8787" in progress or "Dask dashboard" in progress
    assert [one.output_type for one in (*run, *again)] == ["display_data"] * 2  # nothing on stderr
    (card,) = html_of(shown, "execute_result")
    assert "8,000" in card
    assert bp.load(execute.folder / "a run").status == "complete"
    assert not psutil.pid_exists(int((execute.folder / "kernel.pid").read_text()))


def when(condition, act):
    """Do something from outside while the notebook runs; gives the thread to be joined."""

    def watch():
        wait_until(condition, "the notebook is in the middle of it")
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_a_kernel_that_dies_is_resumed_in_a_new_one(execute):
    folder = execute.folder

    def kill():
        os.kill(int((folder / "kernel.pid").read_text()), signal.SIGKILL)

    thread = when(lambda: any((folder / "a run" / "segments").glob("*.zip")), kill)
    with pytest.raises(DeadKernelError):
        execute(DEFINE, RUN, pause=0.05)
    thread.join()
    kept = bp.load(folder / "a run").accounting.datasets[0].chunks_processed
    assert 0 < kept < N_CHUNKS
    (folder / "done.log").unlink()

    (shown,) = execute(RESUME)
    assert "8,000" in html_of(shown, "execute_result")[0]
    result = bp.load(folder / "a run")
    assert result.status == "complete"
    assert result.accounting.datasets[0].chunks_reused == kept
    assert count_lines(folder / "done.log") == N_CHUNKS - kept
    assert result.output["n"] == 8000


def test_the_stop_button_commits_and_the_kernel_lives_on(execute):
    log = execute.folder / "done.log"
    clients = []

    def press():
        asyncio.run(clients[0].km._async_interrupt_kernel())

    thread = when(lambda: count_lines(log) >= 5, press)
    _, stopped, resumed = execute(
        DEFINE, RUN, RESUME, pause=0.05, on_client=clients.append, allow_errors=True
    )
    thread.join()
    (error,) = [one for one in stopped if one.output_type == "error"]
    assert error.ename == "RunInterruptedError"
    assert "beampipe resume" in "\n".join(error.traceback)
    assert "8,000" in html_of(resumed, "execute_result")[0]
    accounting = bp.load(execute.folder / "a run").accounting.datasets[0]
    assert 0 < accounting.chunks_reused < N_CHUNKS
    # Done again is what each of two workers was at, had just ended, and began before it heard.
    assert count_lines(log) <= N_CHUNKS + 6
