from __future__ import annotations

import base64

import numpy as np
import pytest
from tests.results.runs_by_hand import HOSTILE, add_outputs, make_output, make_zoo

from beampipe.results.report import figures


def test_each_figure_says_what_is_on_it():
    left, right = make_output(1), make_output(2, scale=2)
    del left["nested"], right["nested"]
    drawn, left_out = figures.draw_figures(add_outputs(left, right), {"DY": left, HOSTILE: right})
    assert left_out == []
    (figure,) = drawn
    assert figure.source.startswith("data:image/svg+xml;base64,")
    assert figure.themed
    assert figure.alt == (
        f"Histogram mass over $m_{{\\mu\\mu}}$ [GeV], {figure.caption.partition(';')[0]}, "
        f"stacked by dataset: {HOSTILE}, DY."
    )
    assert figure.caption.startswith("sum 336,")


def test_a_figure_too_large_for_svg_is_png(monkeypatch):
    monkeypatch.setattr(figures, "_MAX_SVG_BYTES", 1000)
    drawn, _ = figures.draw_figures({"met": make_zoo()["met"]}, {})
    assert not drawn[0].themed
    head, _, data = drawn[0].source.partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data).startswith(b"\x89PNG")


def test_what_is_beyond_the_limit_is_named(monkeypatch):
    monkeypatch.setattr(figures, "MAX_FIGURES", 1)
    drawn, left_out = figures.draw_figures({"three": make_zoo()["three"]}, {})
    assert [figure.name for figure in drawn] == ["three.x"]
    assert left_out == ["three.y", "three.z"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("eta_phi", "Two-dimensional histogram eta_phi over"),
        ("cuts", "Bar chart cuts over selection, sum 1,750"),
        ("nothing", "nothing: a histogram without bins."),
        ("profile", "means of 1,999"),
    ],
)
def test_every_kind_has_words(name, words):
    zoo = make_zoo()
    if name == "profile":
        zoo["profile"].view()["count"][-1] = 0
        assert np.isfinite(zoo["profile"].counts().sum())
        words = "means of 2,000"
    drawn, _ = figures.draw_figures({name: zoo[name]}, {})
    assert words in drawn[0].alt
