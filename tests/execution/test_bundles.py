import asyncio
import hashlib
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import awkward as ak
import cloudpickle
import hist
import numpy as np
import pytest
import uproot

from beampipe.datasets.chunks import chunk_range
from beampipe.datasets.counting import count_file
from beampipe.datasets.model import Chunk, FilePlan, FileSpec
from beampipe.datasets.samples import make_data
from beampipe.errors import (
    AccumulationError,
    FileMissingError,
    ProcessorOutputError,
    SchemaError,
)
from beampipe.execution import bundles as module
from beampipe.execution.bundles import Bundle, RunContext, Trail, run_bundle
from beampipe.execution.manifest import Manifest
from beampipe.execution.processors import Processor
from beampipe.reading import reader as reading

SHARED = {"hist": hist.Hist.new.Reg(10, 0, 1000, name="x").Int64(), "list": [1]}


class NoExceptionError(BaseException):
    """What some libraries raise to pass every `except Exception`."""


class BrokenError(Exception):
    def __str__(self):
        raise RuntimeError("not printable")


@pytest.fixture(autouse=True)
def _no_bench_is_left(monkeypatch):
    """Every test begins and ends without open trees."""
    monkeypatch.setattr(module, "_LOCAL", threading.local())
    yield
    bench = getattr(module._LOCAL, "bench", None)
    if bench is not None:
        bench.reader.close()


@pytest.fixture
def make_context(hostile_name):
    def make(process, schema=None, **metadata):
        target = process if isinstance(process, Processor) else Processor(process, "process")
        payload = cloudpickle.dumps((target, schema))
        digest = hashlib.sha256(payload).hexdigest()
        return RunContext(digest, payload, {hostile_name: metadata})

    return make


# -- with a reader that makes its events up -------------------------------------------------


class MadeUpEvents:
    def __init__(self, start, stop, chunk):
        self.start, self.stop, self.chunk = start, stop, chunk
        self.events, self.url, self.is_closed = list(range(start, stop)), "/made/up.root", False

    def known_columns(self):
        return ()

    def call(self, function):
        return function(self.events)

    def read_s(self):
        return 0.0

    def metrics(self):
        return {"open_s": 0.0, "read_s": 0.0, "bytes_read": 10}

    def check_unchanged(self):
        pass

    def close(self):
        self.is_closed = True


class MadeUpReader:
    """Its events are the numbers of the entries; a file called ``missing`` is not there."""

    made = ()

    def __init__(self, schema, **_):
        if schema == "broken":
            raise SchemaError("no such schema")
        self.given, self.ahead, self.is_closed = [], [], False
        MadeUpReader.made = (*MadeUpReader.made, self)

    def read(self, chunk, metadata, *, avoid=(), piece=(0, 1), on_read=None):  # noqa: ARG002
        assert not self.is_closed
        if chunk.plan.file.uuid == "missing":
            raise FileMissingError("it is not there", why="404", fix="look for it")
        start, stop = reading._cut(chunk_range(chunk), *piece)
        self.given.append(MadeUpEvents(start, stop, chunk_range(chunk)))
        return self.given[-1]

    def look_ahead(self, chunk, **_):
        self.ahead.append(chunk.k)

    def drop_ahead(self):
        self.ahead.append(None)

    def close(self):
        self.is_closed = True


@pytest.fixture
def made_up(monkeypatch):
    monkeypatch.setattr(reading, "Reader", MadeUpReader)
    monkeypatch.setattr(MadeUpReader, "made", ())
    return MadeUpReader


@pytest.fixture
def make_bundle(make_file_plan, hostile_name):
    def make(*ks, uuid="u", n=4, budget_s=60.0, attempt=1, **others):
        plan = make_file_plan(uuid, n=n)
        ks = ks or range(n)
        chunks = tuple(Chunk(plan, k) for k in ks)
        return Bundle(7, hostile_name, chunks, budget_s, attempt, **others)

    return make


def test_values_are_added_and_the_manifest_says_what_is_in_them(
    made_up, make_context, make_bundle, hostile_name
):
    context = make_context(lambda events: {"n": len(events), "ids": list(events)})
    partial = run_bundle(context, make_bundle())
    assert partial.value == {"n": 100, "ids": list(range(100))}
    assert partial.manifest.dataset == hostile_name
    assert [tuple(chunk) for chunk in partial.manifest.done] == [
        ("u", k, 4, 25 * k, 25 * k + 25) for k in range(4)
    ]
    assert partial.manifest.failed == ()
    assert partial.remainder == ()
    assert partial.metrics["events"] == 100
    assert partial.metrics["bytes_read"] == 40
    assert partial.metrics["bundles"] == 1
    stages = {"open_s", "read_s", "process_s", "add_s", "bundle_s"}
    assert stages <= partial.metrics.keys()
    assert all(partial.metrics[stage] >= 0 for stage in stages)
    assert all(data.is_closed for data in made_up.made[0].given)


def test_a_failure_in_the_middle_costs_that_chunk_alone(made_up, make_context, make_bundle):
    def process(events):
        if events[0] == 25:
            raise ValueError('bad "µ" at https://me:hunter2@host/x?token=abc')
        return {"n": len(events)}

    partial = run_bundle(make_context(process), make_bundle(attempt=2))
    assert partial.value == {"n": 75}
    assert [chunk.k for chunk in partial.manifest.done] == [0, 2, 3]
    (failure,) = partial.manifest.failed
    assert (failure.uuid, failure.k, failure.n, failure.start, failure.stop) == ("u", 1, 4, 25, 50)
    assert failure.code == "processor-failed"
    assert failure.error_type == "ValueError"
    assert failure.message.startswith('bad "µ" at https://me:***@host')
    assert "hunter2" not in failure.traceback
    assert "abc" not in failure.traceback
    assert "in process" in failure.traceback
    assert __file__ in failure.why
    assert failure.url == "/made/up.root"
    assert failure.host == socket.gethostname()
    assert failure.attempt == 2
    assert failure.worker == "inline"
    assert all(data.is_closed for data in made_up.made[0].given)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (SystemExit("enough"), "enough"),
        (MemoryError(), ""),
        (RecursionError("deep"), "deep"),
        (BrokenError(), "an error that raises when it is printed"),
        (NoExceptionError("passes"), "passes"),
        (asyncio.CancelledError("not Dask's"), "not Dask's"),
        (KeyError("µ"), "'µ'"),
    ],
)
def test_whatever_user_code_raises_is_recorded(made_up, make_context, make_bundle, error, message):
    def process(events):
        raise error

    (failure,) = run_bundle(make_context(process), make_bundle(0, is_last_try=True)).manifest.failed
    assert (failure.error_type, failure.message) == (type(error).__name__, message)


def test_an_interrupt_is_not_the_chunks_failure(made_up, make_context, make_bundle):
    def process(events):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_bundle(make_context(process), make_bundle())
    assert made_up.made[0].given[0].is_closed


def test_an_interrupt_in_a_workers_thread_is_the_processors_own(made_up, make_context, make_bundle):
    def process(events):
        raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as threads:
        partial = threads.submit(run_bundle, make_context(process), make_bundle(0)).result()
    assert [failure.error_type for failure in partial.manifest.failed] == ["KeyboardInterrupt"]


def test_a_message_of_megabytes_keeps_both_ends(made_up, make_context, make_bundle):
    def process(events):
        raise ValueError("begin" + "x" * 5_000_000 + "end")

    (failure,) = run_bundle(make_context(process), make_bundle(0)).manifest.failed
    assert failure.message.startswith("begin")
    assert failure.message.endswith("end")
    assert "characters ..." in failure.message
    assert len(failure.message) + len(failure.traceback) < 50_000
    assert "in process" in failure.traceback


def test_a_file_that_does_not_open_fails_where_its_chunk_lies_nominally(
    made_up, make_context, make_bundle
):
    partial = run_bundle(make_context(len), make_bundle(1, uuid="missing"))
    (failure,) = partial.manifest.failed
    assert partial.value is None
    assert (failure.start, failure.stop) == (25, 50)
    assert failure.code == "dataset-file-missing"
    assert failure.message == "it is not there"
    assert "404" in failure.why
    assert failure.fix == "look for it"
    assert failure.url == "/data/missing µ.root"


@pytest.mark.parametrize(
    ("output", "message"),
    [(None, "returned None"), (object(), "cannot be added"), ({"a": {"b": open}}, "cannot be")],
)
def test_an_output_that_is_none_or_cannot_be_added_is_that_chunks_failure(
    made_up, make_context, make_bundle, output, message
):
    partial = run_bundle(make_context(lambda events: events and output), make_bundle(0, 1))
    assert [failure.code for failure in partial.manifest.failed] == ["processor-output"] * 2
    assert message in partial.manifest.failed[0].message


def test_outputs_that_do_not_fit_each_other_end_the_bundle(made_up, make_context, make_bundle):
    def process(events):
        return {"n": 1 if events[0] else hist.Hist.new.Reg(2, 0, 1).Int64()}

    with pytest.raises(AccumulationError, match="hist.Hist and int"):
        run_bundle(make_context(process), make_bundle())
    assert all(data.is_closed for data in made_up.made[0].given)


@pytest.mark.parametrize("in_one_bundle", [True, False])
@pytest.mark.parametrize("kind", ["the output", "a leaf"])
def test_the_same_object_twice_ends_the_bundle(
    made_up, make_context, make_bundle, in_one_bundle, kind
):
    def process(events):
        # A module that stays on the worker, as an installed one does.
        from tests.execution import test_bundles

        shared = test_bundles.SHARED
        shared["hist"].fill([1])
        return shared if kind == "the output" else {"n": 1, "deep": {"mine": shared["hist"]}}

    context = make_context(process)
    sizes = [(0, 1)] if in_one_bundle else [(0,), (1,)]
    *before, last = [make_bundle(*ks) for ks in sizes]
    for bundle in before:
        run_bundle(context, bundle)
    with pytest.raises(ProcessorOutputError, match="same object for two chunks: output"):
        run_bundle(context, last)


def test_every_chunk_has_a_fresh_processor(made_up, make_context, make_bundle):
    class Counter:
        def __init__(self):
            self.n = 0

        def process(self, events):
            self.n += len(events)
            return {"n": self.n}

    context = make_context(Processor(Counter(), "Counter"))
    assert run_bundle(context, make_bundle()).value == {"n": 100}


def test_when_the_time_is_up_the_rest_is_handed_back(made_up, make_context, make_bundle):
    context = make_context(lambda events: {"n": len(events)})
    partial = run_bundle(context, make_bundle(budget_s=-1.0))
    assert partial.value == {"n": 25}
    assert partial.remainder == (("u", 1), ("u", 2), ("u", 3))
    rest = run_bundle(context, make_bundle(1, 2, 3))
    assert rest.remainder == ()
    assert rest.value == {"n": 75}


def test_a_chunk_without_events_is_done_and_not_shown_to_the_processor(
    made_up, make_context, make_bundle
):
    def process(events):
        return {"n": len(events), "first": events[0] * 0}

    partial = run_bundle(make_context(process), make_bundle(n=300))
    assert partial.value == {"n": 100, "first": 0}
    assert len(partial.manifest.done) == 300
    assert partial.manifest.n_events == 100
    alone = run_bundle(make_context(process), make_bundle(0, n=300))
    assert (alone.value, len(alone.manifest.done)) == (None, 1)


def test_what_the_processor_keeps_of_its_first_output_is_not_changed(
    made_up, make_context, make_bundle
):
    def process(events):
        import sys

        kept = sys.modules.setdefault("kept by a processor", [])
        kept.append(np.ones(3))
        return {"ones": kept[-1]}

    import sys

    try:
        partial = run_bundle(make_context(process), make_bundle())
        kept = sys.modules["kept by a processor"]
        assert [array.tolist() for array in kept] == [[1, 1, 1]] * 4
    finally:
        del sys.modules["kept by a processor"]
    assert partial.value["ones"].tolist() == [4, 4, 4]


@pytest.mark.parametrize("payload", [b"", b"no pickle", b"cnowhere_7\nprocess\n."])
def test_a_processor_that_cannot_be_unpacked_fails_every_chunk(made_up, make_bundle, payload):
    partial = run_bundle(RunContext("digest", payload, {}), make_bundle(0, 2))
    assert [failure.code for failure in partial.manifest.failed] == ["processor-pickle"] * 2
    assert "nowhere_7" in partial.manifest.failed[0].why or payload[:1] != b"c"
    assert partial.remainder == ()
    assert partial.metrics["bundles"] == 1


def test_a_schema_that_a_worker_does_not_know_fails_every_chunk(made_up, make_context, make_bundle):
    partial = run_bundle(make_context(len, "broken"), make_bundle(0))
    assert partial.manifest.failed[0].code == "reading-schema"


def test_trees_stay_open_between_bundles_and_are_closed_for_the_next_run(
    made_up, make_context, make_bundle
):
    one, two = make_context(lambda events: {"n": len(events)}), make_context(len)
    run_bundle(one, make_bundle(0))
    run_bundle(one, make_bundle(1))
    assert len(made_up.made) == 1
    run_bundle(two, make_bundle(2))
    assert [reader.is_closed for reader in made_up.made] == [True, False]
    run_bundle(make_context(len, "broken"), make_bundle(3))
    # The next bundle of the run before must not meet the closed reader.
    assert run_bundle(two, make_bundle(3)).value == 25


def test_a_chunk_in_pieces_gives_what_it_gives_whole(made_up, make_context, make_bundle):
    context = make_context(lambda events: {"ids": list(events)})
    whole = run_bundle(context, make_bundle())
    parts = run_bundle(context, make_bundle(pieces=4))
    assert parts.value == whole.value
    assert parts.manifest.done == whole.manifest.done
    assert [tuple(row) for row in parts.manifest.split] == [("u", k, 4) for k in range(4)]
    assert [len(events.events) for events in made_up.made[0].given[4:8]] == [6, 6, 6, 7]
    assert parts.manifest == Manifest.from_json(parts.manifest.to_json())


def test_a_chunk_with_more_pieces_than_events(made_up, make_context, make_bundle):
    seen = []

    def process(events):
        seen.append(len(events))
        return {"n": len(events)}

    partial = run_bundle(make_context(process), make_bundle(1, pieces=64))
    assert partial.value == {"n": 25}
    assert 0 not in seen


def test_a_piece_that_fails_leaves_nothing_of_its_chunk(made_up, make_context, make_bundle):
    def process(events):
        if 30 in events:
            raise ValueError("30")
        return {"n": len(events)}

    partial = run_bundle(make_context(process), make_bundle(pieces=5))
    assert partial.value == {"n": 75}
    (failure,) = partial.manifest.failed
    assert (failure.k, failure.start, failure.stop) == (1, 25, 50)


@pytest.mark.parametrize("is_last", [False, True])
def test_what_may_pass_is_handed_back_until_the_last_try(
    made_up, make_context, make_bundle, is_last
):
    def process(events):
        if 30 in events:
            raise MemoryError
        return {"n": len(events)}

    partial = run_bundle(make_context(process), make_bundle(is_last_try=is_last, attempt=3))
    kept, other = partial.manifest.failed, partial.returned
    kept, other = (kept, other) if is_last else (other, kept)
    assert other == ()
    assert [(failure.k, failure.kind, failure.attempt) for failure in kept] == [(1, "resource", 3)]
    assert partial.value == {"n": 75}


def test_a_bundle_that_nobody_wants_is_handed_back_whole(made_up, make_context, make_bundle):
    partial = run_bundle(make_context(len), make_bundle(), is_unwanted=lambda: True)
    assert partial.value is None
    assert partial.remainder == tuple(("u", k) for k in range(4))


def test_word_is_left_of_every_chunk(made_up, make_context, make_bundle):
    said = []

    class Said(Trail):
        def begin(self, bundle, chunk):
            said.append((bundle, chunk))

        def end(self):
            said.append("end")

    def process(events):
        assert said[-1] != "end"
        if 30 in events:
            raise ValueError
        return 1

    run_bundle(make_context(process), make_bundle(0, 1), trail=Said())
    assert said == [(7, ("u", 0)), "end", (7, ("u", 1)), "end"]


def test_chunks_that_were_given_up_are_failures_of_the_bundle(
    made_up, make_context, make_bundle, make_failed
):
    lost = make_failed(k=2, start=50, stop=75)
    partial = run_bundle(make_context(len), make_bundle(given_up=(lost,)))
    assert partial.manifest.failed == (lost,)
    assert partial.value == 75


# -- with real files ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data 'µ'")
    return make_data(folder, files=2, events=300)


@pytest.fixture
def real_bundle(files, hostile_name):
    def make(path=files[0], n=3, budget_s=60.0):
        plan = FilePlan(count_file(FileSpec((str(path),)), hostile_name), n, n, 300)
        return Bundle(1, hostile_name, tuple(Chunk(plan, k) for k in range(n)), budget_s)

    return make


def expected(path, name):
    with uproot.open({path: "Events"}) as tree:
        return tree[name].array()


@pytest.mark.parametrize("schema", [None, "NanoAODSchema"])
def test_real_files_under_both_kinds_of_events(real_bundle, make_context, files, schema):
    def process(events):
        pt = events.MET_pt if "MET_pt" in events.fields else events.MET.pt
        found = events.metadata
        return {
            "met": hist.Hist.new.Reg(50, 0, 200, name="met").Double().fill(pt),
            "n": len(events),
            "year": {found["year"]},
            "dataset": {found["dataset"]},
        }

    context = make_context(process, schema, year=2018)
    partial = run_bundle(context, real_bundle())
    assert partial.manifest.failed == ()
    assert partial.value["n"] == 300
    assert partial.value["year"] == {2018}
    assert partial.value["dataset"] == {partial.manifest.dataset}
    counts = np.histogram(expected(files[0], "MET_pt"), 50, (0, 200))[0]
    assert partial.value["met"].values().tolist() == counts.tolist()
    assert partial.metrics["bytes_read"] > 0


@pytest.mark.parametrize("schema", [None, "NanoAODSchema"])
def test_columns_that_are_returned_untouched_are_loaded_before_the_file_is_closed(
    real_bundle, make_context, files, schema
):
    def process(events):
        nano = "MET" in events.fields
        met = events.MET.pt if nano else events.MET_pt
        return {"deep": {"met": met, "list": [met], "jets": events.Jet if nano else events.Jet_pt}}

    value = run_bundle(make_context(process, schema), real_bundle(n=1)).value["deep"]
    module._LOCAL.bench.reader.close()
    for found in (value["met"], value["list"][0]):
        assert ak.all(found == expected(files[0], "MET_pt"))
    jets = value["jets"] if schema is None else value["jets"].pt
    assert ak.all(jets == expected(files[0], "Jet_pt"))


def test_a_column_that_is_not_there_names_the_closest(real_bundle, make_context):
    (failure, *_) = run_bundle(
        make_context(lambda events: {"n": events.Muon.ptt}, "NanoAODSchema"), real_bundle()
    ).manifest.failed
    assert failure.code == "reading-column-not-found"
    assert "pt" in f"{failure.message} {failure.why} {failure.fix}"
    assert __file__ in failure.why


def test_a_file_that_went_away_and_one_that_was_replaced(
    real_bundle, make_context, files, tmp_path
):
    path = tmp_path / "Z → µµ 'x' \"q\".root"
    path.write_bytes(files[0].read_bytes())
    bundle = real_bundle(path)
    context = make_context(lambda events: {"n": len(events)}, None)
    path.unlink()
    first = run_bundle(context, bundle)
    assert {failure.code for failure in first.returned} == {"dataset-file-missing"}
    assert not first.manifest.failed  # another host may see it
    gone = run_bundle(context, replace(bundle, attempt=2)).manifest.failed
    assert {(failure.code, failure.kind) for failure in gone} == {("dataset-file-missing", "data")}
    assert sum(failure.stop - failure.start for failure in gone) == 300
    path.write_bytes(files[1].read_bytes())
    changed = run_bundle(context, bundle).manifest.failed
    assert {failure.code for failure in changed} == {"reading-file-changed"}
    path.write_bytes(files[0].read_bytes())
    os.utime(path)
    assert run_bundle(context, bundle).value == {"n": 300}


def test_a_thread_that_ends_closes_its_trees(monkeypatch):
    closed = []

    class Reader:
        def __init__(self, schema, **_):
            self.schema = schema

        def close(self):
            closed.append(self.schema)

    monkeypatch.setattr(reading, "Reader", Reader)
    payload = cloudpickle.dumps((Processor(len, "len"), "a schema"))

    def work():
        module._workbench(RunContext("abc", payload, {}))
        assert closed == []

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert closed == ["a schema"]


@pytest.mark.parametrize(
    ("options", "ahead"),
    [
        ({}, [1, 2, None]),
        ({"attempt": 2}, [None]),
        ({"is_suspect": True}, [None]),
        ({"pieces": 2}, [None]),
    ],
    ids=["new", "tried before", "suspect", "in pieces"],
)
def test_the_next_chunk_is_read_ahead_unless_a_death_could_be_taken_for_this_ones(
    made_up, make_context, make_bundle, options, ahead
):
    run_bundle(make_context(lambda events: {"n": len(events)}), make_bundle(0, 1, 2, **options))
    assert made_up.made[-1].ahead == ahead
