"""What the pages of an RNTuple's fields mean: which columns a field has, and how they are written.

Worked out by uproot once per layout, like a tree's interpretations.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import uproot

from beampipe.reading.trees import know_inner_fields

_PACKED = ("switch", "real32trunc", "real32quant")


@dataclass(frozen=True, slots=True, eq=False)
class PageColumn:
    """How the elements of one physical column are written.

    Attributes
    ----------
    key : str
        Of the column in its field's form.
    number : int
        Of the column in its cluster's list of pages.
    dtype : numpy.dtype
        Of an element, in memory.
    is_bit : bool
        Eight elements make a byte.
    is_split : bool
        The first bytes of all elements come first, then the second ones, and so on.
    is_zigzag : bool
        Small numbers of either sign are small without one.
    is_delta : bool
        Each element but a page's first is what it adds to the one before.
    is_offset : bool
        Elements are the ends of lists, counted from the cluster's beginning.
    is_cardinality : bool
        Asked for are the lengths of the lists.
    """

    key: str
    number: int
    dtype: np.dtype[Any]
    is_bit: bool
    is_split: bool
    is_zigzag: bool
    is_delta: bool
    is_offset: bool
    is_cardinality: bool


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """One field that can be read through an index.

    Attributes
    ----------
    name : str
        Its path.
    form : awkward.forms.Form
        Of a record with the field, or with the collection that it lies in.
    steps : tuple of str
        From that record to the field.
    columns : tuple of PageColumn
        That the form is made of.
    """

    name: str
    form: Any
    steps: tuple[str, ...]
    columns: tuple[PageColumn, ...]


class FieldBook:
    """Describes the fields of an RNTuple when they are asked for, without holding its file.

    Few of 2,000 are ever read.

    Parameters
    ----------
    ntuple : uproot RNTuple
    """

    def __init__(self, ntuple: Any) -> None:
        self._ntuple = without_file(ntuple)
        self._paths: set[str] | None = None
        self._rewritten: frozenset[int] = frozenset()  # fields that are written in several ways
        self._fields: dict[str, Field | None] = {}

    def find(self, name: str) -> Field | None:
        """Give a field by its path.

        Parameters
        ----------
        name : str
            With dots or slashes.

        Returns
        -------
        Field or None
            None for what uproot has to read.
        """
        path = name.replace("/", ".")
        if path not in self._fields:
            if self._paths is None:
                know_inner_fields(self._ntuple)
                self._paths = {field.path for field in self._ntuple.all_fields}
                self._rewritten = frozenset(
                    record.field_id for record in self._ntuple.column_records if record.repr_idx
                )
            # Of any other name uproot would say in ten seconds that there is no such field.
            is_known = path in self._paths
            self._fields[path] = self._describe(path) if is_known else None
        return self._fields[path]

    def _describe(self, path: str) -> Field | None:
        try:
            return _describe(self._ntuple, self._ntuple[path], path, self._rewritten)
        except Exception:  # noqa: BLE001  # uproot refuses types by whatever comes to its hand
            return None


def without_file(ntuple: Any) -> Any:
    """Copy as much of an RNTuple as describes its fields.

    Parameters
    ----------
    ntuple : uproot RNTuple

    Returns
    -------
    uproot RNTuple
        Of the same fields; it can read nothing.
    """
    bare = copy.copy(ntuple)
    kept = {"_header": ntuple.header, "_footer": ntuple.footer, "_ntuple": bare}
    empty: dict[str, Any] = dict.fromkeys(vars(ntuple)) | {
        "_field_metadata_cache": {},
        "_members": {},
    }
    vars(bare).update(empty | kept)
    return bare


def _describe(ntuple: Any, field: Any, path: str, rewritten: frozenset[int]) -> Field | None:
    if field.path != path:
        return None
    form, below = field.to_akform()
    steps = (*below[:-1], field.name)
    columns = [_column(ntuple, key, rewritten) for key in _keys_of(form)]
    readable = [column for column in columns if column is not None]
    if len(readable) < len(columns) or not _leads(form, steps):
        return None
    return Field(path, form, steps, tuple(readable))


def _keys_of(form: Any) -> list[str]:
    """Give the keys of a form's columns; of records and fixed-size arrays there is nothing."""
    keys = [form.form_key] if form.form_key is not None else []
    inner = getattr(form, "contents", None)
    if inner is None:
        content = getattr(form, "content", None)
        inner = [content] if hasattr(content, "form_key") else []
    for one in inner:
        keys += _keys_of(one)
    is_bare = type(form).__name__ in ("RecordForm", "RegularForm")
    return list(dict.fromkeys(keys[1:] if is_bare and form.form_key is not None else keys))


def _column(ntuple: Any, key: str, rewritten: frozenset[int]) -> PageColumn | None:
    word, _, rest = key.partition("-")
    digits, _, kind = rest.partition("-")
    if word != "column" or not digits.isdecimal() or kind not in ("", "cardinality"):
        return None
    number, records = int(digits), ntuple.column_records
    if number >= len(records):
        return None
    record, how = records[number], ntuple.get_field_metadata(number)
    is_plain = how.dtype_str not in _PACKED and how.dtype == how.dtype_toread == how.dtype_result
    is_whole = record.field_id not in rewritten and record.first_element_index == 0
    if not (is_whole and is_plain):
        return None
    return PageColumn(
        key=key,
        number=number,
        dtype=how.dtype,
        is_bit=how.isbit,
        is_split=how.split,
        is_zigzag=how.zigzag,
        is_delta=how.delta,
        is_offset=how.dtype_byte in uproot.const.rntuple_index_types,
        is_cardinality=kind == "cardinality",
    )


def _leads(form: Any, steps: tuple[str, ...]) -> bool:
    for step in steps:
        # uproot makes its way through lists, too.
        while not form.is_record:
            form = getattr(form, "content", None)
            if form is None:
                return False
        if step not in form.fields:
            return False
        form = form.content(step)
    return True
