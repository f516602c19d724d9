import sys
import threading

import pytest

from beampipe.errors import ProcessorPickleError
from beampipe.execution import unpacking
from beampipe.execution.unpacking import import_early, unpack_processor


def payload_of(module, name="thing"):
    """The bytes that unpack to what a module holds."""
    return f"c{module}\n{name}\n.".encode()


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Write modules; what was imported of them is forgotten."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(**texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.py").write_text(text)

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_what_a_module_holds_is_unpacked(modules):
    modules(bpring_plain="thing = (1, 2)")
    assert unpack_processor(payload_of("bpring_plain")) == (1, 2)


def test_a_module_that_is_there_by_half_is_waited_for(monkeypatch):
    monkeypatch.setattr(unpacking, "_AGAIN_S", 0.01)
    looked = threading.Event()

    def load(payload):
        if not looked.is_set():
            looked.set()
            raise ImportError(
                "cannot import name 'thing' from partially initialized module 'bpring_half'"
            )
        return (1, 2)

    monkeypatch.setattr(unpacking.cloudpickle, "loads", load)
    assert unpack_processor(b"") == (1, 2)
    assert looked.is_set()


def test_a_module_that_stays_broken_is_told(modules, monkeypatch):
    monkeypatch.setattr(unpacking, "_WAIT_S", 0.05)
    monkeypatch.setattr(unpacking, "_AGAIN_S", 0.01)
    modules(bpring_a="from bpring_b import thing\nthing = 1", bpring_b="from bpring_a import thing")
    with pytest.raises(ProcessorPickleError) as caught:
        unpack_processor(payload_of("bpring_a"))
    assert "partially initialized module" in caught.value.why


def test_imports_ahead_say_nothing_of_what_fails(modules):
    modules(bpring_early="thing = (1, 2)", bpring_bad="raise OSError('no')")
    import_early(payload_of("bpring_early"))
    import_early(payload_of("bpring_bad"))
    import_early(b"")
    assert "bpring_early" in sys.modules
