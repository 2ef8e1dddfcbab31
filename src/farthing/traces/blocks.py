"""The content blocks of a message, with their large parts left as undecoded slices."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct, field

__all__ = ["ContentBlock", "content_blocks"]

_NONE: Final = Raw(b"")


class ContentBlock(Struct, frozen=True, kw_only=True):
    """One block of content; the fields a kind does not have are empty slices."""

    type: str = "unknown"
    text: Raw = field(default=_NONE)
    thinking: Raw = field(default=_NONE)
    signature: Raw = field(default=_NONE)
    id: str | None = None
    name: str | None = None
    input: Raw = field(default=_NONE)
    tool_use_id: str | None = None
    content: Raw = field(default=_NONE)
    source: Raw = field(default=_NONE)
    is_error: bool | None = None


_list_decoder = msgspec.json.Decoder(list[ContentBlock])


def content_blocks(content: Raw | bytes) -> list[ContentBlock]:
    """The blocks of a message's content; string content is one text block.

    Content of a shape we do not know becomes one block of type "unknown" and keeps its size.
    """
    raw = bytes(content)
    if raw[:1] == b'"':
        return [ContentBlock(type="text", text=Raw(raw))]
    try:
        return _list_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return [ContentBlock(text=Raw(raw))] if raw else []
