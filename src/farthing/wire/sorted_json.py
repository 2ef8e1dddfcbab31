"""A JSON value with the keys of every object in one order; nothing else of it is respelled.

Keys are sorted by their text; numbers, string values and their escapes stay as they came, and so
does the order of arrays, which has a meaning. Whitespace between values goes, for it is not
rendered. A key given twice has no place in an order: ``RequestError``.
"""

from __future__ import annotations

from typing import Final

from farthing.errors import RequestError
from farthing.wire import json

__all__ = ["sorted_keys"]

#: deeper than any schema somebody wrote, and far from the interpreter's own limit
_DEEPEST: Final = 100


def sorted_keys(raw: bytes) -> bytes:
    """The value with all keys in order, at every depth."""
    return _sorted(raw.strip(), 0)


def _sorted(raw: bytes, depth: int) -> bytes:
    if depth > _DEEPEST:
        raise RequestError("the value is nested too deeply to be sorted")
    if raw.startswith(b"["):
        return b"[%b]" % b",".join(_sorted(value, depth + 1) for value in json.array_values(raw))
    if not raw.startswith(b"{"):
        return raw
    members = json.members(raw)
    if len({member.name for member in members}) < len(members):
        raise RequestError("an object has a key twice, so its keys have no order")
    return b"{%b}" % b",".join(
        b"%b:%b" % (json.encode(member.name), _sorted(raw[member.start : member.end], depth + 1))
        for member in sorted(members, key=lambda member: member.name)
    )
