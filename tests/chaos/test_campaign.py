"""What a campaign plays, what it remembers, and the table that it writes."""

import pytest
from tests.chaos.__main__ import make_plan
from tests.chaos.campaign import EXACT, FAILED, Played
from tests.chaos.records import Records
from tests.chaos.scenarios import all_scenarios
from tests.chaos.table import BEGIN, END, write_table


def played(name, number, **more):
    values = {"outcome": EXACT, "seconds": 3.0, "commit": "abc", **more}
    return Played(name, number, "bare", f"7/{name}/{number}", **values)


def test_main_scenarios_are_played_often_and_the_others_a_few_times():
    plan = make_plan(all_scenarios(), {"names": (), "runs": 100, "others": 5})
    counts = {name: sum(scenario.name == name for scenario, _ in plan) for name in all_scenarios()}
    assert counts["worker killed"] == counts["driver killed, then resume"] == 100
    assert set(counts.values()) == {100, 5}
    chosen = make_plan(all_scenarios(), {"names": ("disk full",), "runs": 3, "others": 5})
    assert [(scenario.name, number) for scenario, number in chosen] == [
        ("disk full", number) for number in range(3)
    ]


def test_a_campaign_goes_on_where_it_was(tmp_path):
    records = Records(tmp_path / "some" / "records.jsonl")
    assert records.known() == set()
    records.add(played("worker killed", 0, outcome=FAILED))
    records.add(played("worker killed", 0, redone=3.0))
    assert records.known() == {("worker killed", 0)}
    (found,) = records.read([("worker killed", 0), ("worker killed", 1)])
    assert (found.outcome, found.redone) == (EXACT, 3.0)
    records.forget()
    assert records.all() == []


def test_the_table_counts_what_came_of_the_runs(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    runs = [
        played("worker killed", 0, redone=3.0, bound=8.0, on_the_dead=4.0),
        played("worker killed", 1, redone=6.0, bound=6.0, on_the_dead=6.0, is_over=True),
        played("worker killed", 2, outcome=FAILED, redone=99.0),
    ]
    write_table(page, all_scenarios(), runs)
    before, told, after = page.read_text().partition(BEGIN)[0], page.read_text(), "after\n"
    assert before == "before\n"
    assert told.endswith(f"{END}\n{after}")
    assert "old" not in told
    (row,) = [line for line in told.splitlines() if line.startswith("| **worker killed**")]
    assert row.split(" | ")[1:] == [
        "bare",
        "3",
        "2",
        "0",
        "1",
        "4.5, at most 6",
        "5.0, at most 6",
        "7.0, at most 8",
        "1 |",
    ]
    page.write_text("no marks")
    with pytest.raises(ValueError, match="no marks"):
        write_table(page, all_scenarios(), runs)
