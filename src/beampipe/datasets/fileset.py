"""Filesets in every form that Beampipe or coffea knows, brought into one.

How a list is read depends on where it stands: a list that stands for a dataset's files is a
list of files; inside it, a list is one file with replicas.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from beampipe.datasets.expand import expand_files, is_single_name, natural_key
from beampipe.datasets.file_errors import missing_error
from beampipe.datasets.fileset_file import is_fileset_file, load_fileset_file
from beampipe.datasets.fileset_shape import (
    DATASET_KEYS,
    DatasetShape,
    FileShape,
    check_shape,
    closest_key,
)
from beampipe.datasets.model import DatasetSpec, FileSpec
from beampipe.datasets.urls import clean_tree, is_remote, local_path, show_url, split_tree
from beampipe.errors import FilesetFormError, NoFilesError

DEFAULT_DATASET = "data"
FORMS = (
    "a path, glob, directory, URL or list of them; {dataset: ...} with those or with"
    " {'files': ..., 'treename': ..., 'metadata': ...}; a TOML, JSON or YAML file"
)


def read_fileset(source: Any, *, treename: str | None = None) -> dict[str, DatasetSpec]:
    """Read a fileset in any accepted form.

    Parameters
    ----------
    source : str, Path, list, mapping or coffea DataGroupSpec
        - a path, glob, directory (searched for ``*.root``), URL, or a list of these: one dataset
          called ``"data"``;
        - ``{dataset: ...}`` with any of those, or with ``{"files": ..., "treename": ...,
          "metadata": {...}}``, where the files are a list, ``{url: tree}``, or ``{url:
          {"object_path", "steps", "num_entries", "uuid", "replicas"}}``;
        - a TOML, JSON or YAML file that holds one of these; relative paths start from its folder.

        ``"file.root:Tree"`` names the tree too. Inside a list of files, a list is one file with
        replicas, the preferred one first: ``["a.root", ["root://x//b.root", "b.root"]]``. In
        ``{url: {"replicas": [...]}}`` the key comes first, and the others follow.
    treename : str, optional
        The tree of all files for which the fileset names none.

    Returns
    -------
    dict of str to DatasetSpec
        In the order given. Local paths are absolute, globs and directories are expanded.
        Files named one by one are not looked at; whether they are there shows in the counting.

    Raises
    ------
    FilesetFormError
        ``dataset-fileset-form``: the fileset, or a part of it, is in no known form.
    FilesetFileError
        ``dataset-fileset-file``: a fileset file can't be read or parsed.
    NoFilesError
        ``dataset-no-files``: a glob, directory or list without files.
    FileMissingError
        ``dataset-file-missing``: the one path that was given does not exist.
    """
    place = _Place(str(Path.cwd()), _clean(treename))
    if isinstance(source, str | os.PathLike):
        text = _text_of(source)
        if is_fileset_file(text) and not is_remote(text):
            path = Path(local_path(text, place.base))
            place = _Place(str(path.parent), place.treename, origin=f" of {path}")
            return _read_datasets(load_fileset_file(path), place)
        _refuse_missing(text, place.base)
    return _read_datasets(source, place)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a part of a fileset stands: what its relative paths and missing trees mean."""

    base: str
    treename: str | None
    dataset: str = DEFAULT_DATASET
    origin: str = ""

    @property
    def where(self) -> str:
        return f"dataset {self.dataset!r}{self.origin}"

    def inside(self, dataset: str) -> _Place:
        return replace(self, dataset=dataset)

    def with_tree(self, treename: str | None) -> _Place:
        return replace(self, treename=_clean(treename) or self.treename)


def _read_datasets(source: Any, place: _Place) -> dict[str, DatasetSpec]:
    source = _to_plain(source)
    if isinstance(source, DatasetSpec):
        return {source.name: source}
    if not isinstance(source, Mapping) or _is_one_dataset(source):
        return {place.dataset: _read_dataset(source, place)}
    if not source:
        raise FilesetFormError(
            f"The fileset{place.origin} is empty.",
            why="it names no dataset",
            fix="give it at least one: {'DY': 'dy/*.root'}",
        )
    return {
        _check_name(name): _read_dataset(value, place.inside(name))
        for name, value in source.items()
    }


def _read_dataset(value: Any, place: _Place) -> DatasetSpec:
    value = _to_plain(value)
    if isinstance(value, DatasetSpec):
        return replace(value, name=place.dataset)
    metadata: Mapping[str, Any] = {}
    if isinstance(value, Mapping):
        if "files" in value:
            shape = check_shape(DatasetShape, value, where=place.where)
            value, metadata = _to_plain(shape.files), shape.metadata or {}
            place = place.with_tree(shape.treename)
        elif not all(_is_file_name(key) or "/" in str(key) for key in value) or not value:
            raise _no_files_key(value, place)
    files = tuple(_read_files(value, place))
    if not files:
        raise NoFilesError(
            f"There are no files in {place.where}.",
            why="its list of files is empty",
            fix="name at least one file, glob or directory, or take the dataset out",
            dataset=place.dataset,
        )
    return DatasetSpec(place.dataset, files, _plain_metadata(metadata, place))


def _read_files(value: Any, place: _Place) -> Iterator[FileSpec]:
    if isinstance(value, str | os.PathLike):
        yield from _read_name(_text_of(value), place)
    elif isinstance(value, Mapping):
        for key, details in value.items():
            yield from _read_mapped(key, _to_plain(details), place)
    elif isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        items = sorted(value, key=_set_order) if isinstance(value, set | frozenset) else value
        for item in items:
            yield from _read_item(_to_plain(item), place)
    else:
        raise _wrong_type(value, place)


def _read_item(item: Any, place: _Place) -> Iterator[FileSpec]:
    """Read an element of a list of files."""
    if isinstance(item, FileSpec):
        yield item
    elif isinstance(item, str | os.PathLike):
        yield from _read_name(_text_of(item), place)
    elif isinstance(item, list | tuple):
        yield _read_replicas(item, FileShape(), place)
    elif isinstance(item, Mapping) and "replicas" in item:
        shape = check_shape(FileShape, item, where=f"a file in {place.where}")
        yield _read_replicas(shape.replicas, shape, place)
    else:
        raise _wrong_type(item, place)


def _read_name(text: str, place: _Place) -> Iterator[FileSpec]:
    name, tree = split_tree(text, place.base)
    for url in expand_files(name, place.base):
        yield FileSpec((url,), tree or place.treename)


def _read_mapped(key: Any, details: Any, place: _Place) -> Iterator[FileSpec]:
    """Read an entry of ``{url: tree}`` or ``{url: {...}}``."""
    if not isinstance(key, str | os.PathLike):
        raise _wrong_type(key, place)
    text = _text_of(key)
    if details is None or isinstance(details, str):
        shape = FileShape(object_path=details)
    elif isinstance(details, Mapping):
        where = f"file {show_url(text)} in {place.where}"
        shape = check_shape(FileShape, details, where=where)
    else:
        raise _wrong_type(details, place)
    name, _tree = split_tree(text, place.base)
    if shape.describes_one_file or is_single_name(name, place.base):
        yield _read_replicas([text, *shape.replicas], shape, place)
    else:
        yield from _read_name(text, place.with_tree(shape.object_path or shape.treename))


def _read_replicas(names: Iterable[Any], shape: FileShape, place: _Place) -> FileSpec:
    """Read one file that lies at one or several places."""
    urls: dict[str, None] = {}
    trees = {_clean(shape.object_path), _clean(shape.treename)}
    for name in names:
        if not isinstance(name, str | os.PathLike):
            raise _wrong_type(name, place)
        text, tree = split_tree(_text_of(name), place.base)
        trees.add(tree)
        if not is_single_name(text, place.base):
            raise FilesetFormError(
                f"{show_url(text)} in {place.where} must name one file.",
                why="replicas, steps, num_entries and uuid belong to one file, and this is a glob"
                " or a directory",
                fix="name every file, or leave these out; a list inside the list of files is one"
                " file with its replicas",
                dataset=place.dataset,
            )
        urls.update(dict.fromkeys(expand_files(text, place.base)))
    if not urls:
        raise FilesetFormError(
            f"A file in {place.where} has no name.",
            why="its list of replicas is empty",
            fix="name its replicas, or take the empty list out",
            dataset=place.dataset,
        )
    return FileSpec(
        tuple(urls),
        _one_tree(trees, place, url=next(iter(urls))) or place.treename,
        None if shape.steps is None else tuple(sorted(shape.steps)),
        shape.num_entries,
        shape.uuid,
    )


def _one_tree(trees: Iterable[str | None], place: _Place, *, url: str) -> str | None:
    named = sorted(tree for tree in trees if tree is not None)
    if len(named) > 1:
        raise FilesetFormError(
            f"{show_url(url)} in {place.where} is given several trees.",
            why=f"they are {named}",
            fix="name one tree for each file; to read two trees of one file, make two datasets",
            dataset=place.dataset,
        )
    return named[0] if named else None


def _to_plain(value: Any) -> Any:
    """Turn coffea's pydantic objects into plain values, without importing coffea."""
    dump = getattr(value, "model_dump", None)
    return value if dump is None or isinstance(value, type) else dump()


def _is_one_dataset(source: Mapping[Any, Any]) -> bool:
    """Tell ``{"files": ..., "treename": ...}`` and ``{url: tree}`` from ``{dataset: ...}``.

    Slashes say nothing here: CMS datasets are called ``/DYJetsToLL/Run2018/NANOAODSIM``.
    """
    keys = set(source)
    spelled_out = "files" in keys and len(keys) > 1 and keys.issubset(DATASET_KEYS)
    return spelled_out or (
        bool(source)
        and all(_is_file_name(key) for key in keys)
        and all(value is None or isinstance(value, str | Mapping) for value in source.values())
    )


def _is_file_name(key: Any) -> bool:
    if isinstance(key, os.PathLike):
        return True
    if not isinstance(key, str):
        return False
    return is_remote(key) or ".root" in key.lower() or "*" in key


def _check_name(name: Any) -> str:
    if isinstance(name, str) and name.strip():
        return name
    raise FilesetFormError(
        f"A dataset's name must be a text, not {name!r}.",
        why="YAML reads words like NO and ON as true or false" if isinstance(name, bool) else "",
        fix=f"put it in quotes: {str(name)!r}",
    )


def _plain_metadata(metadata: Mapping[str, Any], place: _Place) -> dict[str, Any]:
    return {key: _plain_value(value, place, key=key) for key, value in metadata.items()}


def _plain_value(value: Any, place: _Place, *, key: str) -> Any:
    """Bring metadata into what JSON knows: a run that is resumed must be told the same."""
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {name: _plain_value(item, place, key=key) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_value(item, place, key=key) for item in value]
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "item") and getattr(value, "shape", None) == ():  # NumPy's scalars
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise FilesetFormError(
        f"The metadata {key!r} of {place.where} cannot be kept.",
        why=f"a {type(value).__name__} is not plain data",
        fix="use texts, numbers, lists and mappings with texts as keys",
        dataset=place.dataset,
    )


def _clean(treename: str | None) -> str | None:
    return None if treename is None else clean_tree(treename) or None


def _text_of(value: str | os.PathLike[str]) -> str:
    return os.fspath(value)


def _set_order(item: Any) -> Any:
    return natural_key(str(item))


def _refuse_missing(text: str, base: str) -> None:
    name, _tree = split_tree(text, base)
    if is_remote(name) or not is_single_name(name, base) or name.endswith("/"):
        return
    path = local_path(name, base)
    if not os.path.lexists(path):
        raise missing_error(path)


def _no_files_key(value: Mapping[Any, Any], place: _Place) -> FilesetFormError:
    keys = [str(key) for key in value]
    guess = next(filter(None, (closest_key(key, DATASET_KEYS) for key in keys)), "")
    shown = ", ".join(repr(key) for key in keys[:5]) or "nothing"
    return FilesetFormError(
        f"The form of {place.where} is wrong.",
        why=f"it has no key 'files', and its keys ({shown}) are no file names{guess}",
        fix="write {'files': ..., 'treename': ..., 'metadata': ...}, or {file: tree}",
        dataset=place.dataset,
    )


def _wrong_type(value: Any, place: _Place) -> FilesetFormError:
    return FilesetFormError(
        f"The form of {place.where} is wrong.",
        why=f"{value!r:.80} is of type {type(value).__name__}, which names no file",
        fix=f"a fileset is {FORMS}",
        dataset=place.dataset,
    )
