"""What the audit's fields are called in front of people."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["COMPONENTS", "caption", "origin_name", "safe"]

#: field of the document -> words, in the order of a bill
COMPONENTS: Final = {
    "cache_read": "read from the prompt cache",
    "cache_write_5m": "written to it for 5 minutes",
    "cache_write_1h": "written to it for 1 hour",
    "uncached": "input without cache",
    "output": "output",
    "server_tools": "server tools",
}

_ORIGINS: Final = {
    "hidden prefix": "system prompt and tools (hidden)",
    "system": "system prompt",
    "tool definition": "tool definition",
    "tool result": "results of",
    "tool call": "calls of",
}


def origin_name(origin: dict[str, Any]) -> str:
    """What one origin is called: results of Read, thinking, and so on."""
    words = _ORIGINS.get(origin["kind"], origin["kind"])
    return f"{words} {origin['tool']}" if origin["tool"] else words


def caption(document: dict[str, Any]) -> str:
    """How much was looked at, in one line."""
    totals, period = document["totals"], document["period"]
    parts = [
        f"{totals['sessions']:,} sessions",
        f"{totals['projects']:,} projects",
        f"{totals['calls']:,} calls",
    ]
    if period["first_at"]:
        first, last = period["first_at"][:10], period["last_at"][:10]
        parts.append(f"{first} to {last} (UTC)")
    return " · ".join(parts)


def safe(text: str) -> str:
    """A name from a file without characters that could steer a terminal."""
    return "".join(char if char.isprintable() else "�" for char in text)
