from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

from tests.results.runs_by_hand import HOSTILE

from beampipe.execution.accounting import Accounting, DatasetAccounting
from beampipe.results.card import render_card


class Words(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.words, self.tags = [], []
        self.feed(html)

    def handle_data(self, data):
        self.words.append(data)

    def handle_starttag(self, tag, _attrs):
        self.tags.append(tag)


def test_the_card_shows_status_and_accounting_and_runs_nothing(holed_record):
    page = Words(render_card(replace(holed_record, name=HOSTILE)))
    assert "script" not in page.tags
    assert HOSTILE in page.words
    assert "INCOMPLETE" in page.words
    assert "77,500" in page.words
    assert "8 (1 bad)" in page.words
    text = " ".join(page.words)
    assert "about 15.2 %" in page.words
    assert "2 chunks with 500 events" in text
    assert "(a worker's death)" in text
    assert "killed 3 workers" in text
    assert "On the way: 1 worker died, 14 retries" in text
    assert "Not reproducible to the bit" in text
    assert "b" in page.tags
    assert "numpy 2.2.1 is now 2.3.0 <b>" in text


def test_many_datasets_are_cut_and_counted(whole_record):
    row = DatasetAccounting("d", 1, 0, 1, 1, 0, 0, 1, 1, 0)
    many = replace(whole_record, accounting=Accounting((row,) * 45))
    page = Words(render_card(many))
    assert page.tags.count("tr") == 31
    assert "and 15 more datasets" in page.words
