import functools
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import cloudpickle
import pytest

import beampipe
from beampipe.errors import ProcessorPickleError
from beampipe.execution import shipping
from beampipe.execution.processors import load_processor
from beampipe.execution.shipping import pickle_processor

SOURCES = Path(beampipe.__file__).parents[1]
LOCK = threading.Lock()
WORKER = """
import sys, cloudpickle
processor, schema = cloudpickle.loads(sys.stdin.buffer.read())
assert not any("pytest-of-" in path for path in sys.path), sys.path
print(processor.process([1, 2, 3]), schema if schema is None else schema.__name__)
"""


@pytest.fixture(autouse=True)
def _forget_imports(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if "pytest-of-" in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def call_elsewhere(payload, tmp_path):
    """Unpack and call a processor in a process that sees none of the user's files."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCES)}
    done = subprocess.run(
        [sys.executable, "-c", WORKER],
        input=payload,
        capture_output=True,
        cwd=folder,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def with_lock(events):
    with LOCK:
        return {}


def test_runs_that_begin_at_the_same_time(tmp_path, monkeypatch):
    script = tmp_path / "mine.py"
    script.write_text("def process(events):\n    return {'n': len(events)}\n")
    processor = load_processor(f"{script}:process")
    is_first_done = threading.Event()
    payloads = []
    second = threading.Thread(target=lambda: payloads.append(pickle_processor(processor, None)))

    def dump(pickler, what):
        if threading.current_thread() is second:
            is_first_done.wait(5)
        else:
            second.start()
            second.join(0.3)  # it is to be at its own by now, or to wait for this one
        cloudpickle.Pickler.dump(pickler, what)

    monkeypatch.setattr(shipping._Pickler, "dump", dump, raising=False)
    payloads.append(pickle_processor(processor, None))
    is_first_done.set()
    second.join(120)
    assert call_elsewhere(payloads[-1], tmp_path) == "{'n': 3} None"


def test_a_file_and_its_neighbours_travel_by_value(tmp_path):
    folder = tmp_path / "my analysis µ's"
    folder.mkdir()
    (folder / "cuts_to_ship.py").write_text(
        "from deep_to_ship import FACTOR\ndef n(x): return FACTOR\n"
    )
    (folder / "deep_to_ship.py").write_text("FACTOR = 7\n")
    path = folder / "to ship.py"
    path.write_text(
        "import cuts_to_ship\nimport numpy as np\nfrom cuts_to_ship import n\n"
        "class Base:\n    def process(self, events):\n"
        "        return int(np.sum(events)) * n(events) * self.cut * cuts_to_ship.FACTOR\n"
        "class Mine(Base):\n    def __init__(self, cut=1):\n        super().__init__()\n"
        "        self.cut = cut\n"
        "class Schema: pass\n"
    )
    loaded = load_processor(f"{path}:Mine", {"cut": 2})
    schema = sys.modules[type(loaded.target).__module__].Schema
    payload = pickle_processor(loaded, schema)
    assert call_elsewhere(payload, tmp_path) == f"{6 * 7 * 2 * 7} Schema"
    assert not cloudpickle.list_registry_pickle_by_value()


def test_functions_and_properties_with_a_cache_travel_by_value(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "cached_beside.py").write_text(
        "import functools\n"
        "@functools.lru_cache(maxsize=3)\n"
        "def scale(x): return 2 * x if x < 2 else scale(x - 1) + 2\n"
        "@functools.cache\n"
        "def shift(): return 1\n"
        "class Selection:\n"
        "    @functools.cached_property\n"
        "    def cut(self): return 5\n"
    )
    (folder / "cached.py").write_text(
        "from cached_beside import Selection, scale, shift\n"
        "def process(events):\n"
        "    return scale(sum(events)) + shift(), scale.cache_parameters(), Selection().cut\n"
    )
    payload = pickle_processor(load_processor(f"{folder / 'cached.py'}:process"), None)
    shown = call_elsewhere(payload, tmp_path)
    assert shown == "(13, {'maxsize': 3, 'typed': False}, 5) None"


def test_what_this_very_module_defines_travels_too(tmp_path):
    def process(events, factor):
        return len(events) * factor

    payload = pickle_processor(load_processor(process, {"factor": 5}), None)
    assert call_elsewhere(payload, tmp_path) == "15 None"


def test_installed_code_is_not_sent_along():
    from coffea.nanoevents import NanoAODSchema

    payload = pickle_processor(load_processor(len), NanoAODSchema)
    assert len(payload) < 1000
    assert pickle.loads(payload)[1] is NanoAODSchema


@pytest.mark.parametrize("given", [with_lock, functools.partial(with_lock)])
def test_a_lock_outside_is_named(given):
    with pytest.raises(ProcessorPickleError) as caught:
        pickle_processor(load_processor(given), None)
    assert "with_lock cannot be sent" in caught.value.message
    assert "'LOCK' in" in caught.value.why
    assert "inside the function" in caught.value.fix
    assert not cloudpickle.list_registry_pickle_by_value()


def test_a_lock_in_an_instance_is_refused():
    class Held:
        def __init__(self):
            self.file = threading.Lock()

        def process(self, events):
            return {"n": len(events)}

    with pytest.raises(ProcessorPickleError, match="lock"):
        pickle_processor(load_processor(Held), None)


def test_a_class_that_breaks_while_it_is_pickled():
    class Broken:
        def __call__(self, events):
            return {"n": len(events)}

        def __reduce__(self):
            raise RuntimeError("not today")

    with pytest.raises(ProcessorPickleError, match="RuntimeError: not today"):
        pickle_processor(load_processor(Broken()), None)
