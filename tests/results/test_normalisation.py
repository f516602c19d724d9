"""Numbers that are only right for whole datasets."""

from __future__ import annotations

from dataclasses import replace

import hist
import pytest

from beampipe.errors import IncompleteDatasetError, NormalisationError
from beampipe.execution.accounting import Accounting, DatasetAccounting
from beampipe.results.normalisation import (
    processed_luminosity,
    scale_to_luminosity,
    sum_of_weights,
)
from beampipe.results.result import RunResult

HOSTILE = "Z → µµ 'x' \"q\""
LUMI, XSEC = 100.0, 50.0  # 1/pb, pb


def output(n, weight):
    """n events of one weight: what a processor gives back."""
    mass = hist.Hist.new.Reg(1, 0, 1, name="m").Weight()
    mass.fill([0.5] * n, weight=weight)
    return {"mass": mass, "cutflow": {"all": n, "two": n // 2}, "weights": {"sum": n * weight}}


def sums(name, planned, processed, *, files=4, uncounted=0):
    return DatasetAccounting(
        name, files, uncounted, planned, processed, planned - processed, 0, 4, 4, 0
    )


@pytest.fixture
def whole(whole_record):
    """40 simulated events of weight 2, and 10 of data."""
    return replace(
        whole_record,
        by_dataset={HOSTILE: output(40, 2.0), "data": output(10, 1.0)},
        accounting=Accounting((sums(HOSTILE, 40, 40), sums("data", 10, 10))),
        metadata={HOSTILE: {"xsec": XSEC}, "data": {}},
        provenance={"options": {"on_error": "skip"}},
    )


@pytest.fixture
def holed(whole):
    """Half of the simulated events and a fifth of the data are missing."""
    return replace(
        whole,
        by_dataset={HOSTILE: output(20, 2.0), "data": output(8, 1.0)},
        accounting=Accounting((sums(HOSTILE, 40, 20), sums("data", 10, 8))),
    )


def scale(run, **options):
    return scale_to_luminosity(run, LUMI, **{"sumw": "weights/sum", "data": ["data"], **options})


def n_expected(scaled):
    return scaled.by_dataset[HOSTILE]["mass"].values()[0]


def test_a_whole_dataset_gives_cross_section_times_luminosity(whole):
    assert sum_of_weights(whole, HOSTILE, key="weights/sum") == 80
    assert processed_luminosity(whole, "data", 59.8) == 59.8
    scaled = scale(whole)
    assert scaled.factors == {HOSTILE: XSEC * LUMI / 80, "data": 1.0}
    assert n_expected(scaled) == XSEC * LUMI
    assert scaled.by_dataset[HOSTILE]["cutflow"]["two"] == 20 * XSEC * LUMI / 80
    assert scaled.output["mass"].values()[0] == XSEC * LUMI + 10
    assert scaled.is_complete
    assert scaled.left_out == ("weights/sum",)
    assert "INCOMPLETE" not in str(scaled)
    # with the sum and the cross section from elsewhere
    assert n_expected(scale(whole, sumw={HOSTILE: 160}, xsec={HOSTILE: 1})) == pytest.approx(50)
    # the methods are the functions
    result = RunResult(whole)
    assert result.sum_of_weights(HOSTILE, key="weights/sum") == 80
    assert result.luminosity("data", 3.0) == 3.0
    assert (
        result.scale_to_luminosity(LUMI, sumw="weights/sum", data="data").factors == scaled.factors
    )


@pytest.mark.parametrize(
    "normalise",
    [
        lambda run: sum_of_weights(run, HOSTILE, key="weights/sum"),
        lambda run: processed_luminosity(run, "data", 59.8),
        scale,
        lambda run: scale(run, sumw={HOSTILE: 80.0}),
    ],
)
def test_a_hole_is_refused(holed, normalise):
    with pytest.raises(IncompleteDatasetError, match="were not processed") as caught:
        normalise(holed)
    assert "allow_incomplete=True" in caught.value.fix
    assert caught.value.missing_share > 0


def test_data_with_a_hole_are_refused_although_they_are_not_scaled(holed, whole):
    run = replace(
        whole, accounting=Accounting((whole.accounting.datasets[0], holed.accounting.datasets[1]))
    )
    with pytest.raises(IncompleteDatasetError) as caught:
        scale(run)
    assert caught.value.dataset == "data"


@pytest.mark.parametrize("sumw", ["weights/sum", {HOSTILE: 80.0}])
def test_processed_events_may_stand_for_the_whole_and_that_is_said(holed, sumw):
    with pytest.warns(UserWarning, match="20 of 40 events") as warned:
        scaled = scale(holed, sumw=sumw, allow_incomplete=True)
    assert "2 of 10 events of data" in str(warned[0].message)
    assert n_expected(scaled) == pytest.approx(XSEC * LUMI)
    assert not scaled.is_complete
    assert set(scaled.notes) == {HOSTILE, "data"}
    assert "50.0 % of it is missing" in scaled.notes[HOSTILE]
    assert str(scaled).count("INCOMPLETE") == 2
    with pytest.warns(UserWarning, match="taken to be 80.0 % of 59.8"):
        luminosity = processed_luminosity(holed, "data", 59.8, allow_incomplete=True)
    assert luminosity == pytest.approx(0.8 * 59.8)
    with pytest.warns(UserWarning, match="of the processed events"):
        assert sum_of_weights(holed, HOSTILE, key="weights/sum", allow_incomplete=True) == 40


def test_files_that_could_not_be_counted_are_a_hole(whole):
    run = replace(whole, accounting=Accounting((sums(HOSTILE, 40, 40, uncounted=1),)))
    with pytest.raises(IncompleteDatasetError, match="1 file of Z .* not be counted") as caught:
        scale(run, data=())
    assert "0 of 40" not in caught.value.why
    assert "run anew" in caught.value.fix
    with pytest.warns(UserWarning, match=r"about 25.0 % of it is missing"):
        scaled = scale(run, data=(), sumw={HOSTILE: 120.0}, allow_incomplete=True)
    # three of four files were processed, so 90 of the weights of 120
    assert scaled.factors[HOSTILE] == pytest.approx(XSEC * LUMI / 90)


def test_a_trial_is_no_whole_dataset(whole):
    run = replace(whole, provenance={"options": {"maxfiles": 2}})
    with pytest.raises(IncompleteDatasetError, match="a trial on a part .*maxfiles=2") as caught:
        scale(run)
    assert "without maxfiles" in caught.value.fix
    with pytest.warns(UserWarning, match="trial"):
        assert n_expected(scale(run, allow_incomplete=True)) == XSEC * LUMI
    with pytest.raises(NormalisationError, match="limited to a part of it by maxfiles"):
        scale(run, sumw={HOSTILE: 80.0}, allow_incomplete=True)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"xsec": "cross_section"}, "'cross_section' in its metadata"),
        ({"xsec": {}}, "it is not there"),
        ({"data": []}, "'data' has no usable number for 'xsec' in its metadata"),
        ({"data": ["dat"]}, "no dataset 'dat'"),
        ({"sumw": "sumw"}, "the numbers in it are weights/sum"),
        ({"sumw": "mass"}, "no usable number"),
        ({"sumw": {}}, "it is not there"),
        ({"sumw": {HOSTILE: 0}}, "it is 0"),
        ({"sumw": {HOSTILE: float("nan")}}, "it is nan"),
    ],
)
def test_a_number_that_is_missing_or_makes_no_sense(whole, options, reason):
    with pytest.raises(NormalisationError, match=reason):
        scale(whole, **options)


def test_nothing_processed_is_nothing_to_scale(whole):
    run = replace(whole, by_dataset={}, accounting=Accounting((sums(HOSTILE, 40, 0),)))
    with pytest.raises(NormalisationError, match="nothing of it"):
        processed_luminosity(run, HOSTILE, 1.0, allow_incomplete=True)
    with pytest.raises(NormalisationError, match="no number in it"):
        scale(run, data=(), allow_incomplete=True)
