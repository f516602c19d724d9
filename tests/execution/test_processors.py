import functools
import json
import linecache
import re
import sys
import types
from abc import ABC, abstractmethod
from pathlib import Path

import pytest
from coffea.processor import ProcessorABC

from beampipe.errors import (
    ProcessorKindError,
    ProcessorLoadError,
    ProcessorNameError,
    ProcessorParamsError,
)
from beampipe.execution.processors import Processor, has_process, load_processor

HOSTILE = 'my analysis µ\'s "best" (1).py'


def count(events, cut=1, *, label="all"):
    return {label: len(events) * cut}


def takes_nothing():
    return {}


def needs_weights(events, weights):
    return {"n": len(events) * weights}


class Counting(ProcessorABC):
    def __init__(self, cut=1):
        self.cut = cut

    def process(self, events):
        return {"n": len(events) * self.cut}

    def postprocess(self, accumulator):
        return {"n": accumulator["n"], "finished": True}


class Unfinished(ABC):
    @abstractmethod
    def process(self, events): ...


class Picky(Counting):
    def __init__(self, cut=1):
        raise ValueError(f"no cut like {cut}")


class Plain:
    def process(self, events):
        return {"n": len(events)}


class Callable:
    def __call__(self, events):
        return {"n": len(events)}


@pytest.fixture(autouse=True)
def _forget_imports(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        # Only what a test wrote; a library that was loaded meanwhile cannot be loaded twice.
        if "pytest-of-" in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def write(tmp_path):
    def write(text, name=HOSTILE):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


# -- what can be given ----------------------------------------------------------------------


def test_a_function_with_and_without_params():
    assert load_processor(count).process("abc") == {"all": 3}
    loaded = load_processor(count, {"cut": 2, "label": "two"})
    assert loaded.process("abc") == {"two": 6}
    assert loaded.name == "count"
    assert loaded.params == {"cut": 2, "label": "two"}
    assert loaded.source.startswith("def count(events")
    assert loaded.origin == __file__
    assert len(loaded.source_sha256) == 64


def test_a_class_is_made_with_its_params_and_an_instance_taken_as_it_is():
    assert load_processor(Counting, {"cut": 3}).process("ab") == {"n": 6}
    loaded = load_processor(Counting(5))
    assert loaded.process("a") == {"n": 5}
    assert loaded.name == "Counting"
    assert loaded.source.startswith("class Counting(")
    with pytest.raises(ProcessorParamsError, match="made already"):
        load_processor(Counting(5), {"cut": 1})


def test_what_only_looks_like_a_coffea_processor_is_one():
    assert has_process(Plain)
    assert load_processor(Plain).process("abc") == {"n": 3}
    assert load_processor(Plain()).postprocess({"n": 3}) == {"n": 3}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (lambda events: {"n": len(events)}, "<lambda>"),
        (functools.partial(count, cut=1, label="n"), "count"),
        (Callable(), "Callable"),
        (Plain().process, "process"),
    ],
)
def test_other_callables(given, name):
    loaded = load_processor(given)
    assert loaded.process("ab") == {"n": 2}
    assert loaded.name == name
    assert loaded.source


def test_a_processor_that_is_loaded_stays_as_it_is():
    loaded = load_processor(count)
    assert load_processor(loaded) is loaded


def test_something_without_source_has_none():
    space = {}
    exec("def typed(events): return {}", space)  # noqa: S102  as typed at a prompt
    loaded = load_processor(space["typed"])
    assert (loaded.source, loaded.source_sha256) == ("", "")
    assert load_processor(len).source == ""


def test_postprocess_finishes_the_sum():
    loaded = load_processor(Counting)
    assert loaded.postprocess({"n": 1}) == {"n": 1, "finished": True}
    assert loaded.postprocess(None) is None  # nothing was done: there is no sum
    assert load_processor(count).postprocess({"n": 1}) == {"n": 1}

    class InPlace(Counting):
        def postprocess(self, accumulator):
            accumulator["n"] += 1

    assert load_processor(InPlace).postprocess({"n": 1}) == {"n": 2}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (7, "its type is int: neither"),
        (None, "its type is NoneType"),
        (types, "its type is module"),
        (dict, "class dict is no processor"),
        ([count], "its type is list"),
    ],
)
def test_what_is_no_processor_is_refused(given, message):
    with pytest.raises(ProcessorKindError, match=message):
        load_processor(given)


@pytest.mark.parametrize(
    ("given", "params", "why", "fix"),
    [
        (count, {"cutt": 2}, "unexpected keyword argument 'cutt'", "did you mean 'cut'"),
        (count, {"events": 2}, "multiple values for argument 'events'", "count(events, cut=1"),
        (count, {"zzz": 2}, "'zzz'", "its signature is count(events"),
        (Counting, {"cot": 2}, "unexpected keyword argument 'cot'", "did you mean 'cut'"),
        (takes_nothing, {}, "too many positional", "takes_nothing()"),
        (needs_weights, {}, "missing a required argument: 'weights'", "weights"),
    ],
)
def test_params_that_do_not_fit(given, params, why, fix):
    with pytest.raises(ProcessorParamsError) as caught:
        load_processor(given, params)
    assert why in caught.value.why
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (Picky, r"ValueError: no cut like 2 \(.*test_processors.py, line \d+\)"),
        (Unfinished, "abstract"),
    ],
)
def test_a_class_that_cannot_be_made(given, why):
    params = {"cut": 2} if given is Picky else {}
    with pytest.raises(ProcessorParamsError, match="cannot be made") as caught:
        load_processor(given, params)
    assert re.search(why, caught.value.why)


# -- what can be named ----------------------------------------------------------------------


def test_a_function_in_a_file_of_any_name(write):
    path = write("def process(events, cut=1):\n    return {'µ': len(events) * cut}\n")
    loaded = load_processor(f"{path}:process", {"cut": 2})
    assert loaded.process("ab") == {"µ": 4}
    assert loaded.origin == str(path)
    assert "cut=1" in loaded.source


@pytest.mark.parametrize("text", ["{path}", "{path}:", "{path}: ", "{path}:process "])
def test_one_candidate_needs_no_name(write, text):
    path = write(
        "from math import floor\nCUT = 3\ndef process(events):\n    return {}\n_x = lambda: 1\n"
    )
    assert load_processor(text.format(path=path)).name == "process"


def test_a_path_is_taken_like_its_text(write):
    assert load_processor(write("def process(events): return {}\n")).name == "process"


def test_a_file_whose_name_holds_a_colon(write):
    path = write("def process(events): return {}\n", "a:b.py")
    assert load_processor(str(path)).name == "process"
    assert load_processor(f"{path}:process").name == "process"


def test_a_method_or_class_inside_is_reached_by_dots(write):
    path = write(
        "class Cuts:\n    @staticmethod\n    def loose(events):\n        return {'n': 1}\n"
    )
    assert load_processor(f"{path}:Cuts.loose").process("") == {"n": 1}


def test_a_module_is_found_in_the_working_directory(write, tmp_path, monkeypatch):
    write("def process(events): return {'n': 1}\n", "my_package_7/deep.py")
    monkeypatch.chdir(tmp_path)
    assert load_processor("my_package_7.deep:process").process("") == {"n": 1}


def test_modules_beside_the_file_import_as_in_a_script(write):
    write("CUT = 42\n", "cuts_beside_7.py")
    path = write(
        "import cuts_beside_7\ndef process(events):\n    return {'n': cuts_beside_7.CUT}\n"
    )
    assert load_processor(f"{path}:process").process("") == {"n": 42}


def test_a_file_that_is_called_like_a_loaded_module_does_not_replace_it(write):
    path = write("def process(events): return {}\n", "json.py")
    assert load_processor(f"{path}:process").origin == str(path)
    assert sys.modules["json"] is json


def test_a_file_that_was_changed_is_loaded_as_it_is_now(write):
    path = write("def process(events): return {'n': 1}\n")
    load_processor(f"{path}:process")
    path.write_text("def process(events): return {'n': 22}\n")
    loaded = load_processor(f"{path}:process")
    assert loaded.process("") == {"n": 22}
    assert "22" in loaded.source


@pytest.mark.parametrize("text", ["{path}", "{path}:process"])
def test_a_missing_file(tmp_path, text):
    with pytest.raises(ProcessorLoadError, match="no such file"):
        load_processor(text.format(path=tmp_path / "no where.py"))


def test_a_folder_and_a_file_that_is_not_python(tmp_path, write):
    with pytest.raises(ProcessorLoadError, match="not a file"):
        load_processor(f"{tmp_path}/:process")
    with pytest.raises(ProcessorLoadError, match="not Python"):
        load_processor(f"{write('x', 'a.txt')}:process")


def test_a_module_that_is_not_there():
    with pytest.raises(ProcessorLoadError, match="No module named 'nowhere_7'") as caught:
        load_processor("nowhere_7:process")
    assert "FILE.py:NAME" in caught.value.fix
    with pytest.raises(ProcessorLoadError):
        load_processor("")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x = 1\ndef process(events:\n    pass\n", r"SyntaxError: .*\(.*\.py, line 2\)"),
        ("x = 1\n\nimport nowhere_7\n", r"ModuleNotFoundError: .*nowhere_7'.*\.py, line 3\)"),
        ("def f():\n    return 1 / 0\nf()\n", r"ZeroDivisionError: .*\.py, line 2\)"),
        ("import sys\nsys.exit('bye')\n", r"SystemExit: bye .*line 2\)"),
        ("import json\njson.loads('{')\n", r"JSONDecodeError: .*best.*\.py, line 2\)"),
        ("x = '\\ud800'\nraise ValueError(x)", "ValueError"),
        ("\0", r"SyntaxError|ValueError"),
    ],
)
def test_a_file_that_does_not_import_names_the_line(write, text, why):
    path = write(text)
    with pytest.raises(ProcessorLoadError, match="does not import") as caught:
        load_processor(f"{path}:process")
    assert re.search(why, caught.value.why), caught.value.why
    assert str(path) in caught.value.message
    assert "python '" in caught.value.fix
    assert not [m for m in sys.modules.values() if getattr(m, "__file__", "") == str(path)]


def test_a_name_that_is_not_there_and_the_closest_one(write):
    path = write("def process_muons(events): return {}\ndef other(events): return {}\n")
    with pytest.raises(ProcessorNameError) as caught:
        load_processor(f"{path}:proces_muon")
    assert caught.value.why == "it has process_muons, other"
    assert caught.value.fix == f"write {path}:process_muons"


def test_no_name_and_several_candidates(write):
    path = write("def a(events): return {}\nclass B:\n    def process(self, events): return {}\n")
    with pytest.raises(ProcessorNameError, match="has a, B"):
        load_processor(str(path))


def test_no_candidate_at_all(write):
    path = write("from math import floor\n")
    with pytest.raises(ProcessorNameError, match="no function or processor of its own"):
        load_processor(str(path))
    with pytest.raises(ProcessorNameError, match="define it there"):
        load_processor(f"{path}:process")


def test_a_name_of_something_else(write):
    with pytest.raises(ProcessorKindError, match="process is no processor"):
        load_processor(f"{write('process = 7')}:process")


def test_a_notebook_function(monkeypatch):
    """What a cell defines belongs to `__main__`, and its source to no file on the disk."""
    text = "def process(events):\n    return {'n': len(events)}\n"
    name = "<ipython-input-1-abc>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    space = {"__name__": "__main__"}
    exec(compile(text, name, "exec"), space)  # noqa: S102  as a notebook does
    loaded = load_processor(space["process"])
    assert loaded.process("abc") == {"n": 3}
    assert isinstance(loaded, Processor)
    assert Path(loaded.origin or name).name == name
