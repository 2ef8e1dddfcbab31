"""A block: the smallest part of a request that can carry ``cache_control``, and its lazy views.

A ``Block`` owns its JSON slice, so it can be shared by the requests of a whole conversation without
keeping their bodies alive. What is read from it is decoded on first use and remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

import msgspec

from farthing.wire import json
from farthing.wire.canonical import read_block, rendered

__all__ = ["Block", "CacheControl", "Level", "Message"]

Level = Literal["tools", "system", "messages"]

_MARK = "cache_control"
#: where a tool result and a document keep inner blocks, the last of which may carry the mark in
#: place of its parent (API facts, 2.1)
_INNER = {"tool_result": "content", "document": "source"}


@dataclass(frozen=True, slots=True)
class CacheControl:
    """A breakpoint as the client asked for it."""

    ttl: str = "5m"


class Block:
    """One tool, one system block or one content block; string content counts as one block."""

    __slots__ = ("_control", "_digest", "_kind", "_values", "address", "level", "raw", "role")

    def __init__(self, address: str, level: Level, role: str | None, raw: bytes) -> None:
        self.address = address
        self.level: Level = level
        self.role = role
        self.raw = raw
        self._values: dict[str, msgspec.Raw] | None = None
        self._kind: str | None = None
        self._digest: bytes | None = None
        #: a tuple of the mark, once it was looked for: most blocks have none
        self._control: tuple[CacheControl | None] | None = None

    def __repr__(self) -> str:
        return f"<Block {self.address} {len(self.raw)} bytes sha256:{self.digest.hex()[:8]}>"

    @property
    def is_string(self) -> bool:
        """Is this block the whole content, given as a string?"""
        return self.raw.startswith(b'"')

    @property
    def values(self) -> dict[str, msgspec.Raw]:
        """The block's members as raw slices; string content looks like a text block."""
        if self._values is None:
            if self.is_string:
                self._values = {"type": msgspec.Raw(b'"text"'), "text": msgspec.Raw(self.raw)}
            else:
                self._values = json.raw_members(self.raw)
        return self._values

    def get(self, name: str) -> bytes | None:
        """The JSON slice of a member, or None."""
        value = self.values.get(name)
        return None if value is None else bytes(value)

    def string(self, name: str) -> str | None:
        """The text of a string member; None where it is absent or no string."""
        value = self.get(name)
        if value is None or not value.startswith(b'"'):
            return None
        return json.decode_string(value)

    @property
    def kind(self) -> str:
        """``tool`` for a tool definition, else the block's ``type``."""
        if self._kind is None:
            self._kind = self._named_kind(self.string("type") or "")
        return self._kind

    def _named_kind(self, type_: str) -> str:
        return "tool" if self.level == "tools" else type_

    @property
    def text(self) -> str | None:
        """The text of a text block."""
        return self.string("text") if self.kind == "text" else None

    @property
    def cache_control(self) -> CacheControl | None:
        """The mark on this block, or on the last inner block that stands for it."""
        if self._control is None:
            self._control = (self._read_control(),)
        return self._control[0]

    def _read_control(self) -> CacheControl | None:
        if not _may_name(self.raw, b"cache_control"):
            return None
        own = _mark(self.values)
        if own is not None:
            return own
        inner = self.inner
        return _mark(inner[-1]) if inner else None

    @property
    def inner(self) -> list[dict[str, msgspec.Raw]]:
        """The members of each block inside a tool result or a document."""
        array = _inner_array(self.get(_INNER.get(self.kind, "")))
        return [] if array is None else _objects(array)

    @property
    def digest(self) -> bytes:
        """SHA-256 over what the provider renders of this block; marks are not rendered."""
        if self._digest is None:
            value = read_block(self.raw)
            if self._kind is None:  # known for free here, and asked for next
                kind = value.get("type")
                self._kind = self._named_kind(kind if isinstance(kind, str) else "")
            self._digest = sha256(rendered(value)).digest()
        return self._digest


@dataclass(frozen=True, slots=True)
class Message:
    """One message: which blocks are its content."""

    index: int
    role: str
    is_string: bool
    blocks: tuple[Block, ...]


def _may_name(raw: bytes, name: bytes) -> bool:
    """Could an object in ``raw`` have a member of that name? An escaped key is possible."""
    return name in raw or b"\\u" in raw


def _mark(values: dict[str, msgspec.Raw]) -> CacheControl | None:
    raw = values.get(_MARK)
    if raw is None or bytes(raw) == b"null":
        return None
    ttl = json.raw_members(bytes(raw)).get("ttl")
    if ttl is None or bytes(ttl) == b"null":
        return CacheControl()
    return CacheControl(json.decode_string(bytes(ttl)))


def _inner_array(holder: bytes | None) -> bytes | None:
    """The array of inner blocks: the value itself, or the ``content`` of a document's source."""
    if holder is not None and holder.startswith(b"{"):
        content = json.raw_members(holder).get("content")
        holder = None if content is None else bytes(content)
    return holder if holder is not None and holder.startswith(b"[") else None


def _objects(array: bytes) -> list[dict[str, msgspec.Raw]]:
    return [json.raw_members(value) for value in json.array_values(array)]
