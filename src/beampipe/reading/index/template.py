"""What the bytes of a layout's columns mean, worked out by uproot once for all of its files.

An interpretation is never written down. A worker's first file of a layout is parsed by uproot,
whose own interpretation objects are kept; the others are read through their index alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from uproot.interpretation.jagged import AsJagged
from uproot.interpretation.numerical import AsDouble32, AsDtype, AsFloat16
from uproot.interpretation.strings import AsStrings

from beampipe.reading.index.fields import Field, FieldBook
from beampipe.reading.layouts import layout_key
from beampipe.reading.trees import OpenTree, is_rntuple

_SCALARS = (AsDtype, AsDouble32, AsFloat16)


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column that can be read through an index.

    Attributes
    ----------
    name : str
        Its full path.
    position : int
        In ``tree.itervalues(recursive=True)``.
    interpretation : uproot.interpretation.Interpretation
        uproot's own; it holds no file.
    counter : Column or None
        The column with the lengths of its lists, if there is one.
    """

    name: str
    position: int
    interpretation: Any
    counter: Column | None = None


class LayoutTemplate:
    """The columns of a layout that can be read through an index.

    It holds no reference to the tree that it is made from.

    Parameters
    ----------
    opened : OpenTree
        A tree of the layout, parsed by uproot.
    """

    def __init__(self, opened: OpenTree) -> None:
        self.layout = layout_key(opened)
        self._columns: dict[str, Column | None] = {}
        self._fields: FieldBook | None = None
        if is_rntuple(opened.tree):
            self._fields = FieldBook(opened.tree.ntuple)
        else:
            self._describe(opened)

    def find(self, name: str) -> Column | Field | None:
        """Give a column by name.

        Parameters
        ----------
        name : str
            As in ``tree[name]``: a branch's own name or its path, with or without a slash before;
            a field's path, with dots or slashes.

        Returns
        -------
        Column, Field or None
            None for what uproot has to read.
        """
        if self._fields is not None:
            return self._fields.find(name)
        return self._columns.get(name)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of the branches that uproot has to read."""
        return tuple(name for name, column in self._columns.items() if column is None)

    def _describe(self, opened: OpenTree) -> None:
        tree = opened.tree
        branches = list(tree.iteritems(recursive=True, full_paths=True))
        positions = {id(branch): position for position, (_, branch) in enumerate(branches)}
        counted_by = [branch.count_branch for _, branch in branches]
        places = [positions.get(id(counter), -1) for counter in counted_by]
        counts: dict[int, Column] = {}
        for position in sorted({place for place in places if place >= 0}):
            path, counter = branches[position]
            interpretation = _interpretation_of(counter)
            if _counts_lists(interpretation):
                counts[position] = Column(path, position, interpretation)
        for position, (path, branch) in enumerate(branches):
            interpretation, column = _interpretation_of(branch), None
            if can_interpret(interpretation):
                column = Column(path, position, interpretation, counts.get(places[position]))
            for name in (path, f"/{path}"):
                if _names(tree, name, branch):
                    self._columns[name] = column
            if opened.by_name[branch.name] is branch:
                self._columns[branch.name] = column


def can_interpret(interpretation: Any) -> bool:
    """Tell whether an interpretation needs nothing but the bytes of its baskets.

    Parameters
    ----------
    interpretation : uproot.interpretation.Interpretation

    Returns
    -------
    bool
    """
    if type(interpretation) is AsJagged:
        return type(interpretation.content) in _SCALARS
    return type(interpretation) in (*_SCALARS, AsStrings)


def _interpretation_of(branch: Any) -> Any:
    """Give uproot's interpretation of a branch; None where it stumbles over the description."""
    try:
        return branch.interpretation
    except Exception:  # noqa: BLE001  # of a Float16_t without range, an UnboundLocalError
        return None


def _counts_lists(interpretation: Any) -> bool:
    return type(interpretation) is AsDtype and interpretation.to_dtype.kind in "iu"


def _names(tree: Any, path: str, branch: Any) -> bool:
    try:
        return tree[path] is branch
    except KeyError:
        return False
