"""How many tokens a piece of JSON content is, roughly: for shares, never for money.

Rule from outside: over 17,585 recorded calls (opus 4.5/4.6, sonnet 4.5, haiku 4.5; measured
2026-11) a text character was 0.27 tokens, a tool input character 0.30, a tool result character
0.34, and each tool call 85 more. The audit only uses these to divide what the provider counted.
"""

from __future__ import annotations

from typing import Final

__all__ = ["estimate_tokens"]

_PER_CHARACTER: Final = {
    "text": 0.27,
    "thinking": 0.27,
    "tool_use": 0.30,
    "tool_result": 0.34,
    "tool": 0.30,
}
_PER_TOOL_CALL: Final = 85
#: a full-size image of the standard tier (API facts, section 5); its real size is not in the bytes
_PER_IMAGE: Final = 1568


def estimate_tokens(kind: str, characters: int) -> int:
    """The estimate for one piece of content of this kind."""
    if kind == "image":
        return _PER_IMAGE
    extra = _PER_TOOL_CALL if kind == "tool_use" else 0
    return int(characters * _PER_CHARACTER.get(kind, 0.27)) + extra
