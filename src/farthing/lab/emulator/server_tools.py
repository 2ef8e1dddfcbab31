"""Server-side web search: its blocks, and how its internal iterations are billed.

Each internal iteration samples the whole prompt again. If the request has any breakpoint, the API
caches the results with a 5-minute breakpoint of its own at each iteration, even if only 1-hour ones
were asked for (API facts, 2.6); otherwise each iteration pays the prompt as plain input.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from farthing.lab.emulator.ids import spell_id
from farthing.lab.emulator.prompt_cache import Accounting

__all__ = ["count_searches", "internal_iterations", "search_blocks", "split_rounds"]


def search_blocks(count: int, seed: str) -> list[dict[str, Any]]:
    """A search and its result, ``count`` times."""
    blocks: list[dict[str, Any]] = []
    for n in range(count):
        identifier = spell_id("srvtoolu_", f"{seed}/{n}")
        page = base64.b64encode(f"page {n} of {seed}".encode() * 40).decode()
        result = {
            "type": "web_search_result",
            "url": f"https://example.org/{n}",
            "title": f"Result {n}",
            "encrypted_content": page,
            "page_age": None,
        }
        blocks.append(
            {
                "type": "server_tool_use",
                "id": identifier,
                "name": "web_search",
                "input": {"query": f"query {n}"},
            }
        )
        blocks.append(
            {"type": "web_search_tool_result", "tool_use_id": identifier, "content": [result]}
        )
    return blocks


def count_searches(content: Sequence[dict[str, Any]]) -> int:
    """Billable searches: an errored one is free (section 1.4)."""
    return sum(
        block.get("type") == "web_search_tool_result" and isinstance(block.get("content"), list)
        for block in content
    )


def split_rounds(content: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The answer cut after each server tool's result: one part per internal iteration."""
    rounds: list[list[dict[str, Any]]] = [[]]
    for block in content:
        rounds[-1].append(block)
        if str(block.get("type", "")).endswith("_tool_result"):
            rounds.append([])
    return rounds


def internal_iterations(
    first: Accounting, added_tokens: Sequence[int], *, caching: bool
) -> list[Accounting]:
    """The iterations after the first; ``added_tokens`` is what each found in the prompt anew."""
    done: list[Accounting] = []
    total, cached = first.total, first.cached_end
    for added in added_tokens:
        total += added
        write = total - cached if caching else 0
        uncached = 0 if caching else total - cached
        done.append(Accounting(read=cached, write_5m=write, write_1h=0, uncached=uncached))
        cached += write
    return done
