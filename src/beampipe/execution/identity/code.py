"""Compiled code in a form that depends on what it does and not on how it is laid out.

What runs is the code object, and it is what workers get; the source file may have been changed
since. Comments, formatting and docstrings leave traces in it (line numbers, `NOP`, jumps to
jumps, the first constant), which are left out here.
"""

from __future__ import annotations

import dis
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any

from beampipe.environments.code_archive import ImportUse
from beampipe.execution.identity.model import combine, encode_text

_LAYOUT = {"NOP", "CACHE", "RESUME", "EXTENDED_ARG", "NOT_TAKEN"}
_ALWAYS = {
    "JUMP",
    "JUMP_FORWARD",
    "JUMP_ABSOLUTE",
    "JUMP_BACKWARD",
    "JUMP_BACKWARD_NO_INTERRUPT",
    "JUMP_NO_INTERRUPT",
}
_JUMPS = frozenset((*dis.hasjrel, *dis.hasjabs))
_GLOBALS = {"LOAD_GLOBAL", "LOAD_NAME"}
_ATTRIBUTES = {"LOAD_ATTR", "LOAD_METHOD"}


@dataclass(frozen=True, slots=True)
class GlobalUse:
    """A global name, and the attributes that are taken from it: ``helper.cuts.PT``."""

    name: str
    attributes: tuple[str, ...] = ()


def digest_code(code: CodeType) -> bytes:
    """Digest what a code object does, with the functions inside it."""
    kept, places = _keep_instructions(code)
    words = [
        encode_text(f"{code.co_argcount} {code.co_posonlyargcount} {code.co_kwonlyargcount}"),
        str(code.co_flags & ~_HAS_DOCSTRING).encode(),
        *map(encode_text, code.co_varnames[: _count_arguments(code)]),
        *map(encode_text, code.co_freevars),
    ]
    words += [_digest_instruction(one, kept, places) for one in kept]
    words += _digest_handlers(code, places, len(kept))
    return combine("code", *words)


_HAS_DOCSTRING = 0x4000000  # a flag of Python 3.13


def _count_arguments(code: CodeType) -> int:
    stars = bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)
    return code.co_argcount + code.co_kwonlyargcount + stars


def _keep_instructions(code: CodeType) -> tuple[list[dis.Instruction], dict[int, int]]:
    kept: list[dis.Instruction] = []
    places: dict[int, int] = {}
    for one in dis.get_instructions(code):
        places[one.offset] = len(kept)
        if one.opname == "STORE_NAME" and one.argval == "__doc__":  # of a class
            text = kept.pop()
            places[text.offset] = places[one.offset] = len(kept)
        elif one.opname not in _LAYOUT:
            kept.append(one)
    return kept, places


def _digest_instruction(
    one: dis.Instruction, kept: Sequence[dis.Instruction], places: dict[int, int]
) -> bytes:
    name = one.opname.replace("_FORWARD", "").replace("_BACKWARD", "")
    if one.opcode in _JUMPS:
        return combine(name, str(_follow(one.argval, kept, places)).encode())
    if isinstance(one.argval, CodeType):
        return combine(name, digest_code(one.argval))
    return combine(name, _digest_constant(one.argval))


def _follow(offset: int, kept: Sequence[dis.Instruction], places: dict[int, int]) -> int:
    """Where a jump leads in the end, if it leads to other jumps."""
    place = places[offset]
    seen = {place}
    while place < len(kept) and kept[place].opname in _ALWAYS:
        place = places[kept[place].argval]
        if place in seen:
            break
        seen.add(place)
    return place


def _digest_handlers(code: CodeType, places: dict[int, int], end: int) -> Iterator[bytes]:
    parse = getattr(dis, "_parse_exception_table", None)
    if parse is None:
        yield code.co_exceptiontable
        return
    for entry in parse(code):
        start, stop = places.get(entry.start, end), places.get(entry.end, end)
        if start < stop:
            text = f"{start} {stop} {places.get(entry.target, end)} {entry.depth} {entry.lasti}"
            yield combine("handler", text.encode())


def _digest_constant(value: Any) -> bytes:
    """Digest what may stand in compiled code."""
    kind = type(value).__name__
    if isinstance(value, CodeType):
        return digest_code(value)
    if isinstance(value, tuple):
        return combine(kind, *map(_digest_constant, value))
    if isinstance(value, frozenset):
        return combine(kind, *sorted(map(_digest_constant, value)))
    if isinstance(value, float):
        return combine(kind, struct.pack(">d", value))
    if isinstance(value, complex):
        return combine(kind, struct.pack(">dd", value.real, value.imag))
    if isinstance(value, bytes):
        return combine(kind, value)
    if isinstance(value, str):
        return combine(kind, encode_text(value))
    return combine(kind, encode_text(repr(value)))


def find_globals(code: CodeType) -> Iterator[GlobalUse]:
    """Go through the global names that code and the functions inside it look up."""
    instructions = [one for one in dis.get_instructions(code) if one.opname not in _LAYOUT]
    for place, one in enumerate(instructions):
        if one.opname in _GLOBALS:
            yield GlobalUse(one.argval, tuple(_attributes_after(instructions, place)))
    for inner in _inner_codes(code):
        yield from find_globals(inner)


def _attributes_after(instructions: Sequence[dis.Instruction], place: int) -> Iterator[str]:
    for one in instructions[place + 1 :]:
        if one.opname not in _ATTRIBUTES:
            return
        yield one.argval


def find_imports(code: CodeType) -> Iterator[ImportUse]:
    """Go through the imports that code and the functions inside it make when they are called."""
    instructions = [one for one in dis.get_instructions(code) if one.opname not in _LAYOUT]
    for place, one in enumerate(instructions):
        if one.opname == "IMPORT_NAME" and place >= 2:
            level, members = (before.argval for before in instructions[place - 2 : place])
            level = level if isinstance(level, int) else 0
            members = members if isinstance(members, tuple) else ()
            yield ImportUse(one.argval, level, members)
    for inner in _inner_codes(code):
        yield from find_imports(inner)


def _inner_codes(code: CodeType) -> Iterator[CodeType]:
    return (constant for constant in code.co_consts if isinstance(constant, CodeType))
