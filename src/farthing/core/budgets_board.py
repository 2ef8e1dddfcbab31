"""The budgets in force, and what a process remembers beside them.

The tuple of budgets is replaced whole, never changed: an exchange that took it decides by it to its
end. An empty board costs a call one look at it.

A threshold is told once per key and limit, by the first call that asks after spending passed it.
Who wants to hear of it (alerts) sets ``listener``; it is a note on that call's exchange besides.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from farthing.core.budgets import Budget, Step, forecast
from farthing.core.budgets_account import Standing
from farthing.core.budgets_lineages import KnownPrompts, LikelyCosts
from farthing.wire.request import Request

__all__ = ["BudgetBoard", "Cheaper", "ThresholdPassed"]

_KEYS: Final = 10_000
_PERCENT: Final = 100


class Cheaper(Protocol):
    """A port: somebody who knows how to ask for less, by ``effort`` or by ``model``."""

    def __call__(self, step: Step, request: Request, room_pico: int, /) -> bytes | None:
        """The body of a call that fits into the room better; None: it cannot be made cheaper so."""


def _nobody(_step: Step, _request: Request, _room_pico: int, /) -> bytes | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdPassed:
    """So much of a budget is spent."""

    budget: str
    key: str
    percent: int
    spent_pico: int
    held_pico: int
    limit_pico: int
    at: datetime
    resets_at: datetime | None
    #: when it is spent at the rate of this window so far; None: not in this window
    spent_at: datetime | None


def _deaf(_event: ThresholdPassed) -> None:
    """Nobody listens."""


@dataclass(slots=True)
class BudgetBoard:
    """Budgets in force, widest scope first."""

    budgets: tuple[Budget, ...] = ()
    cheaper: Cheaper = _nobody
    listener: Callable[[ThresholdPassed], None] = _deaf
    prompts: KnownPrompts = field(default_factory=KnownPrompts)
    likely: LikelyCosts = field(default_factory=LikelyCosts)
    #: key and limit → the highest threshold that was told
    _told: OrderedDict[tuple[str, int], int] = field(default_factory=OrderedDict)

    def passed(self, budget: Budget, standing: Standing, now: datetime) -> ThresholdPassed | None:
        """The highest threshold that is passed and has not been told; it is told with this."""
        if not budget.thresholds or standing.limit_pico <= 0:
            return None
        share = standing.spent_pico * _PERCENT // standing.limit_pico
        percent = max((each for each in budget.thresholds if each <= share), default=0)
        name = standing.key, standing.limit_pico
        if percent <= self._told.get(name, 0):
            return None
        self._told[name] = percent
        if len(self._told) > _KEYS:
            self._told.popitem(last=False)
        event = _event(budget, standing, percent, now)
        self.listener(event)
        return event


def _event(budget: Budget, standing: Standing, percent: int, now: datetime) -> ThresholdPassed:
    span = budget.span_at(now)
    spent_at = None
    if span is not None:
        found = forecast(
            spent_pico=standing.spent_pico,
            limit_pico=standing.limit_pico,
            since=span.start,
            now=now,
        )
        spent_at = found if found is not None and found < span.end else None
    return ThresholdPassed(
        budget=budget.name,
        key=standing.key,
        percent=percent,
        spent_pico=standing.spent_pico,
        held_pico=standing.held_pico,
        limit_pico=standing.limit_pico,
        at=now,
        resets_at=None if span is None else span.end,
        spent_at=spent_at,
    )
