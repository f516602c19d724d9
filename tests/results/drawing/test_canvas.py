from __future__ import annotations

import warnings

import matplotlib as mpl
import pytest

from beampipe.results.drawing.canvas import house_style


def test_settings_come_back_even_after_an_early_end():
    before = dict(mpl.rcParams)
    context = house_style()
    context.__enter__()
    assert mpl.rcParams["axes.spines.top"] is False
    context.gen.close()
    assert dict(mpl.rcParams) == before


def test_missing_glyphs_are_borne_and_other_warnings_are_not():
    with house_style():
        warnings.warn("Glyph 9999 (x) missing from font(s) X.", UserWarning, stacklevel=1)
        with pytest.raises(UserWarning, match="other"):
            warnings.warn("other", UserWarning, stacklevel=1)
