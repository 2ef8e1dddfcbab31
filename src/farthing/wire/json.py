"""Where the members of a JSON object and the elements of an array lie, byte for byte.

Theory of operation. Decoding a body and encoding it again loses what the client sent: whitespace,
escapes, ``1.0`` against ``1.00``, integers beyond 64 bits, a key given twice. farthing never does
that. It asks *where* things are and splices bytes (RFC 8259 is the grammar; read 2026-11).

msgspec finds the end of each value at the speed of C but keeps its positions to itself, so one
level is decoded into ``Raw`` slices and the slices are laid back onto the bytes in order: the key
by a regular expression, the value by its known length. A key that occurs twice has only its last
value in the decoded level; the slice then does not match the bytes, and a slower scanner that
trusts nothing but the grammar takes over.

Rules of this file: bytes in, positions out; positions are relative to the bytes given; input that
is not JSON raises ``RequestError`` and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from farthing.errors import RequestError

__all__ = [
    "Member",
    "Slice",
    "array_values",
    "decode_string",
    "element_count",
    "elements",
    "encode",
    "is_valid",
    "members",
    "placed",
    "raw_members",
]

_KEY = re.compile(rb'[ \t\n\r]*("[^"\\]*(?:\\.[^"\\]*)*")[ \t\n\r]*:[ \t\n\r]*', re.DOTALL)
_COMMA = re.compile(rb"[ \t\n\r]*,")
_SPACE = re.compile(rb"[ \t\n\r]*")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SCALAR = re.compile(rb"[^,\]} \t\n\r]+")
_STRUCTURE = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)

_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_string_decoder = msgspec.json.Decoder(str)
_any_decoder = msgspec.json.Decoder(msgspec.Raw)
encode = msgspec.json.Encoder().encode


#: the bytes of a value, not copied
Slice = msgspec.Raw | memoryview


class Member(NamedTuple):
    """One ``"name": value`` of an object: where its key begins and where its value lies."""

    name: str
    key_start: int
    start: int
    end: int


def raw_members(raw: bytes) -> dict[str, msgspec.Raw]:
    """The members of an object without their positions; of a key given twice, the last."""
    try:
        return _object_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable("an object", error) from None


def members(raw: bytes) -> list[Member]:
    """The members of the object ``raw``, in the order they stand there, repeated keys included."""
    return placed(raw, raw_members(raw))


def placed(raw: bytes, values: Mapping[str, Slice]) -> list[Member]:
    """The same where ``raw_members(raw)`` is at hand."""
    return _walk_members(raw, values) or _scan_members(raw)


def array_values(raw: bytes) -> list[bytes]:
    """The slice of each element of the array ``raw``, where its place does not matter."""
    return [bytes(value) for value in _raw_elements(raw)]


def element_count(raw: bytes) -> int:
    """How many elements the array ``raw`` has."""
    return len(_raw_elements(raw))


def elements(raw: bytes) -> list[tuple[int, int]]:
    """Start and end of each element of the array ``raw``."""
    values = _raw_elements(raw)
    spans: list[tuple[int, int]] = []
    position = raw.index(b"[") + 1
    for value in values:
        if raw[position] in b" \t\n\r":
            position = _space(raw, position)
        end = position + len(memoryview(value))
        spans.append((position, end))
        position = end + 1 if raw[end] == 44 else _space(raw, end) + 1  # 44: the comma
    return spans


def _raw_elements(raw: bytes) -> list[msgspec.Raw]:
    try:
        return _array_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable("an array", error) from None


def decode_string(raw: bytes) -> str:
    """The text of a JSON string."""
    try:
        return _string_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _unreadable("a string", error) from None


def is_valid(raw: bytes) -> bool:
    """Is ``raw`` one JSON value in valid UTF-8, and nothing after it?"""
    try:
        _any_decoder.decode(raw)
        raw.isascii() or raw.decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _unreadable(wanted: str, error: Exception) -> RequestError:
    # msgspec's own messages name positions and types, never content
    detail = str(error) if isinstance(error, msgspec.MsgspecError) else type(error).__name__
    return RequestError(f"expected {wanted} in JSON: {detail}")


def _space(raw: bytes, position: int) -> int:
    match = _SPACE.match(raw, position)
    assert match is not None  # the pattern matches the empty string
    return match.end()


def _name(quoted: bytes) -> str:
    return decode_string(quoted) if b"\\" in quoted else quoted[1:-1].decode()


def _walk_members(raw: bytes, values: Mapping[str, Slice]) -> list[Member] | None:
    """Lay the decoded values onto the bytes; None as soon as one does not fit."""
    found: list[Member] = []
    position = raw.index(b"{") + 1
    while key := _KEY.match(raw, position):
        name = _name(key[1])
        value = bytes(values[name])
        start = key.end()
        if not raw.startswith(value, start):
            return None
        end = start + len(value)
        found.append(Member(name, key.start(1), start, end))
        comma = _COMMA.match(raw, end)
        if comma is None:
            break
        position = comma.end()
    return found


def _scan_members(raw: bytes) -> list[Member]:
    """The same by the grammar alone; ``raw`` is known to be a valid object."""
    return list(_scan(raw, raw.index(b"{") + 1))


def _scan(raw: bytes, position: int) -> Iterable[Member]:
    while key := _KEY.match(raw, position):
        start = key.end()
        end = _skip(raw, start)
        yield Member(_name(key[1]), key.start(1), start, end)
        comma = _COMMA.match(raw, end)
        if comma is None:
            return
        position = comma.end()


def _skip(raw: bytes, start: int) -> int:
    """The end of the value that begins at ``start``."""
    first = raw[start : start + 1]
    if first not in (b"{", b"["):
        match = (_STRING if first == b'"' else _SCALAR).match(raw, start)
        assert match is not None  # the grammar was checked before
        return match.end()
    depth = 0
    for token in _STRUCTURE.finditer(raw, start):
        if token[0] in (b"{", b"["):
            depth += 1
        elif token[0] in (b"}", b"]"):
            depth -= 1
            if depth == 0:
                return token.end()
    raise AssertionError("unbalanced brackets in checked JSON")  # pragma: no cover
