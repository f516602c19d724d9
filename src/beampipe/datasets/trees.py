"""Find a tree in an open file, and its entries, reading as little of it as possible."""

from __future__ import annotations

import difflib
import lzma
import re
import struct
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from beampipe.datasets.urls import show_url
from beampipe.errors import FileUnreadableError, TreeAmbiguousError, TreeNotFoundError

if TYPE_CHECKING:
    import uproot

TREE_KINDS = {"TTree": "TTree", "TNtuple": "TTree", "TNtupleD": "TTree", "ROOT::RNTuple": "RNTuple"}
DIRECTORIES = ("TDirectory", "TDirectoryFile")
FAVOURITE = "Events"

HEAD_BYTES = 4096
"""Of a compressed tree, what is fetched first: the entries stand near its beginning."""
UNPACKED_HEAD_BYTES = 2048
BLOCK_HEADER_BYTES = 9
HAS_LENGTH = 0x40000000
FIRST_VERSION_WITH_INTEGER_ENTRIES = 16


class FoundTree(NamedTuple):
    """A tree's path in its file, its kind, and uproot's key to it."""

    name: str
    kind: str
    key: uproot.reading.ReadOnlyKey


def find_tree(directory: uproot.ReadOnlyDirectory, treename: str | None, *, url: str) -> FoundTree:
    """Find the tree that was asked for, or the obvious one.

    Of several cycles the highest is taken.

    Parameters
    ----------
    directory : uproot.ReadOnlyDirectory
        The file's root directory.
    treename : str or None
        Path in the file, such as ``"ntuples/Events"``. None for: ``Events``; else the only
        TTree or RNTuple in the file; else the only one called ``Events`` in a subdirectory.
    url : str
        For the messages.

    Returns
    -------
    FoundTree
        Its entries are not read yet.

    Raises
    ------
    TreeNotFoundError
        ``dataset-tree-not-found``: names the trees that are there.
    TreeAmbiguousError
        ``dataset-tree-ambiguous``: several, and none was asked for; names them.
    """
    if treename is not None:
        found = _look_up(directory, treename)
        if found is None:
            raise _not_found(directory, treename, url=url)
        return found
    favourite = _look_up(directory, FAVOURITE)
    if favourite is not None:
        return favourite
    names = list_trees(directory)
    chosen = names if len(names) == 1 else [n for n in names if n.endswith(f"/{FAVOURITE}")]
    found = _look_up(directory, chosen[0]) if len(chosen) == 1 else None
    if found is not None:
        return found
    if not names:
        raise _not_found(directory, None, url=url)
    raise TreeAmbiguousError(
        f"{show_url(url)} holds {len(names)} trees, and none was named.",
        why=f"the trees are {_join(names)}",
        fix=f"name one: `treename = {names[0]!r}` in the fileset, or --treename {names[0]!r}",
        url=show_url(url),
        trees=tuple(names),
    )


def list_trees(directory: uproot.ReadOnlyDirectory) -> list[str]:
    """List all TTrees and RNTuples in a file, subdirectories too.

    Parameters
    ----------
    directory : uproot.ReadOnlyDirectory
        The file's root directory.

    Returns
    -------
    list of str
        Paths without cycles, in the file's order.
    """
    names = directory.iterclassnames(recursive=True, cycle=False)
    return list(dict.fromkeys(name for name, classname in names if classname in TREE_KINDS))


def count_entries(tree: FoundTree, *, url: str) -> int:
    """Read the number of entries of a tree.

    A TTree's entries stand in its first bytes, an RNTuple's in its footer, so neither the
    branches nor the fields are parsed.

    Parameters
    ----------
    tree : FoundTree
        What :func:`find_tree` gave; its file must still be open.
    url : str
        For the messages.

    Returns
    -------
    int
        Entries.
    """
    if tree.kind == "RNTuple":
        return _count_rntuple(tree.key, url=url)
    if tree.key.fClassName == "TTree":
        for read in (_read_head, _read_all):
            entries = entries_in_head(read(tree.key))
            if entries is not None:
                return entries
    return int(tree.key.get().num_entries)


def entries_in_head(head: bytes) -> int | None:
    """Find the entries in the first bytes of a streamed TTree.

    A TTree streams its length and version, four base classes (TNamed, TAttLine, TAttFill,
    TAttMarker), each with its length in front, and then ``fEntries``.

    Parameters
    ----------
    head : bytes
        The beginning of the uncompressed object.

    Returns
    -------
    int or None
        None if the bytes do not suffice or have another layout (trees from before ROOT 5).
    """
    try:
        length, version = struct.unpack_from(">IH", head, 0)
        if not length & HAS_LENGTH or version < FIRST_VERSION_WITH_INTEGER_ENTRIES:
            return None
        position = 6
        for _ in range(4):
            (length,) = struct.unpack_from(">I", head, position)
            if not length & HAS_LENGTH:
                return None
            position += 4 + (length & ~HAS_LENGTH)
        (entries,) = struct.unpack_from(">q", head, position)
    except struct.error:
        return None
    return int(entries) if entries >= 0 else None


def _read_head(key: uproot.reading.ReadOnlyKey) -> bytes:
    start = key.data_cursor.index
    stop = start + min(key.data_compressed_bytes, HEAD_BYTES)
    raw: bytes = bytes(key.file.chunk(start, stop).raw_data)
    return unpack_head(raw) if key.is_compressed else raw


def unpack_head(raw: bytes) -> bytes:
    """Decompress the beginning of a compressed object, where the method allows it.

    Parameters
    ----------
    raw : bytes
        The first bytes of the object in the file, from the block's 9-byte header on.

    Returns
    -------
    bytes
        Up to 2 kB; none if the method (LZ4, Zstandard) wants the whole block.
    """
    block = raw[BLOCK_HEADER_BYTES:]
    try:
        if raw.startswith(b"ZL"):
            return zlib.decompressobj().decompress(block, UNPACKED_HEAD_BYTES)
        if raw.startswith(b"XZ"):
            return lzma.LZMADecompressor().decompress(block, UNPACKED_HEAD_BYTES)
    except (zlib.error, lzma.LZMAError):
        return b""  # reading the whole object gives the error with its details
    return b""


def _read_all(key: uproot.reading.ReadOnlyKey) -> bytes:
    chunk, _cursor = key.get_uncompressed_chunk_cursor()
    return bytes(chunk.raw_data)


def _count_rntuple(key: uproot.reading.ReadOnlyKey, *, url: str) -> int:
    """Add up the cluster groups in the footer; the header and the page lists are left alone."""
    import uproot
    import xxhash
    from uproot.models.RNTuple import FooterReader

    members = key.get().members
    seek, packed, unpacked = (
        members[name] for name in ("fSeekFooter", "fNBytesFooter", "fLenFooter")
    )
    chunk, cursor = key.file.chunk(seek, seek + packed), uproot.source.cursor.Cursor(seek)
    if packed != unpacked:
        chunk = uproot.compression.decompress(chunk, cursor, {}, packed, unpacked)
        cursor = uproot.source.cursor.Cursor(0)
    version = tuple(members[f"fVersion{part}"] for part in ("Epoch", "Major", "Minor", "Patch"))
    footer: Any = FooterReader(version).read(chunk, cursor, {})
    if footer.checksum != xxhash.xxh3_64_intdigest(bytes(chunk.raw_data)[:-8]):
        raise FileUnreadableError(
            f"{show_url(url)} cannot be read.",
            why="the checksum of the RNTuple's footer does not match",
            fix="copy or make the file again",
            url=show_url(url),
        )
    return sum(int(group.entry_span) for group in footer.cluster_group_records)


def _look_up(directory: uproot.ReadOnlyDirectory, path: str) -> FoundTree | None:
    *folders, name = path.split("/")
    for folder in folders:
        key = _key_in(directory, folder)
        if key is None or key.fClassName not in DIRECTORIES:
            return None
        directory = key.get()
    key = _key_in(directory, name)
    if key is None or key.fClassName not in TREE_KINDS:
        return None
    return FoundTree(path, TREE_KINDS[key.fClassName], key)


def _key_in(directory: uproot.ReadOnlyDirectory, name: str) -> uproot.reading.ReadOnlyKey | None:
    # asked first, because uproot lists every subdirectory for the message of its KeyError
    has_cycle = re.search(r";[0-9]+$", name) is not None
    if name not in directory.keys(recursive=False, cycle=has_cycle):
        return None
    return directory.key(name)


def _not_found(
    directory: uproot.ReadOnlyDirectory, treename: str | None, *, url: str
) -> TreeNotFoundError:
    names, shown = list_trees(directory), show_url(url)
    if names:
        why, fix = f"the trees that are there: {_join(names)}", "name one of those as the tree"
        close = difflib.get_close_matches(treename or "", names, n=1)
        fix = f"did you mean {close[0]!r}?" if close else fix
    elif directory.keys(recursive=False):
        why = f"it holds other objects only: {_join(directory.keys(recursive=False, cycle=False))}"
        fix = "check that this is the right file"
    else:
        why = "the file lists no object at all"
        fix = "the program that wrote it probably did not close it; make it again"
    wanted = "no tree" if treename is None else f"no tree {treename!r}"
    return TreeNotFoundError(
        f"There is {wanted} in {shown}.", why=why, fix=fix, url=shown, trees=tuple(names)
    )


def _join(names: list[str], *, at_most: int = 10) -> str:
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(repr(name) for name in names[:at_most]) + more
