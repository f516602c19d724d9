from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.environments.grid import voms_extension

from beampipe.environments.voms import VomsAttributes, read_voms

FQANS = ("/cms/Role=pilot/Capability=NULL", "/cms/itcms/Role=NULL/Capability=NULL", "/cms")


def test_vo_groups_and_end():
    found = read_voms(voms_extension("cms", FQANS, end_h=5))
    assert (found.vo, found.fqans) == ("cms", FQANS)
    left = found.ends_at - datetime.now(UTC)
    assert timedelta(hours=4.9) < left < timedelta(hours=5.1)


def test_a_vo_without_its_server_is_known_by_its_groups():
    data = voms_extension("x", FQANS).replace(b"x://voms.test:15000", b"x--/voms.test:15000")
    assert read_voms(data).vo == "cms"


@pytest.mark.parametrize("data", [b"", b"\x30", b"\x30\x84\xff", b"no DER at all", b"\x1f" * 9])
def test_what_is_not_understood_is_left_out(data):
    assert read_voms(data) == VomsAttributes()


def test_every_beginning_of_one_is_read_without_an_error():
    whole = voms_extension("cms", FQANS)
    for size in range(len(whole)):
        assert read_voms(whole[:size]).vo in {"", "cms"}
