"""The floor: reading and decompressing the bytes that a query needs, and nothing else.

Where they are is found out before the clock runs. Two threads; the quickest decompressor there is
for each codec (libdeflate for zlib, cramjam for the others, the standard library for lzma).
"""

import functools
import lzma
import os
import time
from concurrent.futures import ThreadPoolExecutor

import cramjam
import deflate
import numpy as np
import uproot
from benchmarks.queries.columns import COLUMNS

THREADS = 2
HEADER = 9  # of a compressed block: two letters, method, three bytes for each of two sizes


def run_floor(query, paths):
    """Seconds that it takes; there is no result."""
    wanted = [(path, *place) for path in paths for place in find_bytes(path, query)]
    parts = [wanted[i :: 8 * THREADS] for i in range(8 * THREADS)]
    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(read_all, parts))
    return time.perf_counter() - began, {}


def read_all(parts):
    opened = {}
    for path, place, size, unpacked in parts:
        if path not in opened:
            opened[path] = os.open(path, os.O_RDONLY)
        data = os.pread(opened[path], size, place)
        if size != unpacked:
            decompress(memoryview(data), unpacked)
    for file in opened.values():
        os.close(file)


def decompress(data, unpacked):
    """Decompress a basket or page: one block or several."""
    at = done = 0
    while done < unpacked:
        kind = bytes(data[at : at + 2])
        packed, size = (int.from_bytes(data[at + i : at + i + 3], "little") for i in (3, 6))
        block = data[at + HEADER : at + HEADER + packed]
        DECOMPRESSORS[kind](block, size)
        at, done = at + HEADER + packed, done + size
    if done != unpacked:
        raise ValueError(f"{done} bytes in place of {unpacked}")


def _zlib(block, size):
    return deflate.zlib_decompress(block, size)


def _zstd(block, size):
    return cramjam.zstd.decompress_into(block, np.empty(size, np.uint8))


def _lz4(block, size):
    checksum = 8
    return cramjam.lz4.decompress_block_into(
        block[checksum:], np.empty(size, np.uint8), output_len=size
    )


def _lzma(block, size):
    del size
    return lzma.decompress(block)


DECOMPRESSORS = {b"ZL": _zlib, b"ZS": _zstd, b"L4": _lz4, b"XZ": _lzma}


@functools.cache
def find_bytes(path, query):
    """Position, size and unpacked size of every basket or page that a query needs."""
    with uproot.open({path: "Events"}) as tree:
        names = [*COLUMNS[query], *counters(COLUMNS[query])]
        if hasattr(tree, "branches"):
            return [place for name in names for place in find_baskets(tree[name])]
        return find_pages(tree, COLUMNS[query])


def counters(names):
    collections = {name.partition("_")[0] for name in names} - {"MET"}
    return [f"n{name}" for name in sorted(collections)]


def find_baskets(branch):
    for number in range(branch.num_baskets):
        key = branch.basket_key(number)
        yield (
            key.fSeekKey + key.fKeylen,
            key.fNbytes - key.fKeylen,
            key.fObjlen,
        )


def find_pages(ntuple, names):
    wanted = {ntuple[name].field_id for name in names}
    for number, record in enumerate(ntuple.field_records):  # parents come before their children
        if record.parent_field_id in wanted:
            wanted.add(number)
    columns = [
        (number, record.nbits)
        for number, record in enumerate(ntuple.column_records)
        if record.field_id in wanted
    ]
    return [
        (page.locator.offset, page.locator.num_bytes, -(-abs(page.num_elements) * bits // 8))
        for cluster in ntuple.page_link_list
        for number, bits in columns
        for page in cluster[number].pages
    ]
