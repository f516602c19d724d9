from __future__ import annotations

import subprocess
import sys

import hist
import matplotlib as mpl
import pytest
from PIL import Image
from tests.results.runs_by_hand import HOSTILE, make_zoo

from beampipe.errors import ResultError
from beampipe.results.drawing.views import plan_views
from beampipe.results.plots import (
    describe_view,
    make_stem,
    plan_plots,
    render_png,
    render_svg,
    save_plots,
    select_views,
)


@pytest.fixture(scope="module")
def views():
    return plan_plots(make_zoo())


def test_every_kind_of_histogram_becomes_a_picture(views, tmp_path):
    folder = tmp_path / "Z → µµ 'x' \"q\""
    paths = save_plots(views, folder)
    assert len(paths) == len(set(paths)) == len(views) == 14
    for path in paths:
        with Image.open(path) as image:
            assert min(image.size) > 400
            assert len(image.convert("L").getcolors(256)) > 2, f"{path.name} is blank"


@pytest.mark.parametrize(("image_format", "magic"), [("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_other_formats(image_format, magic, views, tmp_path):
    (path,) = save_plots(views[:1], tmp_path, image_format=image_format)
    assert path.suffix == f".{image_format}"
    assert path.read_bytes().startswith(magic)


def test_a_folder_that_cannot_be_is_a_known_error(views, tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ResultError, match="cannot be written"):
        save_plots(views[:1], file / "plots")


def test_the_users_matplotlib_stays_as_it_was(views):
    before = dict(mpl.rcParams)
    render_png(views[0])
    assert dict(mpl.rcParams) == before


def test_pyplot_never_hears_of_it():
    program = (
        "import hist, matplotlib; matplotlib.use('agg')\n"
        "import matplotlib.pyplot as plt\n"
        "mine = plt.figure()\n"
        "from beampipe.results.plots import plan_plots, render_svg\n"
        "h = hist.Hist.new.Reg(9, 0, 1).Reg(9, 0, 1).Double().fill([.1], [.2])\n"
        "for view in plan_plots({'a': h, 'b': h.project(0)}): render_svg(view)\n"
        "assert plt.get_fignums() == [mine.number] and plt.gcf() is mine\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_themed_svg_is_the_same_each_time_and_follows_the_scheme(views):
    svg = render_svg(views[0])
    assert svg == render_svg(views[0])
    assert "prefers-color-scheme:dark" in svg
    assert "var(--series0,#3f90da)" in svg


def test_the_notes_say_what_lies_outside():
    (view,) = plan_views("x", hist.Hist.new.Reg(2, 0, 1).Double().fill([-1, 0.5, 2, 3]))
    assert describe_view(view) == ("1 below", "2 above")


class TestSelectViews:
    def test_by_name_and_pattern(self, views):
        assert [view.name for view in select_views(views, "met")] == ["met"]
        assert len(select_views(views, "three")) == 3
        assert [view.name for view in select_views(views, "three.x")] == ["three.x"]
        assert len(select_views(views, "e*")) == 2
        assert len(select_views(views, HOSTILE)) == 1

    def test_a_wrong_name_gets_the_closest(self, views):
        with pytest.raises(ResultError, match=r"did you mean 'n_jets'"):
            select_views(views, "njets")


def test_stems_are_safe_and_never_the_same():
    taken: set[str] = set()
    stems = [make_stem(name, taken) for name in ("a/b", "a.b", "A/B", "../..", "", "µ 'q'", "a\nb")]
    assert stems == ["a.b", "a.b-2", "A.B-3", "plot", "plot-2", "µ_q", "a_b"]
