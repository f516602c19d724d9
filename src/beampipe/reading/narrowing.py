"""Events that hold the columns a processor uses, and know the names of all others.

Making the events of a chunk costs a few microseconds for every column of the file, of which a
processor uses a dozen in a thousand. So what was not used before is left out of the layout,
and an object that answers nothing stands in its place. Names are all there, so that a question
about names gets its true answer; whatever else is asked of what was left out raises
`LeftOutError`, and the chunk is processed again with everything in its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any
from urllib.parse import unquote

import awkward as ak
from awkward._nplikes.shape import unknown_length
from awkward.contents import RecordArray

from beampipe.reading.built import LeftOutError

Path = tuple[str, ...]
"""Of a column in the events: ``("Muon", "pt")``."""

_STEP_OFFSETS = ",!offsets"
_EVERYTHING = "*"
_ASKED_OF_ONE = {"parameter", "purelist_parameter", "purelist_parameters"}
_TOGETHER = frozenset({"x", "y", "z", "t", "rho", "phi", "eta", "theta", "tau"}) | {
    *("px", "py", "pz", "pt", "E", "e", "energy", "M", "m", "mass", "charge")
}
"""Whoever uses one coordinate of a vector has its methods look for all others."""


class LeftOut(RecordArray):  # type: ignore[misc]  # awkward ships no types
    """Stands in the events where a column, or a whole collection, was left out.

    It can be carried along with the record that it is part of. Whatever else is done with it
    raises `LeftOutError`: every attribute that is not known to be harmless.

    Parameters
    ----------
    path : tuple of str
        Where it stands.
    form : awkward.forms.Form
        Of what it stands for.
    asked : set of tuple of str
        Gets `path` when it is selected; the path of all that stands beside it when anything else
        is asked.
    """

    # A record, because its length may be unknown before anything is read.
    def __init__(self, path: Path, form: ak.forms.Form, asked: set[Path]) -> None:
        self._left_out = (path, asked)
        self._depths = (form.minmax_depth, form.branch_depth)
        self._backend = ak._backends.numpy.NumpyBackend.instance()  # noqa: SLF001
        self._length = unknown_length

    def __getattribute__(self, name: str) -> Any:
        if name in _HARMLESS:
            return object.__getattribute__(self, name)
        path, asked = object.__getattribute__(self, "_left_out")
        # What is selected is asked for its class. Anything else is asked of one field of a record
        # after the other, so that all are wanted.
        asked.add(path if name in _ASKED_OF_ONE else (*path[:-1], _EVERYTHING))
        raise LeftOutError(f"{'.'.join(path)} ({name})")

    @property
    def length(self) -> Any:
        """Not known, and never less than that of the record."""
        return unknown_length

    @property
    def minmax_depth(self) -> Any:
        """The true one: asked of a record, and thus of all that is in it, when it is sliced."""
        return self._depths[0]

    @property
    def branch_depth(self) -> Any:
        """The true one."""
        return self._depths[1]

    def _getitem_range(self, *_: Any) -> LeftOut:
        return self

    def _carry(self, *_: Any) -> LeftOut:
        return self

    def _touch_shape(self, *_: Any, **__: Any) -> None:
        """Nothing is there to be touched."""


_HARMLESS = frozenset(
    {"__class__", "_backend", "backend", "_length", "length", "_getitem_range", "_carry"}
    | {"_touch_shape", "_depths", "minmax_depth", "branch_depth"}
)


class Narrowing:
    """What the events of one layout and dataset are narrowed to, which grows with what is used.

    Parameters
    ----------
    form : awkward.forms.Form
        Of the events with all columns.
    paths : mapping of str to list of tuple of str, optional
        What is used with each key that `learn` is told; by default keys are those of the form.

    Attributes
    ----------
    form : awkward.forms.Form
        The same.
    asked : set of tuple of str
        What was asked for of what is left out, since it was last cleared.
    """

    def __init__(
        self, form: ak.forms.Form, paths: Mapping[str, Sequence[Path]] | None = None
    ) -> None:
        self.form = form
        self.asked: set[Path] = set()
        self._paths = _paths_by_key(form) if paths is None else paths
        self._all = {path for _, path in _walk(form)}
        self._kept: set[Path] = set()
        self._tree: _Tree = {}
        self._narrow: ak.forms.Form | None = None
        self._left_out: dict[Path, LeftOut] = {}

    @property
    def is_ready(self) -> bool:
        """Whether anything was learned."""
        return bool(self._kept)

    def learn(self, form_keys: AbstractSet[str]) -> None:
        """Keep from now on what was loaded, by its keys in the form, and what was asked for."""
        used = {path for key in form_keys for path in self._paths.get(_plain(key), ())} | self.asked
        if not used <= self._kept:
            self._kept |= used | {beside for path in used for beside in self._besides(path)}
            self._tree, self._narrow = _grow(self._kept), None
        self.asked.clear()

    def _besides(self, path: Path) -> Iterator[Path]:
        """Give what is kept with something that was used or asked for."""
        if path and path[-1] in _TOGETHER:
            yield from {(*path[:-1], name) for name in _TOGETHER} & self._all
        elif path and path[-1] == _EVERYTHING:
            yield from (other for other in self._all if other[: len(path) - 1] == path[:-1])

    def narrow_form(self) -> ak.forms.Form:
        """Give the form of what is kept."""
        if self._narrow is None:
            self._narrow = _prune(self.form, self._tree)
        return self._narrow

    def fill_up(self, layout: Any) -> Any:
        """Put something in the place of what was left out.

        Parameters
        ----------
        layout : awkward.contents.Content
            Of `narrow_form`.

        Returns
        -------
        awkward.contents.Content
            With the names of the full form.
        """
        return self._fill_up(layout, self.form, self._tree, ())

    def _fill_up(self, layout: Any, form: Any, kept: _Tree, path: Path) -> Any:
        if form.is_record and not form.is_tuple:
            contents = dict(zip(layout.fields, layout.contents, strict=True))
            return RecordArray(
                [
                    self._fill_up(contents[name], inner, kept[name], (*path, name))
                    if name in kept
                    else self._stand_in((*path, name), inner)
                    for name, inner in zip(form.fields, form.contents, strict=True)
                ],
                form.fields,
                layout._length,  # noqa: SLF001  (`length` would load the counts)
                layout._length_generator,  # noqa: SLF001
                parameters=layout.parameters,
                backend=layout.backend,
            )
        if _has_content(form):
            content = self._fill_up(layout.content, form.content, kept, path)
            return layout if content is layout.content else layout.copy(content=content)
        return layout

    def _stand_in(self, path: Path, form: Any) -> LeftOut:
        if path not in self._left_out:
            self._left_out[path] = LeftOut(path, form, self.asked)
        return self._left_out[path]


_Tree = dict[str, "_Tree"]
"""Kept fields, and what is kept inside of them; empty where there are no fields inside."""


def _has_content(form: Any) -> bool:
    return bool(form.is_list or form.is_option or form.is_indexed)


def _walk(form: Any, path: Path = ()) -> Iterator[tuple[Any, Path]]:
    yield form, path
    if form.is_record and not form.is_tuple:
        for name, content in zip(form.fields, form.contents, strict=True):
            yield from _walk(content, (*path, name))
    elif form.is_record or form.is_union:
        for content in form.contents:
            yield from _walk(content, path)
    elif _has_content(form):
        yield from _walk(form.content, path)


def paths_by_field(form: ak.forms.Form) -> dict[str, list[Path]]:
    """Give all that is in each field of a record."""
    contents = zip(form.fields, form.contents, strict=True)
    return {name: [path for _, path in _walk(inner, (name,))] for name, inner in contents}


def _paths_by_key(form: Any) -> dict[str, list[Path]]:
    paths: dict[str, list[Path]] = {}
    for node, path in _walk(form):
        if node.form_key is not None:
            paths.setdefault(unquote(node.form_key), []).append(path)
    return paths


def _plain(form_key: str) -> str:
    """Give the key of a node for that of its offsets."""
    return form_key.removesuffix(_STEP_OFFSETS)


def _grow(paths: AbstractSet[Path]) -> _Tree:
    tree: _Tree = {}
    for path in paths:
        node = tree
        for name in path:
            node = node.setdefault(name, {})
    return tree


def _prune(form: Any, kept: _Tree) -> Any:
    if form.is_record and not form.is_tuple:
        fields = [name for name in form.fields if name in kept]
        contents = [_prune(form.content(name), kept[name]) for name in fields]
        return form.copy(contents=contents, fields=fields)
    if _has_content(form):
        return form.copy(content=_prune(form.content, kept))
    return form
