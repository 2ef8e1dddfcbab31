"""Which blocks are breakpoints: the explicit marks, the automatic one, and the rules between them.

Source: API facts, sections 2.1 and 2.4 (documented texts).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from farthing.lab.emulator.blocks import Block
from farthing.lab.emulator.refusal import invalid

__all__ = ["find_breakpoints"]

_MOST = 4
_ORDER = (
    "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that "
    "blocks are processed in the following order: `tools`, `system`, `messages`."
)


def find_breakpoints(
    blocks: Sequence[tuple[str, Block]], automatic: Any = None
) -> tuple[tuple[int, str], ...]:
    """Positions and TTLs of the breakpoints, in order; refuses what the API refuses."""
    marks = [(at, block.ttl) for at, (_, block) in enumerate(blocks) if block.ttl]
    if isinstance(automatic, dict):
        _add_automatic(marks, blocks, str(automatic.get("ttl") or "5m"))
    if len(marks) > _MOST:
        raise invalid(
            f"A maximum of {_MOST} blocks with cache_control may be provided. Found {len(marks)}."
        )
    _check_order(marks, blocks)
    return tuple(marks)


def _add_automatic(
    marks: list[tuple[int, str]], blocks: Sequence[tuple[str, Block]], ttl: str
) -> None:
    """The top-level form marks the last block that can carry a mark."""
    for at in range(len(blocks) - 1, -1, -1):
        block = blocks[at][1]
        if block.kind in ("thinking", "redacted_thinking") or block.value.get("text") == "":
            continue
        if block.ttl is None:
            marks.append((at, ttl))
        elif block.ttl != ttl:
            raise invalid(
                f"{blocks[at][0]}.cache_control.ttl: the block has ttl='{block.ttl}' and "
                f"the top-level cache_control asks for ttl='{ttl}'."
            )
        return


def _check_order(marks: list[tuple[int, str]], blocks: Sequence[tuple[str, Block]]) -> None:
    short_seen = False
    for at, ttl in marks:
        if ttl == "1h" and short_seen:
            raise invalid(f"{blocks[at][0]}.cache_control.ttl: {_ORDER}")
        short_seen = short_seen or ttl == "5m"
