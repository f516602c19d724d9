from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from tests.environments.grid import voms_extension

from beampipe.environments.voms import VomsAttributes, read_voms

FQANS = ("/cms/Role=pilot/Capability=NULL", "/cms/itcms/Role=NULL/Capability=NULL", "/cms")

# What voms-proxy-fake 2.1.0 writes, with keys of nobody.
REAL = base64.b64decode("""
MIIFMjCCBS4wggUqMIIEEgIBATBkoGIwSqRIMEYxEjAQBgoJkiaJk/IsZAEZFgJjaDEUMBIGCgmSJomT8ixkARkWBHRlc3Qx
GjAYBgNVBAMMEVpvw6sgJ8K1JyBNw7xsbGVyAhQnfnoV8SozCgOstl+XETyrH5Ca2aBEMEKkQDA+MRIwEAYKCZImiZPyLGQB
GRYCY2gxFDASBgoJkiaJk/IsZAEZFgR0ZXN0MRIwEAYDVQQDDAlsb2NhbGhvc3QwDQYJKoZIhvcNAQEFBQACAQEwIhgPMjAy
NjExMjgxNDA3MDZaGA8yMDI2MTEyODE3MDcwNlowdDByBgorBgEEAb5FZGQEMWQwYqAXhhVjbXM6Ly92b21zLnRlc3Q6MTUw
MDAwRwQfL2Ntcy9Sb2xlPXBpbG90L0NhcGFiaWxpdHk9TlVMTAQkL2Ntcy9pdGNtcy9Sb2xlPU5VTEwvQ2FwYWJpbGl0eT1O
VUxMMIICszCCAoMGCisGAQQBvkVkZAoEggJzMIICbzCCAmswggJnMIICDqADAgECAhQDEaRTCLe05PF2iC/d+RoEi+od2zAK
BggqhkjOPQQDAjA8MRIwEAYKCZImiZPyLGQBGRYCY2gxFDASBgoJkiaJk/IsZAEZFgR0ZXN0MRAwDgYDVQQDDAdUZXN0IENB
MB4XDTI2MTEyODEzMDcwNloXDTI2MTIwMjE4MDcwNlowPjESMBAGCgmSJomT8ixkARkWAmNoMRQwEgYKCZImiZPyLGQBGRYE
dGVzdDESMBAGA1UEAwwJbG9jYWxob3N0MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAvbnzVTHihnuPAvzdxxko
Uv8cE3z9K7V5Zj7Kq65S5UxkSPvH19YPVUNGX8987jFE6moNgysrTJZ44zw4dq4h4+y9Tm9EJpVcFDtZ4nmE9RTJ6odYucCU
oPW9A14p6DM9QadASn9OI0hJENe+v7xSXf0G90yI/M1IGRiFcFxn8tF7Zr5u20HQ9e+dj09Zf0TZYZggixs2dEOnKmpeeGRf
4PpwAfI9Bjz3WChzC7oyIgrfDdt/0SBp9g+83RsQQxAxNCPsQb4HZVx5oFY2wH61t2g44f+4IMwDDP1vj+/d4xwqe0jKyjuo
F0ut0gNnJosDk8UQGR7UhAjmKdKTAWmWYQIDAQABoyEwHzAdBgNVHQ4EFgQUiRz4NFSGImsJOeeDxQ3WkMrzh6gwCgYIKoZI
zj0EAwIDRwAwRAIgJd84TzIKsXijbC/AEQSUrwTxP/k1FkNWbe9XEBzLaGQCIEZ9MJKZdvNT66QiQJO7sshaxSC2lYLmDqx1
dwe64u6FMAkGA1UdOAQCBQAwHwYDVR0jBBgwFoAUiRz4NFSGImsJOeeDxQ3WkMrzh6gwDQYJKoZIhvcNAQEFBQADggEBABEo
Z1b1FSnLOg+pg04/WqKYkmnCYmVJWP6ylFoC3b9VvYKx0127PlNYSjPYMifeTpAAVuQzmeHd6obxpSdRkX9lsmxffsJvRGcv
U5YkUV5pXX9fjE55rCUTna0YyqUyQJXu3b/t0s0kpGiMFIhwMwXy27kukJP/aAcSfbaER7iTObrpTOd4ZHUiF0Q6qkaIxwYo
IB9mD2eZ8ghczFhQkZI5r4CH2dUPz7WAstmaObbDDOeTzjmd7d6JsAlKHJzU5/SS+NcntArciUGSej2zh16uOiy+qHWptDkq
2faF+/bn4bTAh2iIM3G/pP/f0QESlOfbIi7CIxEGy7JI80k/wuY=
""")


def test_a_real_one():
    """As `voms-proxy-info -all` shows it, too."""
    found = read_voms(REAL)
    assert (found.vo, found.fqans) == ("cms", FQANS[:2])
    assert found.ends_at == datetime(2026, 11, 28, 17, 7, 6, tzinfo=UTC)


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
