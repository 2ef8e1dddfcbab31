"""The guard against loops of one process: made of its settings, and heard by its alerts."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, get_args

from farthing.config import Settings
from farthing.core.alert_rules import LoopFact
from farthing.core.loop_ladder import LoopLadder
from farthing.core.loop_limits import TreeLimits
from farthing.core.loop_terms import LoopRules
from farthing.core.loop_values import LoopKind, LoopPolicy
from farthing.core.loop_watch import LoopWatch
from farthing.core.records import RowFilter
from farthing.driver.ports import Ledger
from farthing.driver.system import SystemClock
from farthing.errors import ConfigError, FarthingError
from farthing.pricing.money import PicoUsd

__all__ = ["loop_rules", "loop_watch", "past_spending", "watch_loops"]

_logger = logging.getLogger(__name__)

_STEPS: Final = ("alert", "note", "escalate", "stop")
#: a finding begins where its limit is reached
_FIRST_PERCENT: Final = 100
_KINDS: Final[dict[str, LoopKind]] = {kind: kind for kind in get_args(LoopKind)}
_TELL_SECONDS: Final = 1.0
#: how far back a new process looks for what minutes of a workload usually cost, and at how much
_PAST: Final = timedelta(days=1)
_MOST_ROWS: Final = 5_000


def loop_watch(settings: Settings, *, key: bytes) -> LoopWatch | None:
    """What watches; None: nobody looks for loops."""
    return LoopWatch(loop_rules(settings), key=key) if settings.loops else None


def loop_rules(settings: Settings) -> LoopRules:
    """The rules; ``ConfigError`` where they are none."""
    try:
        policy = LoopPolicy(
            repeats=settings.loops_repeats,
            max_cycle_len=settings.loops_max_cycle,
            no_progress_turns=settings.loops_no_progress,
            transient_repeats=settings.loops_transient_repeats,
            poll_tools=frozenset(settings.loops_poll_tools),
            max_polls=settings.loops_max_polls,
            max_poll_tokens=settings.loops_max_poll_tokens,
        )
    except ValueError as error:
        raise ConfigError(f"the settings of loops: {error}") from None
    return LoopRules(
        policy=policy,
        ladder=_ladder(settings),
        trees=TreeLimits(
            depth=settings.loops_depth or None,
            children=settings.loops_tasks or None,
            children_per_minute=settings.loops_tasks_per_minute or None,
            turns=settings.loops_turns or None,
        ),
        stops=_stops(settings),
        max_wasted_pico=settings.loops_max_wasted_usd,
        patience=settings.loops_patience,
        minute_pico=settings.loops_minute_usd,
    )


def _ladder(settings: Settings) -> LoopLadder:
    steps: dict[str, int | None] = dict.fromkeys(_STEPS)
    for word in settings.loops_ladder:
        name, _, percent = word.partition("=")
        if name not in steps or not percent.isdecimal() or not int(percent):
            raise ConfigError(
                f"loops.ladder has {word!r}; its steps are {', '.join(_STEPS)}, each with a "
                "percentage, such as 'stop=200'"
            )
        if int(percent) < _FIRST_PERCENT:
            raise ConfigError(
                f"loops.ladder has {word!r}; a step is a percentage of its limit, and nothing is "
                f"found below {_FIRST_PERCENT}: write '{name}={_FIRST_PERCENT}' or more"
            )
        steps[name] = int(percent)
    return LoopLadder(**steps, max_wasted_tokens=settings.loops_max_wasted_tokens or None)


def _stops(settings: Settings) -> frozenset[LoopKind]:
    unknown = [kind for kind in settings.loops_stops if kind not in _KINDS]
    if unknown:
        raise ConfigError(f"loops.stops has {unknown[0]!r}; kinds are {', '.join(_KINDS)}")
    return frozenset(_KINDS[kind] for kind in settings.loops_stops)


def past_spending(ledger: Ledger, now: datetime) -> dict[str, list[PicoUsd]]:
    """Per workload what its task trees spent in minutes that are on record."""
    spans = defaultdict[tuple[str, str, str, int], int](int)
    where = RowFilter(opened_from=now - _PAST, states=("settled",), limit=_MOST_ROWS)
    for row in ledger.rows(where):
        who, ending = row.opened.attribution, row.settlement
        if row.opened.endpoint == "messages" and ending is not None and ending.cost is not None:
            minute = int(ending.ended_at.timestamp()) // 60
            workload = who.task_type or who.source
            spans[workload, who.key_scope, who.root_task_id, minute] += ending.cost.total
    found: dict[str, list[PicoUsd]] = {}
    for (workload, *_), pico in spans.items():
        found.setdefault(workload, []).append(PicoUsd(pico))
    return found


async def _learn(watch: LoopWatch, ledger: Ledger) -> None:
    try:
        past = await asyncio.to_thread(past_spending, ledger, SystemClock().now())
    except FarthingError as error:  # what is usual is learned from what comes, then
        _logger.warning("usual spending is not known: %s", error, extra={"action": "loops.no_past"})
        return
    for workload, spans in past.items():
        watch.speeds.learn(workload, spans)


async def watch_loops(
    watch: LoopWatch, ledger: Ledger, hear: Callable[[LoopFact], None] | None
) -> None:
    """Learn from the past what minutes cost, then hand on what alerts want to hear."""
    watch.is_heard = hear is not None
    if watch.rules.patience:
        await _learn(watch, ledger)
    while hear is not None:
        try:
            await asyncio.sleep(_TELL_SECONDS)
        finally:
            for fact in watch.take():
                hear(fact)
