"""The prompt as the prompt cache sees it: cumulative digests, token positions and marks.

A ``PrefixView`` is all that the prompt-cache model needs to know of a request. It is a value: who
builds it (from a ``Request``, from a recorded trace, in a test) does not matter to the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

__all__ = ["LIFETIMES", "LOOKBACK", "Level", "Mark", "PrefixView", "Ttl"]

Ttl = Literal["5m", "1h"]
Level = Literal["tools", "system", "messages"]

#: Minimum lifetimes of an entry (API facts 2.3; provider documentation as of 2026-10).
LIFETIMES: dict[Ttl, timedelta] = {"5m": timedelta(minutes=5), "1h": timedelta(hours=1)}

#: Positions tested from a breakpoint backwards, the breakpoint itself included (API facts 2.2).
LOOKBACK = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A breakpoint: the block that carries ``cache_control``, and for how long it asks."""

    index: int
    ttl: Ttl = "5m"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PrefixView:
    """One request in render order, as cumulative facts per block.

    ``digests[i]`` and ``positions[i]`` stand for everything up to and including block ``i``; the
    digest already holds what else keys the cache at that level (API facts 2.6).
    """

    #: who shares entries: organisation or workspace
    scope: str
    model: str
    digests: Sequence[bytes]
    #: cumulative tokens, never falling
    positions: Sequence[int]
    #: the whole prompt, including what the provider adds behind the last block
    total_tokens: int
    #: ascending by index, automatic one included
    marks: tuple[Mark, ...] = ()
    #: a shorter prefix is silently not cached
    min_cacheable_tokens: int = 0
    #: number of blocks that are tools, and that are tools or system
    tools_end: int = 0
    system_end: int = 0
    #: the chain of requests this one continues; "" when the caller does not know
    lineage_id: str = ""
    #: server tools are declared: the provider may write on its own, for 5 m
    server_tools: bool = False
    #: blocks that hold results of server tools, ascending
    server_results: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return (
            f"PrefixView({self.model!r}, {len(self.digests)} blocks, {self.total_tokens} tokens, "
            f"marks={[mark.index for mark in self.marks]})"
        )

    def level(self, index: int) -> Level:
        """The level of block ``index``."""
        if index < self.tools_end:
            return "tools"
        return "system" if index < self.system_end else "messages"

    def is_cacheable(self, mark: Mark) -> bool:
        """Is the prefix up to this mark long enough to be cached?"""
        return self.positions[mark.index] >= self.min_cacheable_tokens
