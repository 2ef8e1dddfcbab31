"""The blocks of a recorded conversation, each read once: what it is, how heavy, where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from farthing.core.prefix import Level
from farthing.traces.format import Conversation, is_given
from farthing.traces.sizes import estimate_tokens

__all__ = ["THINKING", "Piece", "plain_value", "read_pieces"]

THINKING: Final = frozenset({"thinking", "redacted_thinking"})

#: Shares of a hidden prefix that end at the first and the second mark in it: tools with identity,
#: and the long prompt. The rest is what the client puts into the first message. Measured on first
#: calls of the recorded Claude Code sessions that were warm from another one (2026-11).
_HEAD_RATIO: Final = 0.55
_PREAMBLE_RATIO: Final = 0.20
_REMINDER_RATIO: Final = 0.25

#: role and turn marks around a block
_FRAME_TOKENS: Final = 5

_list_decoder = msgspec.json.Decoder(list[Raw])


class _Kind(Struct, frozen=True):
    type: str = "unknown"
    text: Raw = Raw(b"")


_kind_decoder = msgspec.json.Decoder(_Kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One block of the conversation, in render order."""

    level: Level
    role: str | None
    kind: str
    digest: bytes
    #: estimated tokens, to place block borders inside a total that is known
    weight: float
    #: where it stands: index of its message (-1: tools or system) and in that list
    message: int
    index: int
    #: its JSON, for who sends it again
    raw: bytes = b"null"
    is_markable: bool = True
    #: the text of a block that stands for what the recording hides
    hidden: str = ""


def read_pieces(conversation: Conversation) -> tuple[list[Piece], list[int]]:
    """All blocks, and how many of them a request of the first n messages has, for each n."""
    pieces = _hidden(conversation) if conversation.prefix_pad_tokens else _shown(conversation)
    extra = _REMINDER_RATIO * conversation.prefix_pad_tokens
    ends = [len(pieces)]
    for number, message in enumerate(conversation.messages):
        for index, raw in enumerate(_elements(message.content)):
            pieces.append(_piece("messages", message.role, raw, number, index, extra=extra))
            extra = 0.0
        ends.append(len(pieces))
    return pieces, ends


def plain_value(raw: bytes) -> Any:
    """The decoded block without a mark of the client's own."""
    value = msgspec.json.decode(raw)
    if isinstance(value, dict):
        value.pop("cache_control", None)
    return value


def _hidden(conversation: Conversation) -> list[Piece]:
    """Two blocks for a prefix that was not recorded; other conversations may share them."""
    agent = "agent" if conversation.agent_id else "main"
    version = conversation.client_version or ""
    shared = f"tools and identity of client {version}, {agent}"
    own = f"long prompt of {conversation.session_id}, {agent}"
    pad = conversation.prefix_pad_tokens
    parts = ((shared, _HEAD_RATIO), (own, _PREAMBLE_RATIO))
    return [
        Piece(
            level="system",
            role=None,
            kind="text",
            digest=_digest("system", text.encode()),
            weight=ratio * pad,
            message=-1,
            index=index,
            hidden=text,
        )
        for index, (text, ratio) in enumerate(parts)
    ]


def _shown(conversation: Conversation) -> list[Piece]:
    tools = _elements(conversation.tools)
    pieces = [_piece("tools", None, raw, -1, index) for index, raw in enumerate(tools)]
    system = _elements(conversation.system)
    return [*pieces, *(_piece("system", None, raw, -1, at) for at, raw in enumerate(system))]


def _elements(content: Raw) -> list[Raw]:
    """The blocks of a list, or one text block for a string; an empty string is none."""
    if not is_given(content):
        return []
    raw = bytes(content)
    if raw[:1] == b'"':
        return [] if raw == b'""' else [Raw(b'{"type":"text","text":' + raw + b"}")]
    try:
        return _list_decoder.decode(raw)
    except msgspec.MsgspecError:
        return []


def _piece(
    level: Level, role: str | None, raw: Raw, message: int, index: int, *, extra: float = 0.0
) -> Piece:
    plain = bytes(raw)
    if b'"cache_control"' in plain:
        plain = msgspec.json.encode(plain_value(plain))
    kind, is_empty = _kind(plain, level)
    weight = estimate_tokens("image" if b'"base64"' in plain else kind, len(plain))
    return Piece(
        level=level,
        role=role,
        kind=kind,
        digest=_digest(role or level, plain),
        raw=plain,
        weight=extra + weight + _FRAME_TOKENS,
        message=message,
        index=index,
        is_markable=kind not in THINKING and not is_empty,
    )


def _kind(plain: bytes, level: Level) -> tuple[str, bool]:
    if level == "tools":
        return "tool", False
    try:
        found = _kind_decoder.decode(plain)
    except msgspec.MsgspecError:
        return "unknown", False
    return found.type, bytes(found.text) == b'""'


def _digest(role: str, plain: bytes) -> bytes:
    return blake2b(role.encode() + plain, digest_size=16).digest()
