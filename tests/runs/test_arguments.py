"""What is refused as an argument, and what it is called here."""

import inspect

import pytest

import beampipe as bp
from beampipe.errors import ArgumentError
from beampipe.runs.arguments import FOREIGN, check_budget, check_choice


def run(samples, tmp_path, **options):
    bp.run(len, samples, run_dir=tmp_path / "run", **{"client": "inline", **options})


@pytest.mark.parametrize("name", sorted(FOREIGN))
def test_arguments_of_coffea_are_translated(name, samples, tmp_path):
    with pytest.raises(ArgumentError) as caught:
        run(samples, tmp_path, **{name: 1})
    assert caught.value.fix == FOREIGN[name]
    assert name not in inspect.signature(bp.run).parameters


def test_a_misspelt_argument_gets_the_closest(samples, tmp_path):
    with pytest.raises(ArgumentError, match="'chunksize'"):
        run(samples, tmp_path, chunk_size=10)
    with pytest.raises(ArgumentError, match="it takes processor, fileset"):
        run(samples, tmp_path, xyz=10)


def test_a_budget_without_skipping_is_refused_unless_it_is_only_a_setting(
    samples, tmp_path, monkeypatch
):
    with pytest.raises(ArgumentError, match="--on-error skip"):
        run(samples, tmp_path, max_failed="1%")
    monkeypatch.setenv("BEAMPIPE_MAX_FAILED", "1%")
    run(samples, tmp_path)
    with pytest.raises(ArgumentError, match="--on-error skip"):
        bp.resume(tmp_path / "run", client="inline", max_failed=5)
    check_budget(5, "skip")


def test_a_word_that_means_nothing(samples, tmp_path):
    with pytest.raises(ArgumentError, match="stop, skip"):
        run(samples, tmp_path, on_error="ignore")
    check_choice("on_error", None, ("stop", "skip"))
    check_choice("on_error", "skip", ("stop", "skip"))
