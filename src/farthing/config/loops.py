"""The rows of ``[loops]``: what counts as a loop, and what is done about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from farthing.config import kinds
from farthing.config.breaker import BreakerSettings
from farthing.config.rows import setting
from farthing.core.loop_terms import STOPPED_KINDS

__all__ = ["LoopSettings"]

_ON: Final = True


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class LoopSettings(BreakerSettings):
    """The part of ``Settings`` that is about loops, recursion and the speed of spending."""

    loops: bool = setting(
        "loops.enabled", kinds.SWITCH, _ON, "look for loops, as docs/loops.md describes them"
    )
    loops_ladder: tuple[str, ...] = setting(
        "loops.ladder",
        kinds.WORDS,
        ("alert=100", "note=100", "escalate=133", "stop=200"),
        "the steps that are taken, each at so many percent of a limit; one left out is not taken",
    )
    loops_stops: tuple[str, ...] = setting(
        "loops.stops",
        kinds.WORDS,
        STOPPED_KINDS,
        "kinds that the last step may stop; the others are told",
    )
    loops_repeats: int = setting(
        "loops.repeats", kinds.COUNT, 3, "equal copies of a cycle in a row that are a loop"
    )
    loops_max_cycle: int = setting(
        "loops.max_cycle", kinds.COUNT, 8, "the longest cycle that is looked for, in turns"
    )
    loops_no_progress: int = setting(
        "loops.no_progress", kinds.COUNT, 5, "turns in a row that show and change nothing"
    )
    loops_transient_repeats: int = setting(
        "loops.transient_repeats",
        kinds.COUNT,
        5,
        "the same for copies whose results are passing faults: time-outs, 429, 503",
    )
    loops_poll_tools: tuple[str, ...] = setting(
        "loops.poll_tools",
        kinds.WORDS,
        (),
        "tools that wait by contract, beside those that are recognised",
    )
    loops_max_polls: int = setting(
        "loops.max_polls", kinds.COUNT, 60, "polls in a row that show the same state"
    )
    loops_max_poll_tokens: int = setting(
        "loops.max_poll_tokens", kinds.COUNT, 100_000, "tokens that such polls may add"
    )
    loops_max_wasted_tokens: int = setting(
        "loops.max_wasted_tokens",
        kinds.COUNT,
        0,
        "stop a loop that added more in vain, whatever the ladder says; 0: no such limit",
    )
    loops_max_wasted_usd: int | None = setting(
        "loops.max_wasted_usd",
        kinds.USD,
        None,
        "stop a loop whose turns in vain cost more, whatever the ladder says",
    )
    loops_depth: int = setting(
        "loops.depth", kinds.COUNT, 8, "how deep tasks may call tasks; 0: any depth"
    )
    loops_tasks: int = setting(
        "loops.tasks", kinds.COUNT, 200, "tasks below one root; 0: any number"
    )
    loops_tasks_per_minute: int = setting(
        "loops.tasks_per_minute", kinds.COUNT, 60, "tasks begun below one root in a minute; 0: any"
    )
    loops_turns: int = setting("loops.turns", kinds.COUNT, 0, "calls of one task; 0: any number")
    loops_patience: int = setting(
        "loops.patience",
        kinds.COUNT,
        5,
        "usual minutes of its workload that a task tree may overspend until it is told; 0: never",
    )
    loops_minute_usd: int | None = setting(
        "loops.minute_usd",
        kinds.USD,
        None,
        "the most a task tree may spend within a minute; default: no cap",
    )
