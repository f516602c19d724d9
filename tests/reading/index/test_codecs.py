from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import uproot
from uproot.compression import compress

from beampipe.reading.index import codecs
from beampipe.reading.index.codecs import BrokenBytesError, decompress

CODECS = [uproot.ZLIB(1), uproot.ZLIB(9), uproot.LZMA(1), uproot.LZ4(4), uproot.ZSTD(5)]
CHECKED = [codec for codec in CODECS if not isinstance(codec, uproot.ZSTD)]
CONTENT = (np.arange(30_000) // 7).astype(">i4").tobytes()


def named(codec):
    return repr(codec)


@pytest.mark.parametrize("codec", CODECS, ids=named)
def test_what_was_compressed_comes_out(codec):
    packed = memoryview(compress(CONTENT, codec))
    assert packed.nbytes < len(CONTENT)
    assert decompress(packed, len(CONTENT)).tobytes() == CONTENT


@pytest.mark.parametrize("codec", CODECS, ids=named)
def test_several_blocks_are_put_together(codec):
    parts = [CONTENT[:9_000], CONTENT[9_000:9_400], CONTENT[9_400:]]
    packed = b"".join(compress(part, codec) for part in parts)
    assert decompress(memoryview(packed), len(CONTENT)).tobytes() == CONTENT


@pytest.mark.parametrize("codec", [uproot.ZLIB(1), uproot.LZ4(1)], ids=named)
def test_more_than_sixteen_megabytes_are_several_blocks(codec):
    content = np.zeros(17_000_000, dtype=np.uint8)
    content[-5:] = 1, 2, 3, 4, 5
    packed = memoryview(compress(content.tobytes(), codec))
    assert (decompress(packed, len(content)) == content).all()


@pytest.mark.parametrize("codec", CODECS, ids=named)
@pytest.mark.parametrize("cut", [1, 5, 300])
def test_missing_bytes_are_an_error(codec, cut):
    packed = compress(CONTENT, codec)
    with pytest.raises(BrokenBytesError):
        decompress(memoryview(packed[:-cut]), len(CONTENT))


@pytest.mark.parametrize("codec", CODECS, ids=named)
@pytest.mark.parametrize("wrong", [-1, 1, -len(CONTENT), 1000])
def test_another_length_than_was_due_is_an_error(codec, wrong):
    packed = compress(CONTENT, codec)
    with pytest.raises(BrokenBytesError):
        decompress(memoryview(packed), len(CONTENT) + wrong)


@pytest.mark.parametrize("codec", CODECS, ids=named)
def test_a_block_that_lies_of_its_length_is_an_error(codec):
    packed = bytearray(compress(CONTENT, codec))
    for said in (len(CONTENT) - 4, len(CONTENT) + 4):
        packed[6:9] = said.to_bytes(3, "little")
        with pytest.raises(BrokenBytesError):
            decompress(memoryview(packed), said)


@pytest.mark.parametrize("codec", CHECKED, ids=named)
def test_no_flipped_bit_goes_unnoticed(codec):
    packed = compress(CONTENT[:4_000], codec)
    quiet = []
    # Byte 2 of a header (the method) tells nothing that anybody reads.
    for at in [n for n in range(len(packed)) if n != 2]:
        broken = bytearray(packed)
        broken[at] ^= 1 << (at % 8)
        try:
            found = decompress(memoryview(broken), 4_000)
        except BrokenBytesError:
            continue
        if found.tobytes() != CONTENT[:4_000]:
            quiet.append(at)
    assert not quiet


def test_zstd_has_no_checksum_but_breaks_in_one_way_only():
    packed = compress(CONTENT[:4_000], uproot.ZSTD(5))
    for at in range(len(packed)):
        broken = bytearray(packed)
        broken[at] ^= 0xFF
        try:
            assert len(decompress(memoryview(broken), 4_000)) == 4_000
        except BrokenBytesError:
            continue


def test_an_unknown_codec_is_named():
    with pytest.raises(BrokenBytesError, match=r"b'CS' is no codec"):
        decompress(memoryview(b"CS\x00\x01\x00\x00\x01\x00\x00x"), 1)


def test_nothing_is_no_block():
    with pytest.raises(BrokenBytesError):
        decompress(memoryview(b""), 5)


def test_libdeflate_is_used_where_it_is_installed():
    assert codecs._libdeflate.__name__ == "deflate"


def test_without_libdeflate_the_standard_library_serves():
    program = """
import sys, zlib
sys.modules["deflate"] = None
from beampipe.reading.index import codecs
from beampipe.reading.index.codecs import BrokenBytesError, decompress
assert codecs._libdeflate is None
body = zlib.compress(bytes(1000))
head = b"ZL\\x08" + len(body).to_bytes(3, "little") + (1000).to_bytes(3, "little")
assert decompress(memoryview(head + body), 1000).tobytes() == bytes(1000)
try:
    decompress(memoryview(head + body[:-1] + b"?"), 1000)
except BrokenBytesError:
    print("noticed")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=100
    )
    assert done.stdout == "noticed\n"
