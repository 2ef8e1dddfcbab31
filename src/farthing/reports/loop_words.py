"""A loop as a row tells it, in words and as a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from farthing.core.loop_evidence import LoopSighting, parse_sighting

__all__ = ["loop_document", "loop_words"]

_WHAT: Final[Mapping[str, str]] = {
    "exact_cycle": "the same {cycle} came back with the same results {n} times in a row",
    "no_progress": "{n} turns in a row showed nothing new and changed nothing",
    "monologue": "the same message was written {n} times in a row",
    "errors": "the same calls failed alike {n} times in a row",
    "polling": "{n} polls in a row showed the same state",
    "recursion_depth": "tasks are nested {n} deep",
    "fan_out": "its tree has {n} tasks below the root",
    "fan_out_rate": "{n} tasks of its tree began within a minute",
    "turns": "the task has made {n} calls",
    "cost_velocity": "its tree has overspent {n} % of what is let pass of its usual minutes",
    "cost_cap": "its tree has spent {n} % of what it may within a minute",
}
_STEPS: Final[Mapping[str, str]] = {
    "alert": "told",
    "note": "a note tells the model, where the policy lets requests be changed",
    "escalate": "a stronger model, if a router takes it up",
    "stop": "stopped: it was not sent",
}


def loop_words(code: str) -> str | None:
    """What a row's code says of a loop; None where it is no such code."""
    seen = parse_sighting(code)
    if seen is None or seen.kind not in _WHAT:
        return None
    cycle = "turn" if seen.cycle <= 1 else f"{seen.cycle} turns"
    parts = [_WHAT[seen.kind].format(n=seen.repeats, cycle=cycle)]
    if seen.tools:
        parts.append(f"tools: {', '.join(seen.tools)}")
    if seen.wasted_turns:
        parts.append(_waste(seen))
    parts.append(_STEPS.get(seen.step, seen.step))
    return "; ".join(parts)


def loop_document(codes: Sequence[str]) -> dict[str, Any] | None:
    """The loop that a row tells, as figures; None where it tells none."""
    found = [seen for code in codes if (seen := parse_sighting(code)) is not None]
    return None if not found else asdict(found[-1])


def _waste(seen: LoopSighting) -> str:
    dollars = "" if seen.wasted_usd is None else f", ${seen.wasted_usd}"
    return f"{seen.wasted_turns} turns in vain, about {seen.wasted_tokens:,} tokens{dollars}"
