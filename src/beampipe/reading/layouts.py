"""When two files hold the same columns, so that what was worked out for one serves the other."""

from __future__ import annotations

import hashlib
from typing import Any

from beampipe.reading.trees import OpenTree, is_rntuple

_ONE_FILE = "file "


def layout_key(opened: OpenTree) -> str:
    """Give a key that is equal only for trees with the same columns of the same types.

    Names, titles, leaves and their dimensions decide for a TTree of plain branches, the header's
    checksum for an RNTuple. A tree whose branches hold C++ objects is only like itself: their
    layout depends on class descriptions elsewhere in the file.

    Parameters
    ----------
    opened : OpenTree

    Returns
    -------
    str
    """
    if opened.index is not None:
        return str(opened.index.layout)
    if "layout" not in opened.cache:
        opened.cache["layout"] = _key(opened)
    return str(opened.cache["layout"])


def is_by_content(key: str) -> bool:
    """Whether a key stands for what the columns are, and not for one file that may be replaced."""
    return not key.startswith(_ONE_FILE)


def _key(opened: OpenTree) -> str:
    tree = opened.tree
    own = f"{_ONE_FILE}{opened.uuid} {tree.object_path}"
    if is_rntuple(tree):
        if tree.footer.extension_links.field_records:
            return own
        return f"rntuple {tree.header.checksum:016x}"
    digest = hashlib.sha256(repr((tree.name, tree.title)).encode())
    for branch in tree.itervalues(recursive=True):
        if branch.classname != "TBranch":
            return own
        digest.update(repr(_describe(branch)).encode())
    return f"ttree {digest.hexdigest()}"


def _describe(branch: Any) -> tuple[Any, ...]:
    leaves = [
        (
            leaf.classname,
            leaf.member("fName"),
            leaf.member("fTitle"),
            # Of strings, it is the length of the longest.
            leaf.member("fLen") if leaf.classname != "TLeafC" else None,
            leaf.member("fIsUnsigned"),
            leaf.member("fLeafCount") is not None,
        )
        for leaf in branch.member("fLeaves")
    ]
    return (branch.name, branch.title, branch.member("fEntryOffsetLen") > 0, leaves)
