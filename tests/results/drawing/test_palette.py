from __future__ import annotations

from beampipe.results.drawing.palette import DARK, LIGHT, SERIES, theme_svg


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.1."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(c * w for c, w in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_both_tables_name_the_same_colours_each_once():
    assert set(LIGHT) == set(DARK)
    assert len(set(LIGHT.values())) == len(LIGHT), "a colour is found by its value"
    assert len(SERIES) == 10


def test_words_can_be_read_on_both_grounds():
    for name in ("ink", "muted"):
        assert contrast(LIGHT[name], "#ffffff") > 4.5
        assert contrast(DARK[name], "#1a1f27") > 4.5


def test_colours_become_variables_with_the_light_one_to_fall_back_on():
    svg = f'<svg><defs></defs><path style="fill: {LIGHT["ink"]}"/></svg>'
    themed = theme_svg(svg)
    assert f"fill: var(--ink,{LIGHT['ink']})" in themed
    assert themed.index("<style>") < themed.index("<defs>")
    assert f"--ink:{DARK['ink']}" in themed
