from beampipe.execution.incidents import Incidents


def test_the_same_thing_is_counted():
    incidents = Incidents()
    for _ in range(3):
        incidents.note("retry", "no answer", host="a")
    incidents.note("retry", "another", host="b")
    first, second = incidents.to_json()
    assert (first["what"], first["text"], first["count"], first["host"]) == (
        "retry",
        "no answer",
        3,
        "a",
    )
    assert second["count"] == 1
    assert first["time"].endswith("+00:00")


def test_the_list_stays_short_and_says_what_it_leaves_out():
    incidents = Incidents()
    for number in range(10_000):
        incidents.note("retry", f"number {number}")
    entries = incidents.to_json()
    assert len(entries) == 201
    assert entries[-1]["what"] == "more"
    assert entries[-1]["count"] == 9_800


def test_no_incident_is_no_entry():
    assert Incidents().to_json() == []
