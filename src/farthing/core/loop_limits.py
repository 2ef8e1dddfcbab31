"""Limits on how a task may grow: depth of recursion, fan-out, turns. Facts in, findings out.

What the facts are is the caller's to know: the ledger counts a tree's children and turns. A limit
of None is not checked. A finding's ``percent`` is at least 100, so the ladder that serves loops
serves these too: told at the limit, stopped at twice as much, or at once with ``stop=100``.
"""

from __future__ import annotations

from dataclasses import dataclass

from farthing.core.loop_values import LoopFinding, LoopKind

__all__ = ["TreeFacts", "TreeLimits", "check_tree"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeFacts:
    """What is known of a task and its tree, this request included."""

    #: 0: the root
    depth: int = 0
    #: tasks below the root, at any depth
    children: int = 0
    #: of these, begun within the last minute
    children_last_minute: int = 0
    #: calls of this task
    turns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeLimits:
    """The most that is fine; None: any."""

    depth: int | None = 8
    children: int | None = 200
    children_per_minute: int | None = 60
    turns: int | None = None


def check_tree(facts: TreeFacts, limits: TreeLimits) -> tuple[LoopFinding, ...]:
    """What is beyond its limit."""
    checks: tuple[tuple[LoopKind, int, int | None], ...] = (
        ("recursion_depth", facts.depth, limits.depth),
        ("fan_out", facts.children, limits.children),
        ("fan_out_rate", facts.children_last_minute, limits.children_per_minute),
        ("turns", facts.turns, limits.turns),
    )
    return tuple(
        _beyond(kind, count, limit)
        for kind, count, limit in checks
        if limit is not None and count > limit
    )


def _beyond(kind: LoopKind, count: int, limit: int) -> LoopFinding:
    return LoopFinding(
        kind=kind,
        repeats=count,
        cycle=(),
        since=0,
        wasted_turns=0,
        wasted_tokens=0,
        percent=100 * count // max(1, limit),
    )
