"""Small questions about blocks and values that several rules ask."""

from __future__ import annotations

from collections.abc import Iterable

from farthing.wire import json
from farthing.wire.blocks import Block

__all__ = [
    "SERVER_CALLS",
    "ids",
    "is_empty_text",
    "is_server_result",
    "member",
    "message_address",
    "number",
    "word",
]

#: calls that run at the provider; their results stand in assistant messages
SERVER_CALLS = ("server_tool_use", "mcp_tool_use")


def is_server_result(block: Block) -> bool:
    """Is this the result of a call that ran at the provider, of whatever tool?"""
    return block.kind.endswith("_tool_result")


def is_empty_text(block: Block) -> bool:
    """Is this a text without a character?"""
    return block.kind == "text" and block.get("text") == b'""'


def ids(blocks: Iterable[Block], name: str) -> list[str]:
    """The strings that ``blocks`` have under ``name``; empty where there is none."""
    return [block.string(name) or "" for block in blocks]


def message_address(block: Block) -> str:
    """The address of the message a content block stands in."""
    return block.address.partition(".content")[0]


def member(raw: bytes, name: str) -> bytes | None:
    """A member of a JSON object; None if absent, null, or ``raw`` is no object."""
    if not raw.startswith(b"{"):
        return None
    value = json.raw_members(raw).get(name)
    return None if value is None or bytes(value) == b"null" else bytes(value)


def word(raw: bytes | None) -> str | None:
    """A JSON string's text; None if it is none."""
    return json.decode_string(raw) if raw is not None and raw.startswith(b'"') else None


def number(raw: bytes | None) -> int | None:
    """A JSON whole number; None if it is none, or longer than any count."""
    if raw is None or len(raw) > 18 or not raw.removeprefix(b"-").isdigit():
        return None
    return int(raw)
