"""Messages as Python programs hold them: dicts, with dicts or the SDK's objects as blocks.

The engine works on bytes (``farthing.wire.request``); this is for the functions that people call on
their own ``messages`` list. Nothing here changes a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from farthing.wire.usage_objects import member_of

__all__ = ["THINKING", "blocks_of", "estimate_message_tokens", "has_kind", "kind_of", "role_of"]

THINKING: Final = frozenset({"thinking", "redacted_thinking"})

#: bytes of UTF-8 a token stands for, on the safe side: about 3 characters of English in the
#: tokenizer that came with Opus 4.7, about 4 before (API facts, section 1.5)
_BYTES_PER_TOKEN: Final = 3
#: what surrounds a message, and a number, a boolean or a null inside it, in bytes
_FRAME_BYTES: Final = 12
_SCALAR_BYTES: Final = 4
#: the most an image is billed with, whatever its file weighs (API facts, section 5)
_IMAGE_BYTES: Final = 4_784 * _BYTES_PER_TOKEN


def role_of(message: Mapping[str, object]) -> str:
    """``user``, ``assistant`` or ``system``."""
    return str(message.get("role", ""))


def blocks_of(message: Mapping[str, object]) -> Sequence[object]:
    """The content blocks; a string is the one text block it stands for, nothing is no block."""
    content = message.get("content")
    if isinstance(content, str):
        return ({"type": "text", "text": content},) if content else ()
    return content if isinstance(content, Sequence) else ()


def kind_of(block: object) -> str:
    """A block's ``type``; empty where it has none."""
    return str(member_of(block, "type") or "")


def has_kind(message: Mapping[str, object], kind: str) -> bool:
    """Is one of its blocks of this kind?"""
    return any(kind_of(block) == kind for block in blocks_of(message))


def estimate_message_tokens(message: Mapping[str, object]) -> int:
    """A rule of thumb: bytes of text over three, an image at its most; any language gets the same.

    >>> estimate_message_tokens({"role": "user", "content": "x" * 300})
    104
    """
    return -(-(_FRAME_BYTES + _weight(message.get("content"))) // _BYTES_PER_TOKEN)


def _weight(value: object) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, Mapping):
        if value.get("type") == "image":
            return _IMAGE_BYTES
        return sum(_weight(name) + _weight(inner) for name, inner in value.items())
    if isinstance(value, (list, tuple)):
        return sum(map(_weight, value))
    if dump := getattr(value, "to_dict", None):  # an SDK object
        return _weight(dump())
    return _SCALAR_BYTES
