"""The house style around a piece of drawing, and everything given back afterwards."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from beampipe.results.drawing.palette import STYLE


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the house style; the user's settings of matplotlib come back afterwards."""
    import matplotlib as mpl  # 0.2 s: not at import

    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; the pages have it as text.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield
