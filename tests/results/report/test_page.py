"""The page as text, and as a browser shows it: wide and narrow, light and dark."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from tests.results.runs_by_hand import HOSTILE

from beampipe.errors import ResultError
from beampipe.results.report import render_report, write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]

MEASURE = """() => {
  const seen = e => { const b = e.getBoundingClientRect(); return b.width > 0 && b.height > 0; };
  const root = document.documentElement;
  return {
    overflow: root.scrollWidth - window.innerWidth,
    images: [...document.images].map(i => [i.naturalWidth, i.naturalHeight, seen(i), i.alt]),
    scripts: document.scripts.length,
    headings: [...document.querySelectorAll("h1, h2, h3")].map(h => h.innerText),
    text: document.body.innerText,
    ground: getComputedStyle(document.body).backgroundColor,
    word: document.querySelector(".verdict .word").innerText,
    unnamed: [...document.querySelectorAll("th")].filter(t => !t.scope).length,
    tables: [...document.querySelectorAll("table")].filter(seen).length,
  };
}"""


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def holed_page(holed_record):
    return render_report(holed_record)


def test_nothing_is_loaded_from_elsewhere_and_nothing_runs(holed_page):
    page = Page(holed_page)
    assert "script" not in page.tags
    assert page.links
    assert all(link.startswith(("data:", "#")) for link in page.links)
    assert "default-src 'none'" in holed_page


def test_every_part_is_there(holed_page):
    words = " ".join(Page(holed_page).words)
    for expected in (
        "117,500 of 120,000 events processed",
        HOSTILE,
        "Z window <i>",
        "66.7 %",
        "columns/jets",
        "ValueError: x < y & <script>alert(2)</script>",
        'File "p.py", line 3, in <lambda>',
        "35 % reading columns",
        "dimuon.py:process",
        "2026.9.0",
        "--failure 1",
        "about 15.2 %",
        "attempt 2, rule anything-else",
        "a worker's death",
        "killed by signal 9 (SIGKILL); memory 1.42 GB of 1.5 GB",
        "14 × retry",
        "On the way",
        "Not reproducible to the bit",
        "numpy 2.2.1 is now 2.3.0 <b>",
    ):
        assert expected in words, expected


def test_a_complete_run_says_so_and_has_no_remedy(whole_record):
    text = render_report(replace(whole_record, output={"n": 1}))
    assert "<title>COMPLETE: dimuon spectrum</title>" in text
    assert "beampipe resume" not in text
    assert "INCOMPLETE" not in text


def test_a_run_without_anything_is_still_a_page(whole_record):
    record = replace(whole_record, output=None, by_dataset={}, metrics={}, provenance={})
    page = Page(render_report(record))
    assert "Accounting" in page.words
    assert "img" not in page.tags


def test_a_surrogate_in_a_file_name_does_not_stop_it(whole_record, tmp_path):
    record = replace(whole_record, output=None, name="a\udcffb")
    path = write_report(record, tmp_path / "deep" / "µ 'x'.html")
    assert b"a\\udcffb" in path.read_bytes()


def test_a_place_that_cannot_be_written_is_a_known_error(whole_record, tmp_path):
    with pytest.raises(ResultError, match="cannot be written"):
        write_report(replace(whole_record, output=None), tmp_path)


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("no chromium here")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
def test_in_a_browser(browser, holed_page, tmp_path, width, scheme):
    path = tmp_path / "report.html"
    path.write_text(holed_page, encoding="utf-8")
    messages, requests = [], []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("dialog", lambda dialog: messages.append(f"dialog {dialog.message}"))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    seen = page.evaluate(MEASURE)
    context.close()

    assert seen["overflow"] <= 0, "the page scrolls sideways"
    assert len(seen["images"]) == 15
    assert all(w > 100 and h > 100 and shown and alt for w, h, shown, alt in seen["images"])
    assert messages == []
    assert [url for url in requests if not url.startswith("data:")] == [path.as_uri()]
    assert seen["scripts"] == 0
    assert f"nested/zoo/{HOSTILE}" in seen["headings"]
    assert "ValueError: x < y & <script>alert(2)</script>" in seen["text"]
    assert "INCOMPLETE" in seen["word"]
    assert seen["unnamed"] == 0
    assert seen["tables"] == 5
    dark = sum(int(part) for part in seen["ground"].strip("rgb()").split(",")) < 200
    assert dark is (scheme == "dark")


@pytest.mark.browser
def test_plots_follow_the_scheme(browser, holed_page, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(holed_page, encoding="utf-8")
    pictures = {}
    for scheme in ("light", "dark"):
        context = browser.new_context(viewport={"width": 900, "height": 900}, color_scheme=scheme)
        page = context.new_page()
        page.goto(path.as_uri())
        pictures[scheme] = page.locator("figure img").first.screenshot()
        context.close()
    from PIL import Image, ImageStat

    def brightness(png):
        (tmp_path / "x.png").write_bytes(png)
        with Image.open(tmp_path / "x.png") as image:
            left = image.convert("L").crop((0, 0, image.width // 12, image.height))
            return ImageStat.Stat(left).extrema[0]

    assert brightness(pictures["light"])[0] < 120, "dark letters on a light ground"
    assert brightness(pictures["dark"])[1] > 180, "light letters on a dark ground"
