"""What changes the identity of a run, and what does not."""

import importlib
import importlib.metadata
import sys
import textwrap

import numpy as np
import pytest

from beampipe.errors import ArgumentError
from beampipe.execution.identity import compare, identify
from beampipe.execution.processors import load_processor

ANALYSIS = '''
"""An analysis."""
import math
import numpy as np
import helper
from helper import scale as scaled

CUT = 20.0
NAMES = {"Muon", "Electron", "Tau", "Jet", "MET"}
TABLE = {"a": np.arange(3), "b": [1, (2, None)]}

def threshold(extra):
    def passes(x):
        return x > CUT + extra
    return passes

passes = threshold(5)

def select(events, *, floor=3):
    """Choose."""
    # a comment
    return [x for x in events if passes(x) and x > floor]

def process(events, weight=1.0):
    from lazy import shift
    if not events:
        return {}
    return {"n": shift(scaled(len(select(events)))) * weight, "s": NAMES, "t": TABLE,
            "h": helper.OFFSET}
'''
HELPER = """
OFFSET = 1
UNUSED = 2

def scale(x):
    return inner(x) * OFFSET

def inner(x):
    return x + 1
"""
LAZY = """
import deep

def shift(x):
    return deep.shift(x)
"""
DEEP = """
def shift(x):
    return x + 7
"""
FILES = {"analysis": ANALYSIS, "helper": HELPER, "lazy": LAZY, "deep": DEEP}


@pytest.fixture
def before(write, identity_of):
    return identity_of(write(**FILES))


CHANGES = {
    "a constant": ("analysis", "CUT = 20.0", "CUT = 25.0", "constant CUT: 20.0 → 25.0"),
    "a default": ("analysis", "weight=1.0", "weight=2.0", "default weight of process: 1.0 → 2.0"),
    "a keyword's default": ("analysis", "floor=3", "floor=4", "default floor of select: 3 → 4"),
    "a closure value": (
        "analysis",
        "threshold(5)",
        "threshold(6)",
        "closure value extra of threshold.<locals>.passes: 5 → 6",
    ),
    "a set": ("analysis", '"MET"}', '"PuppiMET"}', "constant NAMES changed"),
    "an array": ("analysis", "arange(3)", "arange(4)", "constant TABLE changed"),
    "an order": (
        "analysis",
        '{"a": np.arange(3), "b": [1, (2, None)]}',
        '{"b": [1, (2, None)], "a": np.arange(3)}',
        "constant TABLE changed",
    ),
    "a function": ("analysis", "x > floor]", "x >= floor]", "function select changed"),
    "an inner function": (
        "analysis",
        "return x > CUT + extra",
        "return x > CUT - extra",
        "function threshold.<locals>.passes changed",
    ),
    "a type": ("analysis", "CUT = 20.0", "CUT = 20", "constant CUT: 20.0 → 20"),
    "a module's constant": ("helper", "OFFSET = 1", "OFFSET = 3", "helper.OFFSET: 1 → 3"),
    "a module's function": ("helper", "x + 1", "x + 2", "function helper.inner changed"),
    "a module imported inside": ("lazy", "shift(x)\n", "shift(-x)\n", "module lazy changed"),
    "what that imports": ("deep", "x + 7", "x + 8", "module deep changed"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_differs_after_a_change_of(change, before, write, identity_of):
    module, old, new, words = CHANGES[change]
    assert old in FILES[module]
    after = identity_of(write(**FILES | {module: FILES[module].replace(old, new)}))
    assert before.digest
    assert after.digest
    assert after.digest != before.digest
    assert words in "; ".join(map(str, compare(before, after)))


SAME = {
    "comments": lambda text: text.replace("# a comment", "# another\n    # two"),
    "docstrings": lambda text: text.replace('"""Choose."""', '"""Choose,\n    or not."""'),
    "no docstrings": lambda text: text.replace('    """Choose."""\n', ""),
    "blank lines": lambda text: text.replace("\n", "\n\n"),
    "line breaks": lambda text: text.replace(
        "events, *, floor", "\n    events,\n    *,\n    floor"
    ),
    "annotations": lambda text: text.replace("weight=1.0", "weight: float = 1.0"),
    "what is not used": lambda text: text + "\nOTHER = 3\n\ndef unused():\n    return OTHER\n",
}


@pytest.mark.parametrize("change", SAME)
def test_it_is_the_same_with_other(change, before, write, identity_of):
    text = SAME[change](ANALYSIS)
    assert text != ANALYSIS
    after = identity_of(write(**FILES | {"analysis": text}))
    assert compare(before, after) == ()
    assert after.digest == before.digest


def test_it_is_the_same_in_another_file_folder_process_and_hash_seed(
    before, write, identity_of, identity_elsewhere
):
    moved = write("Z → µµ 'x'", other=ANALYSIS, helper=HELPER, lazy=LAZY, deep=DEEP)
    assert identity_of(moved, "other.py:process").digest == before.digest
    for seed in (0, 1, 2):
        assert identity_elsewhere(moved, "other.py:process", seed=seed)["digest"] == before.digest


def test_what_a_module_holds_and_nobody_uses_does_not_matter(before, write, identity_of):
    changed = HELPER.replace("UNUSED = 2", "UNUSED = 4")
    assert identity_of(write(**FILES | {"helper": changed})).digest == before.digest


def test_a_module_that_is_passed_on_counts_whole(write, identity_of):
    text = (
        "import helper\ndef process(events):\n    return look(helper)\ndef look(m): return m.UNUSED"
    )
    first = identity_of(write(analysis=text, helper=HELPER))
    second = identity_of(write(analysis=text, helper=HELPER.replace("UNUSED = 2", "UNUSED = 4")))
    assert first.digest != second.digest


CLASS = """
import dataclasses, enum
from coffea.processor import ProcessorABC

class Era(enum.Enum):
    A = 1
    B = 2

@dataclasses.dataclass
class Cuts:
    pt: float = 20.0
    names: list = dataclasses.field(default_factory=list)

class Base(ProcessorABC):
    FLOOR = 3
    def floor(self):
        return self.FLOOR

class Analysis(Base):
    def __init__(self, lumi=1.0):
        self.lumi = lumi
        self.cuts = Cuts()
        self.era = Era.A
        self._by_name = {"x": self}
    @property
    def scale(self):
        return self.lumi * 2
    @staticmethod
    def twice(x):
        return 2 * x
    def process(self, events):
        return {"n": self.twice(len(events)) * self.scale, "f": self.floor(), "e": self.era}
    def postprocess(self, accumulator):
        return accumulator
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("lumi=1.0", "lumi=2.0", "attribute lumi of Analysis: 1.0 → 2.0"),
        ("FLOOR = 3", "FLOOR = 4", "constant Base.FLOOR: 3 → 4"),
        ("2 * x", "3 * x", "function Analysis.twice changed"),
        ("self.lumi * 2", "self.lumi * 3", "function Analysis.scale changed"),
        ("Era.A", "Era.B", "attribute era of Analysis changed"),
        ("pt: float = 20.0", "pt: float = 30.0", "attribute pt of Cuts: 20.0 → 30.0"),
        ("return accumulator", "return None", "function Analysis.postprocess changed"),
        ("B = 2", "B = 3", "class Era changed"),
    ],
)
def test_classes_and_the_state_of_instances(old, new, words, write, identity_of):
    name = "analysis.py:Analysis"
    folder = write(analysis=CLASS)
    first = identity_of(folder, name)
    assert first.unhashable == {}
    assert first.digest == identity_of(folder, name).digest
    second = identity_of(write(analysis=CLASS.replace(old, new)), name)
    assert second.digest != first.digest
    assert words in "; ".join(map(str, compare(first, second)))


def test_a_class_has_the_same_identity_in_another_process(write, identity_of, identity_elsewhere):
    name, folder = "analysis.py:Analysis", write(analysis=CLASS)
    assert identity_of(folder, name).digest == identity_elsewhere(folder, name, seed=3)["digest"]


def test_parameters_are_compared_one_by_one(write, identity_of):
    folder = write(analysis="def process(events, era, cut=1): return {'n': cut}")
    first = identity_of(folder, params={"era": "2017", "cut": 2})
    second = identity_of(folder, params={"cut": 3, "era": "2017"})
    assert list(map(str, compare(first, second))) == ["parameter cut: 2 → 3"]
    assert first.digest == identity_of(folder, params={"cut": 2, "era": "2017"}).digest


def test_declared_files_count_by_their_content(write, identity_of, tmp_path):
    folder = write(analysis="def process(events): return {}")
    for place, content in (("one", "1"), ("two", "1"), ("three", "2")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "pileup.json").write_text(content)
    first, moved, changed = (
        identity_of(folder, inputs=[tmp_path / place / "pileup.json"])
        for place in ("one", "two", "three")
    )
    assert first.digest == moved.digest != changed.digest
    assert list(map(str, compare(first, changed))) == ["input pileup.json changed"]
    folders = [identity_of(folder, inputs=[tmp_path / place]) for place in ("one", "three")]
    assert folders[0].digest != folders[1].digest
    with pytest.raises(ArgumentError, match="missing.json cannot be read"):
        identity_of(folder, inputs=[tmp_path / "missing.json"])


def test_the_version_of_a_package(before, write, identity_of, monkeypatch):
    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "9.9" if name == "numpy" else real(name)
    )
    after = identity_of(write(**FILES))
    assert [str(one) for one in compare(before, after)] == [
        f"package numpy: {real('numpy')} → 9.9".replace("9.9", "9.9")
    ]


def test_development_versions_of_beampipe_count_as_the_release_they_lead_to(
    before, write, identity_of, monkeypatch
):
    real = importlib.metadata.version
    for version, is_same in (("0.1.0.dev99+gabc", True), ("0.2.0", False)):
        monkeypatch.setattr(
            importlib.metadata, "version", lambda n, v=version: v if n == "beampipe" else real(n)
        )
        assert (identity_of(write(**FILES)).digest == before.digest) is is_same


def test_an_editable_package_counts_by_content(write, identity_of, tmp_path, monkeypatch):
    """Its version number stays what it was when its code changes."""
    package = tmp_path / "src" / "cmstools"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from cmstools.cuts import passes\n__version__ = '1.0'\n")
    monkeypatch.syspath_prepend(str(package.parent))
    text = """
        import cmstools
        def process(events):
            return {"n": cmstools.passes(events)}
    """
    found = []
    for value in (1, 2, 1):
        (package / "cuts.py").write_text(f"LIMIT = {value}\ndef passes(x):\n    return x > LIMIT\n")
        found.append(identity_of(write(analysis=text)))
    assert found[0].digest == found[2].digest != found[1].digest
    assert "constant cmstools.cuts.LIMIT: 1 → 2" in map(str, compare(found[0], found[1]))


def test_a_schema_of_ones_own_counts_by_its_source(write, identity_of):
    from coffea.nanoevents import NanoAODSchema

    folder = write(analysis="def process(events): return {}")
    named = identity_of(folder)
    assert named.digest == identity_of(folder, schema=NanoAODSchema).digest
    assert named.digest != identity_of(folder, schema="BaseSchema").digest
    assert named.digest != identity_of(folder, schema=None).digest

    def make(value):
        space = {"__name__": "schemas", "NanoAODSchema": NanoAODSchema}
        exec(f"class Mine(NanoAODSchema):\n    warn = {value}", space)  # noqa: S102
        return space["Mine"]

    assert (
        identity_of(folder, schema=make(1)).digest
        == identity_of(folder, schema=make(1)).digest
        != identity_of(folder, schema=make(2)).digest
    )


def test_what_cannot_be_compared_is_named_and_gives_no_digest(write, identity_of):
    text = """
        import threading
        LOCK = threading.Lock()
        lines = (line for line in "ab")
        def process(events):
            with LOCK:
                return {"n": next(lines)}
    """
    found = identity_of(write(analysis=text))
    assert found.digest == ""
    assert sorted(found.unhashable) == ["constant LOCK", "constant lines"]
    assert "lock" in found.unhashable["constant LOCK"]


def test_a_module_that_was_changed_after_it_was_imported_is_not_compared(write, monkeypatch):
    folder = write(
        analysis="def process(events):\n    import stale_helper\n    return stale_helper.n()",
        stale_helper="def n():\n    return 1",
    )
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(folder))
    importlib.import_module("stale_helper")
    processor = load_processor(f"{folder}/analysis.py:process")
    assert identify(processor, schema=None, metadata={}).digest
    write(stale_helper="def n():\n    return 2")
    found = identify(processor, schema=None, metadata={})
    assert "changed after it was imported" in found.unhashable["module stale_helper"]


def test_datasets_have_digests_of_what_is_told_of_them(write, identity_of):
    folder = write(analysis="def process(events): return {}")
    told = {"DY": {"xsec": 1.0, "is_mc": True}, "TT": {"xsec": 2.0}, "odd": {"f": iter(())}}
    first = identity_of(folder, metadata=told)
    second = identity_of(folder, metadata={**told, "DY": {"is_mc": True, "xsec": 1.5}})
    assert first.digest == second.digest
    assert first.datasets["DY"] != second.datasets["DY"]
    assert first.datasets["TT"] == second.datasets["TT"] != ""


def test_numba_and_caches_count_by_what_is_in_them(write, identity_of, identity_elsewhere):
    text = """
        import functools
        import numba
        import numpy as np

        @numba.njit(fastmath=True)
        def fast(x):
            return x + 1

        @functools.lru_cache
        def kept(x):
            return fast(x)

        @functools.singledispatch
        def shown(x):
            return "any"

        @shown.register
        def _(x: int):
            return "int"

        half = functools.partial(np.multiply, 0.5)

        def process(events):
            return {"n": half(kept(len(events))), "s": shown(1)}
    """
    folder = write(analysis=text)
    first = identity_of(folder)
    assert first.unhashable == {}
    assert first.digest == identity_elsewhere(folder, seed=5)["digest"]
    for old, new in (
        ("x + 1", "x + 2"),
        ('"int"', '"integer"'),
        ("0.5", "0.6"),
        ("=True", "=False"),
    ):
        assert identity_of(write(analysis=text.replace(old, new))).digest != first.digest


def test_a_table_of_corrections(write, identity_of, identity_elsewhere):
    text = """
        import correctionlib, correctionlib.schemav2 as cs
        name = {"name": "pt", "type": "real"}
        sf = {"name": "sf", "version": 1, "inputs": [name], "output": name, "data": 1.5}
        sets = cs.CorrectionSet(schema_version=2, corrections=[sf])
        corr = correctionlib.CorrectionSet.from_string(sets.model_dump_json())

        def process(events):
            return {"n": corr["sf"].evaluate(1.0)}
    """
    pytest.importorskip("correctionlib")
    folder = write(analysis=text)
    first = identity_of(folder)
    assert first.unhashable == {}
    assert first.digest == identity_elsewhere(folder, seed=5)["digest"]
    assert identity_of(write(analysis=text.replace("1.5", "1.6"))).digest != first.digest


def test_secrets_are_not_shown(write, identity_of):
    text = textwrap.dedent(
        """
        API_TOKEN = "hush"
        URL = "root://user:hush@host//x"
        def process(events):
            return {"n": API_TOKEN + URL}
        """
    )
    assert "hush" not in str(identity_of(write(analysis=text)).to_json())


def test_it_comes_back_from_json(before):
    from beampipe.execution.identity import Identity

    assert Identity.from_json(before.to_json()) == before
    assert Identity.from_json({"rule": -1}) is None
    assert Identity.from_json(None) is None
    assert np.all([len(part.digest) == 32 for part in before.parts.values()])
