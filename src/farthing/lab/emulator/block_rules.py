"""What can be wrong with one block or one message, taken alone.

Kept apart from the rules between messages, because these are remembered with the block's bytes.
Texts: API facts, section 8 (rules 9, 11, 12) and 2.1. A problem is a path below the block, a colon
and the message; the caller puts the block's own path in front.
"""

from __future__ import annotations

from typing import Any

__all__ = ["block_problems", "message_problems"]

_ROLES = ("user", "assistant", "system")
_NEEDS = {
    "text": ("text",),
    "tool_use": ("id", "name", "input"),
    "tool_result": ("tool_use_id",),
    "image": ("source",),
    "document": ("source",),
    "thinking": ("thinking", "signature"),
}


def block_problems(level: str, kind: str, value: dict[str, Any]) -> tuple[str, ...]:
    """What is wrong with a block whatever surrounds it."""
    found = [
        f".{kind}.{name}: Field required" for name in _NEEDS.get(kind, ()) if name not in value
    ]
    if level == "tools":
        found += [] if value.get("name") or value.get("type") else [".name: Field required"]
    elif not kind:
        found.append(".type: Field required")
    if level == "system" and kind != "text":
        found.append(f": Input tag {kind!r} does not match any of the expected tags: 'text'")
    if kind == "text" and value.get("text") == "":
        marked = "cache_control cannot be set for empty text blocks"
        plain = "text content blocks must be non-empty"
        found.append(f": {marked if value.get('cache_control') else plain}")
    if kind in ("thinking", "redacted_thinking") and value.get("cache_control"):
        found.append(f".{kind}.cache_control: Extra inputs are not permitted")
    return tuple(found)


def message_problems(role: str, content: Any) -> tuple[str, ...]:
    """What is wrong with a message whatever surrounds it."""
    if role not in _ROLES:
        return (f".role: Input should be 'user' or 'assistant', got {role!r}",)
    if role != "user":
        return ()
    if content in ("", []):
        return (": user messages must have non-empty content",)
    texts = (
        [content]
        if isinstance(content, str)
        else [b.get("text") for b in content if isinstance(b, dict)]
    )
    if texts and all(isinstance(text, str) and text and not text.strip() for text in texts):
        return (": text content blocks must contain non-whitespace text",)
    return ()
