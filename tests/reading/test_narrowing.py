"""Narrow events must never make a difference, whatever a processor does or asks."""

import contextlib
import copy
import operator

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.nanoevents import BaseSchema, NanoAODSchema

from beampipe.errors import ColumnNotFoundError
from beampipe.execution.failures import explain_error
from beampipe.reading.built import LeftOutError
from beampipe.reading.narrowing import LeftOut, Narrowing
from beampipe.reading.reader import Reader


@pytest.fixture(scope="module")
def real_chunk(request):
    from beampipe.datasets.counting import count_file
    from beampipe.datasets.model import Chunk, FilePlan, FileSpec

    data = request.getfixturevalue("real_data")
    entry = count_file(FileSpec((str(data / "nano_tt_v12.root"),), "Events"), "tt")
    return Chunk(FilePlan(entry, 1, 1, entry.entries), 0)


@pytest.fixture
def reader():
    found = Reader("NanoAODSchema")
    yield found
    found.close()


def run(reader, chunk, process):
    with reader.read(chunk, {}) as data:
        output = data.call(lambda events: plain(process(events)))
        return output, data.metrics()


def plain(value):
    if isinstance(value, ak.Array):
        return (str(value.type), ak.to_list(value))
    if isinstance(value, tuple | list):
        return tuple(map(plain, value))
    return value


def narrow_reader(chunk):
    """One that has learned something else, and leaves out nearly everything."""
    found = Reader("NanoAODSchema")
    run(found, chunk, lambda events: float(ak.sum(events.MET.pt)))
    _, metrics = run(found, chunk, lambda events: float(ak.sum(events.MET.pt)))
    assert metrics["chunks_full_form"] == 0
    return found


def swallow(events):
    try:
        return float(ak.sum(events.Jet.pt))
    except BaseException:  # noqa: BLE001
        return -1.0


def note(events):
    with contextlib.suppress(Exception):
        return float(ak.sum(events.nothing_like_it))
    return "nothing"


def select(events):
    good = events[(events.MET.pt > 20) & (ak.num(events.Muon) > 0)]
    return ak.sum(good.Muon[good.Muon.pt > 5].pt), len(good)


def match(events):
    muons = events.Muon[events.Muon.pt > 3]
    return ak.fill_none(muons.matched_gen.pt, -1), ak.fill_none(muons.matched_jet.pt, -1)


PROCESSES = {
    "weights if they are there": lambda e: (
        float(ak.sum(e.genWeight)) if "genWeight" in e.fields else 1.0
    ),
    "weights if they have them": lambda e: (
        float(ak.sum(e.genWeight)) if hasattr(e, "genWeight") else 1.0
    ),
    "names of events": lambda e: e.fields,
    "names of a collection": lambda e: ak.fields(e.Electron),
    "names through a selection": lambda e: ak.fields(e[e.MET.pt > 10].FatJet),
    "is in a collection": lambda e: "pt" in e.FatJet.fields,
    "is not there": lambda e: (hasattr(e.Muon, "ptt"), "Muuon" in e.fields),
    "a type": lambda e: str(ak.type(e.FatJet)),
    "type of all": lambda e: str(e.type),
    "depths": lambda e: (e.Muon.ndim, e.Muon.layout.minmax_depth, e.layout.minmax_depth),
    "a dtype": lambda e: str(ak.to_numpy(ak.flatten(e.Jet.nConstituents)).dtype),
    "first of records": lambda e: ak.fill_none(ak.firsts(e.Muon).pt, 0),
    "padded": lambda e: ak.fill_none(ak.pad_none(e.Jet, 2, clip=True).eta, 9),
    "pairs": lambda e: operator.add(*ak.unzip(ak.combinations(e.Muon, 2))).mass,
    "both kinds of lepton": lambda e: ak.num(ak.concatenate([e.Muon.pt, e.Electron.pt], axis=1)),
    "records together": lambda e: ak.num(
        ak.concatenate([e.Muon[["pt", "eta"]], e.Electron[["pt", "eta"]]], axis=1)
    ),
    "zipped": lambda e: ak.zip({"pt": e.Jet.pt, "m": e.Jet.mass}),
    "with a field": lambda e: ak.with_field(e.Muon, e.Muon.pt * 2, "twice").twice,
    "set on the events": lambda e: (e.__setitem__("x", e.MET.pt), ak.sum(e.x))[1],
    "set in a collection": lambda e: (
        e.__setitem__(("Jet", "pt"), e.Jet.pt * 2),
        (e.Jet + e.Jet).mass,
    ),
    "a copy": lambda e: ak.copy(e.Muon).pt,
    "a copy of all": lambda e: ak.sum(copy.deepcopy(e).Jet.matched_gen.pt),
    "nearest": lambda e: ak.fill_none(e.Jet.nearest(e.Muon, return_metric=True)[1], -1),
    "a data frame": lambda e: float(ak.to_dataframe(e.Muon[["pt", "eta"]]).pt.sum()),
    "sorted": lambda e: e.Jet[ak.argsort(e.Jet.btagDeepFlavB)].pt,
    "cross references": match,
    "parents": lambda e: ak.fill_none(e.GenPart.distinctParent.pdgId, 0),
    "selection": select,
    "a whole collection": lambda e: ak.to_list(ak.materialize(e.Muon[:3])),
    "only the counts": lambda e: ak.num(e.FatJet),
    "a mask of records": lambda e: ak.num(ak.mask(e.Muon, e.Muon.pt > 5)),
    "masked in place": lambda e: ak.fill_none(ak.mask(e.MET, e.MET.pt > 20).phi, 7),
    "one event": lambda e: (e[3].Muon.pt, e[5].MET.sumEt, e.event[7]),
    "slices of records": lambda e: e.Muon[:, :1].phi,
    "the last": lambda e: ak.fill_none(ak.firsts(e.Muon[:, ::-1]).eta, 0),
    "a trigger": lambda e: [n for n in e.HLT.fields if "Mu" in n][:3] if "HLT" in e.fields else 0,
    "looked at by name": lambda e: [float(ak.sum(e[c].pt)) for c in ("Muon", "Jet", "FatJet")],
    "every exception caught": swallow,
    "a column that is not there": note,
    "flattened": lambda e: ak.flatten(e.Electron[["pt", "charge"]]),
    "packed": lambda e: ak.to_packed(e.Muon[["charge"]]),
    "broadcast": lambda e: ak.broadcast_arrays(e.MET.pt, e.Muon.pt)[0],
    "metadata": lambda e: dict(e.metadata),
    "representation": repr,
}


@pytest.mark.parametrize("name", PROCESSES)
def test_narrow_events_make_no_difference(real_chunk, reader, name):
    process = PROCESSES[name]
    expected, metrics = run(reader, real_chunk, process)
    assert metrics["chunks_full_form"] == 1
    for found in (reader, narrow_reader(real_chunk)):
        for _ in range(3):
            assert run(found, real_chunk, process)[0] == expected
    found.close()


def test_what_was_learned_suffices_from_then_on(real_chunk, reader):
    results = [run(reader, real_chunk, select) for _ in range(4)]
    assert len({output for output, _ in results}) == 1
    assert [m["chunks_full_form"] for _, m in results] == [1, 0, 0, 0]
    assert results[-1][1]["chunks_again"] == 0


def test_coordinates_of_a_vector_are_kept_together(real_chunk, reader):
    """`MET.pt` is a method that looks for `phi` and uses it not."""

    def add(events):
        return float(ak.sum(events.MET.pt)), float(ak.sum((events.Muon + events.Muon).pt))

    counts = [run(reader, real_chunk, add)[1] for _ in range(2)]
    assert [m["chunks_again"] for m in counts] == [0, 0]


def test_what_is_asked_of_a_whole_record_is_learned_at_once(real_chunk, reader):
    """Adding candidates has awkward go through all fields of the record, used or not."""

    def pair(events):
        two = events.Muon[ak.num(events.Muon) == 2]
        return float(ak.sum((two[:, 0] + two[:, 1]).mass))

    counts = [run(reader, real_chunk, pair)[1] for _ in range(3)]
    assert [m["chunks_again"] for m in counts] == [0, 1, 0]


def test_what_was_changed_in_place_is_as_in_the_file_when_the_chunk_is_processed_again(
    real_chunk, reader
):
    def scale(events):
        pt = ak.to_numpy(ak.flatten(events.Jet["pt"]))
        pt *= 2
        return float(ak.sum(events.Jet["pt"])), events.PV.npvs[0] if is_later else 0

    is_later = False
    expected = [run(reader, real_chunk, scale)[0][0] for _ in range(2)]
    is_later = True
    (found, _), metrics = run(reader, real_chunk, scale)
    assert metrics["chunks_again"] >= 1
    assert [found, found] == expected


def test_a_processor_that_asks_for_more_and_more_gets_everything(real_chunk, reader_of):
    found = narrow_reader(real_chunk)
    names = real_chunk_fields(found, real_chunk)[:20]
    output, metrics = run(found, real_chunk, lambda e: [str(e[name].type) for name in names])
    expected, _ = run(
        reader_of("NanoAODSchema"), real_chunk, lambda e: [str(e[n].type) for n in names]
    )
    assert output == expected
    assert metrics["chunks_again"] <= 8
    found.close()


def real_chunk_fields(reader, chunk):
    return run(reader, chunk, lambda events: events.fields)[0]


def test_datasets_of_the_same_layout_learn_apart_and_layouts_do_not_mix(
    write_events, entry_of, chunks_of, tmp_path, reader
):
    first = chunks_of(entry_of(write_events("a.root")))[0]
    other = tmp_path / "other.root"
    with uproot.recreate(other) as file:
        event = np.arange(10, dtype=np.int64)
        file["Events"] = {
            "run": np.ones(10, np.uint32),
            "luminosityBlock": np.ones(10, np.uint32),
            "event": event,
            "MET_pt": event.astype(np.float32),
            "MET_phi": event.astype(np.float32),
        }
    second = chunks_of(entry_of(other))[0]

    def weigh(events):
        if "genWeight" in events.fields:
            return float(ak.sum(events.genWeight * events.MET.pt))
        return float(ak.sum(events.MET.pt))

    for _ in range(3):
        assert run(reader, first, weigh)[0] == pytest.approx(
            sum((-1 if e % 5 == 0 else 1) * e for e in range(300))
        )
        assert run(reader, second, weigh)[0] == 45


def test_errors_are_those_of_all_the_columns(real_chunk):
    found = narrow_reader(real_chunk)
    with found.read(real_chunk, {}) as data:
        with pytest.raises(AttributeError) as caught:
            data.call(lambda events: events.Muon.ptt)
        explained = explain_error(caught.value, data)
        assert isinstance(explained, ColumnNotFoundError)
        assert "Muon.pt" in explained.fix
    found.close()


def test_what_takes_the_place_of_a_column_answers_nothing(real_chunk):
    form = ak.Array([{"x": 1, "y": [1, 2]}]).layout.form
    asked = set()
    left_out = LeftOut(("y",), form.content("y"), asked)
    assert left_out.minmax_depth == (2, 2)
    assert left_out.branch_depth == (False, 2)
    assert left_out._carry(None) is left_out
    for question in ("form", "fields", "contents", "dtype", "is_record", "to_list", "nonsense"):
        asked.clear()
        with pytest.raises(LeftOutError):
            getattr(left_out, question)
        assert asked == {("*",)}
    asked.clear()
    with pytest.raises(LeftOutError):
        ak.Array(left_out)
    assert asked == {("y",)}


def test_a_form_is_pruned_to_what_was_used():
    form = ak.forms.from_dict(
        {
            "class": "RecordArray",
            "fields": ["a", "b", "c"],
            "contents": [
                {"class": "NumpyArray", "primitive": "int64", "form_key": "a"},
                {
                    "class": "ListOffsetArray",
                    "offsets": "i64",
                    "form_key": "n",
                    "content": {
                        "class": "RecordArray",
                        "fields": ["one", "two"],
                        "contents": [
                            {"class": "NumpyArray", "primitive": "int64", "form_key": "x"},
                            {"class": "NumpyArray", "primitive": "int64", "form_key": "y"},
                        ],
                    },
                },
                {"class": "NumpyArray", "primitive": "int64", "form_key": "c"},
            ],
        }
    )
    narrowing = Narrowing(form)
    assert not narrowing.is_ready
    narrowing.learn({"n,!offsets"})
    assert narrowing.is_ready
    assert narrowing.narrow_form().fields == ["b"]
    assert narrowing.narrow_form().content("b").content.fields == []
    narrowing.learn({"x"})
    assert narrowing.narrow_form().content("b").content.fields == ["one"]
    layout = narrowing.fill_up(narrowing.narrow_form().length_zero_array(highlevel=False))
    assert layout.fields == ["a", "b", "c"]
    assert layout.content("b").content.fields == ["one", "two"]


@pytest.mark.parametrize("schema", [BaseSchema, NanoAODSchema, None])
def test_other_views_of_a_file_work_the_same(write_events, entry_of, chunks_of, schema):
    found = Reader(schema)
    chunks = chunks_of(entry_of(write_events()), 3)
    sums = [[run(found, c, lambda e: int(ak.sum(e.event)))[0] for c in chunks] for _ in range(2)]
    assert sums[0] == sums[1]
    assert sum(sums[0]) == 300 * 299 // 2
    found.close()
