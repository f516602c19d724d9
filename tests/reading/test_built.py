import awkward as ak

from beampipe.reading.built import BuiltEvents, LeftOutError


def test_events_from_which_nothing_is_left_out_learn_nothing():
    events = ak.Array([{"x": 1}])
    built = BuiltEvents(events)
    built.learn()
    assert built.form.fields == ["x"]
    assert not built.was_asked_for_more
    assert not built.is_narrow


def test_what_is_left_out_passes_those_who_catch_every_exception():
    assert not issubclass(LeftOutError, Exception)
