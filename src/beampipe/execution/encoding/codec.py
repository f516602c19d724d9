"""Values to members of an archive and back."""

from __future__ import annotations

import pickle
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from beampipe.errors import ProcessorOutputError, RunFormatError, TrustError
from beampipe.execution.encoding import arrays, plain
from beampipe.execution.encoding.awkward_arrays import decode_awkward, encode_awkward
from beampipe.execution.encoding.coffea_values import decode_coffea, encode_coffea
from beampipe.execution.encoding.histograms import decode_histogram, encode_histogram
from beampipe.execution.encoding.members import MemberReader, MemberWriter
from beampipe.execution.outputs import is_awkward, is_histogram, is_instance_of, type_text

FORMAT = "beampipe-value"
VERSION = 1
_TREE = "value.json"
_DAMAGE = (
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    OverflowError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)
# What user's types raise on the way through pickle.
_PICKLE_ERRORS = (
    pickle.PickleError,
    TypeError,
    ValueError,
    AttributeError,
    ImportError,
    LookupError,
    EOFError,
    RuntimeError,
    NotImplementedError,
)


def write_value(archive: zipfile.ZipFile, prefix: str, value: Any) -> None:
    """Write a value as members ``prefix/...`` of an archive that is open for writing.

    Parameters
    ----------
    archive : zipfile.ZipFile
        Open for writing.
    prefix : str
        A folder in it, ``"value"``.
    value : Any
        Anything that a processor may return.

    Raises
    ------
    ProcessorOutputError
        ``processor-output``: it contains itself, or cannot even be pickled.
    """
    members = MemberWriter(archive, prefix)
    try:
        tree = _Encoder(members).encode(value)
    except RecursionError as error:
        raise _refused("it is nested too deeply") from error
    members.write_json(_TREE, {"format": FORMAT, "version": VERSION, "value": tree})


def read_value(archive: zipfile.ZipFile, prefix: str, *, trust: bool = False) -> Any:
    """Read what `write_value` wrote.

    Parameters
    ----------
    archive : zipfile.ZipFile
        Open for reading.
    prefix : str
        The folder in it.
    trust : bool, default False
        Whether pickles may be loaded; a pickle can run any program.

    Raises
    ------
    TrustError
        ``run-trust``: a part needs pickle, and `trust` is False; names the types.
    RunFormatError
        ``run-format``: written by a newer version, or damaged.
    """
    try:
        members = MemberReader(archive, prefix)
        document = members.read_json(_TREE)
        _check_format(document, f"{prefix} in {archive.filename}")
        return _Decoder(members, trust=trust).decode(document["value"])
    except (RunFormatError, TrustError):
        raise
    except _DAMAGE as error:
        raise RunFormatError(
            f"{prefix} in {archive.filename} cannot be read.",
            why=f"{type(error).__name__}: {error}",
            fix="it is damaged or was not written by Beampipe; restore it from a copy",
        ) from error


def _check_format(document: Mapping[str, Any], name: str) -> None:
    if document["format"] != FORMAT or document["version"] > VERSION:
        raise RunFormatError(
            f"{name} is in a format that this Beampipe does not know.",
            why=f"it says {document['format']!r} version {document['version']!r}; this "
            f"version reads {FORMAT!r} up to {VERSION}",
            fix="install a Beampipe at least as new as the one that wrote it",
        )


def needs_pickle(archive: zipfile.ZipFile, prefix: str) -> bool:
    """Tell whether any part of a value can be read with `trust` only."""
    return any(name.startswith(f"{prefix}/pickles/") for name in archive.namelist())


@dataclass(slots=True)
class _Encoder:
    members: MemberWriter
    above: set[int] = field(default_factory=set)

    def encode(self, value: Any) -> plain.Node:
        encoder = plain.ENCODERS.get(type(value))
        if encoder is not None and not plain.has_own_state(value):
            with_items = not isinstance(value, (int, float, str, bytes, complex, type(None)))
            return self._nested(value, encoder) if with_items else encoder(value, self.encode)
        node = self._special(value)
        return self._pickle(value) if node is NotImplemented else node

    def _nested(self, value: Any, encoder: Any) -> plain.Node:
        if id(value) in self.above:
            raise _refused(f"a {type_text(value)} in it contains itself")
        self.above.add(id(value))
        node = encoder(value, self.encode)
        self.above.discard(id(value))
        return self._pickle(value) if node is NotImplemented else node

    def _special(self, value: Any) -> plain.Node:
        if isinstance(value, np.ndarray):
            return arrays.encode_array(value, self.members)
        if isinstance(value, np.generic):
            return arrays.encode_scalar(value, self.members)
        if is_histogram(value):
            return encode_histogram(value, self.members, self.encode)
        if is_awkward(value):
            return encode_awkward(value, self.members, self.encode)
        if is_instance_of(value, "coffea.processor.accumulator", "AccumulatorABC"):
            return self._nested(value, encode_coffea)
        return NotImplemented

    def _pickle(self, value: Any) -> plain.Node:
        import cloudpickle

        try:
            data = cloudpickle.dumps(value)
        except _PICKLE_ERRORS as error:
            why = f"{type_text(value)} has no open format, and pickle says: {error}"
            raise _refused(why) from error
        kind = type(value)
        return {
            "kind": "pickle",
            "type": f"{kind.__module__}.{kind.__qualname__}",
            "pickle": self.members.write_pickle(data),
        }


def _refused(why: str) -> ProcessorOutputError:
    return ProcessorOutputError(
        "The processor's output cannot be stored.",
        why=why,
        fix="return numbers, histograms, arrays, coffea accumulators, or containers of these",
    )


@dataclass(slots=True)
class _Decoder:
    members: MemberReader
    trust: bool

    def decode(self, node: plain.Node) -> Any:
        if isinstance(node, list):
            return plain.decode_list(node, self.decode)
        if not isinstance(node, Mapping):
            return node
        kind = node["kind"]
        if kind in plain.DECODERS:
            return plain.DECODERS[kind](node, self.decode)
        if kind in arrays.DECODERS:
            return arrays.DECODERS[kind](node, self.members)
        if kind == "histogram":
            return decode_histogram(node, self.members, self.decode)
        if kind == "awkward":
            return decode_awkward(node, self.members, self.decode)
        if kind.startswith("coffea."):
            return decode_coffea(node, self.decode)
        if kind == "pickle":
            return self._unpickle(node)
        raise RunFormatError(
            f"A value of the kind {kind!r} is not known here.",
            why="a newer Beampipe wrote it",
            fix="install a Beampipe at least as new as the one that wrote it",
        )

    def _unpickle(self, node: Mapping[str, Any]) -> Any:
        if not self.trust:
            raise TrustError(
                f"The value holds a {node['type']}, which needs pickle to be read.",
                why="loading a pickle can run any program, and this one was not vouched for",
                fix="if you trust whoever wrote it, load it with trust=True (`--trust`)",
                type=node["type"],
            )
        try:
            return pickle.loads(self.members.read_pickle(node["pickle"]))  # noqa: S301  (trusted)
        except _PICKLE_ERRORS as error:
            raise RunFormatError(
                f"The value holds a {node['type']} that cannot be unpickled here.",
                why=f"{type(error).__name__}: {error}",
                fix="make the modules that define it importable, in the versions that wrote it",
            ) from error
