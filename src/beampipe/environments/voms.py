"""What a VOMS server wrote into a proxy: which VO, which groups and roles, until when.

It is an attribute certificate in an extension of the proxy. Of it only what people ask for is read;
whether its signature is right, the storage finds out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

VOMS_OID = "1.3.6.1.4.1.8005.100.100.5"
INTEGER = 0x02
_CONSTRUCTED, _HIGH_TAG = 0x20, 0x1F
_OCTETS, _TIME, _AUTHORITY = 0x04, 0x18, 0x86
_MOST_BYTES = 10**6


@dataclass(frozen=True, slots=True)
class VomsAttributes:
    """Membership in a VO.

    Attributes
    ----------
    vo : str
        Its name; empty where it cannot be read.
    fqans : tuple of str
        Groups and roles, the primary one first: ``"/cms/Role=NULL/Capability=NULL"``.
    ends_at : datetime or None
        Until when, which is often earlier than the proxy.
    """

    vo: str = ""
    fqans: tuple[str, ...] = ()
    ends_at: datetime | None = None


def read_voms(data: bytes) -> VomsAttributes:
    """Read the extension of a proxy; what is not understood is left out.

    Parameters
    ----------
    data : bytes
        The extension's value, DER.
    """
    vo, fqans, times = "", [], []
    try:
        for tag, value in walk_der(data[:_MOST_BYTES]):
            if tag == _AUTHORITY and b"://" in value and not vo:
                vo = value.partition(b"://")[0].decode("ascii", "replace")
            elif tag == _OCTETS and value.startswith(b"/") and value.isascii():
                fqans.append(value.decode("ascii"))
            times.append(_parse_time(value) if tag == _TIME else None)
    except (IndexError, ValueError):
        pass  # cut short, or no DER: what came before it stands
    # A validity is two times, one right after the other.
    ends = [end for begin, end in pairwise(times) if begin is not None and end is not None]
    if not vo and fqans:
        vo = fqans[0].split("/")[1]
    return VomsAttributes(vo, tuple(dict.fromkeys(fqans)), min(ends, default=None))


def walk_der(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Go through all primitive values of DER, in order.

    Raises
    ------
    IndexError, ValueError
        It is cut short, or no DER.
    """
    waiting = [data]
    while waiting:
        rest = waiting.pop()
        if not rest:
            continue
        tag, value, rest = _split(rest)
        waiting.append(rest)
        if tag & _CONSTRUCTED:
            waiting.append(value)
        else:
            yield tag, value


def _split(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag and value of the first element, and what follows it."""
    tag, size, begin = data[0], data[1], 2
    if tag & _HIGH_TAG == _HIGH_TAG:
        raise ValueError("a tag of several bytes is nothing that VOMS writes")
    if size >= 0x80:
        begin += size - 0x80
        size = int.from_bytes(data[2:begin], "big")
    if begin + size > len(data):
        raise ValueError("cut short")
    return tag, data[begin : begin + size], data[begin + size :]


def _parse_time(value: bytes) -> datetime | None:
    try:
        return datetime.strptime(value.decode("ascii"), "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
