import json

import pytest

from beampipe.execution.storage import dump_sealed
from beampipe.results.seals import read_sealed


def test_what_the_engine_sealed_is_accepted_here_and_nothing_else():
    """Two implementations of one page of the reference."""
    text = dump_sealed({"name": "Z → µµ", "zeros": "0" * 64}, indent=1)
    assert read_sealed(text)["name"] == "Z → µµ"
    for place in range(len(text)):
        changed = bytearray(text)
        changed[place] ^= 1
        try:
            data = read_sealed(bytes(changed))
        except ValueError:
            continue
        # Only the seal's own key is left: without a seal the rest is believed, and is right.
        assert (data["name"], data["zeros"]) == ("Z → µµ", "0" * 64)


@pytest.mark.parametrize("text", [b"", b"[]", b"7", b"{", b'{"seal": 7}', b'{"seal": "x"}'])
def test_what_is_no_sealed_object_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011  json has its own words
        read_sealed(text)


def test_without_a_seal_it_is_believed():
    assert read_sealed(json.dumps({"a": 1}).encode()) == {"a": 1}
