"""Edits of a request as values: what to change, and where.

Every address refers to the request as it stands before any edit. A value is JSON, taken over byte
for byte. ``farthing.wire.apply`` makes the edits.
"""

from __future__ import annotations

from dataclasses import dataclass

from farthing.wire import json

__all__ = [
    "BlockEdit",
    "Edit",
    "InsertBlock",
    "InsertMessage",
    "RemoveBlock",
    "RemoveField",
    "RemoveMessage",
    "RemoveTopLevel",
    "ReplaceText",
    "SetField",
    "SetTopLevel",
    "mark",
]


@dataclass(frozen=True, slots=True)
class SetField:
    """Set or replace a member of a block; ``value`` is JSON."""

    address: str
    name: str
    value: bytes


@dataclass(frozen=True, slots=True)
class RemoveField:
    """Remove a member of a block."""

    address: str
    name: str


@dataclass(frozen=True, slots=True)
class ReplaceText:
    """Replace the text of a text block or string content, or the content of a tool result."""

    address: str
    text: str


@dataclass(frozen=True, slots=True)
class InsertBlock:
    """Insert a block before the one at ``address``; one past the last appends."""

    address: str
    value: bytes


@dataclass(frozen=True, slots=True)
class RemoveBlock:
    """Remove a block."""

    address: str


@dataclass(frozen=True, slots=True)
class InsertMessage:
    """Insert a message before ``index``; the number of messages appends."""

    index: int
    value: bytes


@dataclass(frozen=True, slots=True)
class RemoveMessage:
    """Remove a message."""

    index: int


@dataclass(frozen=True, slots=True)
class SetTopLevel:
    """Set or replace a top-level field; ``value`` is JSON."""

    name: str
    value: bytes


@dataclass(frozen=True, slots=True)
class RemoveTopLevel:
    """Remove a top-level field."""

    name: str


BlockEdit = SetField | RemoveField | ReplaceText | InsertBlock | RemoveBlock
Edit = BlockEdit | InsertMessage | RemoveMessage | SetTopLevel | RemoveTopLevel


def mark(address: str, ttl: str | None = None) -> SetField:
    """The edit that puts a breakpoint on a block."""
    value = {"type": "ephemeral"} if ttl is None else {"type": "ephemeral", "ttl": ttl}
    return SetField(address, "cache_control", json.encode(value))
