from __future__ import annotations

import pytest
from matplotlib.figure import Figure
from tests.results.runs_by_hand import HOSTILE

from beampipe.results.drawing import lettering


@pytest.fixture
def axes():
    return Figure().add_subplot()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"$m_{\mu\mu}$ [GeV]", True),
        ("5 $ and 6 $ more\\frac{", True),
        (r"$\frac{", False),
        (r"$\frac{$", False),
        ("plain", False),
    ],
)
def test_only_valid_mathematics_is_mathematics(text, expected):
    assert lettering.is_math(text) is expected


def test_titles_are_literal_short_and_on_one_line(axes):
    lettering.write_title(axes, f"{HOSTILE}\n{HOSTILE}", ["summed over x"])
    axes.figure.draw_without_rendering()
    title = axes.get_title(loc="left")
    assert "\n" not in title
    assert len(title) <= 51
    assert title.startswith("Z → µµ 'x'")
    assert axes.texts[0].get_text() == "summed over x"


def test_hostile_labels_and_categories_are_drawn(axes):
    lettering.write_axis_label(axes.xaxis, HOSTILE)
    lettering.write_categories(axes.yaxis, [0, 1], [HOSTILE, "$"])
    axes.figure.draw_without_rendering()
    assert axes.xaxis.label.get_text() == HOSTILE
    assert axes.get_yticklabels()[1].get_text() == "$"


def test_a_legend_takes_its_room_and_keeps_names_literal(axes):
    for i in range(5):
        axes.plot([0, 1], label=f"${i}\\frac{{")
    order = [f"${i}\\frac{{" for i in (4, 2, 0, 1, 3)]
    share = lettering.write_legend(axes, "channel", order)
    axes.figure.draw_without_rendering()
    legend = axes.get_legend()
    assert legend.get_texts()[0].get_text() == "$4\\frac{"
    box = legend.get_window_extent().height / axes.get_window_extent().height
    assert 0 < share < 1
    assert box < share + 0.1


def test_ticks_are_plain_and_powers_stand_at_the_end(axes):
    axes.plot([0, 1], [0, 5e6])
    lettering.write_ticks(axes.yaxis)
    axes.figure.draw_without_rendering()
    assert axes.yaxis.get_offset_text().get_text() == "× 10⁶"
    assert "$" not in axes.get_yticklabels()[1].get_text()


def test_decades_are_powers_of_ten(axes):
    axes.plot([1, 2], [1, 1e6])
    axes.set_yscale("log")
    lettering.write_decades(axes.yaxis)
    write = axes.yaxis.get_major_formatter()
    assert [write(value) for value in (0, 1, 10, 1e-3, 20)] == ["", "10⁰", "10¹", "10⁻³", "20"]


@pytest.mark.parametrize(
    ("edges", "text"), [([0.25, 300], "100"), ([1e-6, 1], "10⁰"), ([1, 1e9], "10⁰")]
)
def test_everyday_ranges_are_written_plainly(axes, edges, text):
    axes.plot(edges, [0, 1])
    axes.set_xscale("log")
    lettering.write_decades(axes.xaxis)
    lettering.write_plain_decades(axes.xaxis, edges)
    axes.figure.draw_without_rendering()
    assert text in [label.get_text() for label in axes.get_xticklabels()]


def test_names_become_one_printable_line():
    assert lettering.one_line("a\tb\nc\x00") == "a b c "
    assert len(lettering.one_line("x" * 1000)) == 160
