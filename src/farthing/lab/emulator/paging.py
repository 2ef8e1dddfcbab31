"""Query strings and cursor pages, as the list endpoints use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from farthing.lab.emulator.refusal import invalid

__all__ = ["page_of", "query_members", "whole_number"]


def query_members(query: str) -> dict[str, list[str]]:
    """The members of a query string; ``name[]`` and ``name`` are one."""
    members: dict[str, list[str]] = {}
    for name, values in parse_qs(query, keep_blank_values=True).items():
        plain = name.removesuffix("[]")
        members.setdefault(plain, []).extend(values)
    return members


def whole_number(members: Mapping[str, list[str]], name: str, default: int, most: int) -> int:
    """A member that must be a number between 1 and ``most``."""
    text = members.get(name, [str(default)])[-1]
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise invalid(f"{name}: Input should be between 1 and {most}")
    return int(text)


def page_of(rows: Sequence[dict[str, Any]], query: str, *, default: int = 20) -> dict[str, Any]:
    """One page of a list by ``limit``, ``after_id`` and ``before_id``."""
    members = query_members(query)
    limit = whole_number(members, "limit", default, 1000)
    ids = [row["id"] for row in rows]
    start, stop = 0, len(rows)
    if (after := members.get("after_id", [""])[-1]) in ids:
        start = ids.index(after) + 1
    if (before := members.get("before_id", [""])[-1]) in ids:
        stop = ids.index(before)
        start = max(start, stop - limit)
    page = list(rows[start:stop][:limit])
    return {
        "data": page,
        "has_more": start + len(page) < stop or (bool(before) and start > 0),
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }
