"""The budgets in force, and what a process remembers beside them.

The tuple of budgets is replaced whole, never changed: an exchange that took it decides by it to its
end. An empty board costs a call one look at it.

A threshold is told once per key and limit, by the first call that asks after spending passed it,
as a note on that call's exchange. Who wants to hear how budgets stand (alerts) sets ``listener``:
it is told of every refusal, and of a key when its percentage has changed or a minute has passed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from farthing.core.allowances import NOTHING_DECLARED, Allowances
from farthing.core.budgets import Budget, Step, forecast
from farthing.core.budgets_account import Claim, Denied, Standing
from farthing.core.budgets_lineages import KnownPrompts, LikelyCosts
from farthing.wire.request import Request

__all__ = ["BudgetBoard", "BudgetNews", "Cheaper"]

_KEYS: Final = 10_000
_AGAIN: Final = timedelta(minutes=1)
_PERCENT: Final = 100


class Cheaper(Protocol):
    """A port: somebody who knows how to ask for less, by ``effort`` or by ``model``."""

    def __call__(self, step: Step, request: Request, room_pico: int, /) -> bytes | None:
        """The body of a call that fits into the room better; None: it cannot be made cheaper so."""


def _nobody(_step: Step, _request: Request, _room_pico: int, /) -> bytes | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetNews:
    """How one key of a budget stands, for whoever listens."""

    budget: Budget
    standing: Standing
    at: datetime
    #: has it just refused a call
    is_refused: bool = False

    @property
    def resets_at(self) -> datetime | None:
        """When it begins anew."""
        span = self.budget.span_at(self.at)
        return None if span is None else span.end

    @property
    def spent_at(self) -> datetime | None:
        """When it is spent at the rate of this window so far; None: not in this window."""
        span, standing = self.budget.span_at(self.at), self.standing
        if span is None:
            return None
        found = forecast(
            spent_pico=standing.spent_pico,
            limit_pico=standing.limit_pico,
            since=span.start,
            now=self.at,
        )
        return found if found is not None and found < span.end else None


def _deaf(_news: BudgetNews) -> None:
    """Nobody listens."""


@dataclass(slots=True)
class BudgetBoard:
    """Budgets in force, widest scope first."""

    budgets: tuple[Budget, ...] = ()
    cheaper: Cheaper = _nobody
    listener: Callable[[BudgetNews], None] = _deaf
    #: what is declared for what a call's bytes do not bound
    allowances: Allowances = NOTHING_DECLARED
    prompts: KnownPrompts = field(default_factory=KnownPrompts)
    likely: LikelyCosts = field(default_factory=LikelyCosts)
    #: key and limit → the highest threshold that was told
    _told: OrderedDict[tuple[str, int], int] = field(default_factory=OrderedDict)
    #: key and limit → the percentage that the listener heard last, and when
    _heard: OrderedDict[tuple[str, int], tuple[int, datetime]] = field(default_factory=OrderedDict)

    def told(
        self, claims: Iterable[Claim], standings: Iterable[Standing], now: datetime
    ) -> list[int]:
        """Claims were admitted: the thresholds passed, in percent; the listener hears the rest."""
        found = list[int]()
        for claim, standing in zip(claims, standings, strict=True):
            budget = self._named(claim.budget)
            if budget is None:
                continue  # a cap of the task's own
            percent = self.passed(budget, standing)
            if percent is not None:
                found.append(percent)
            if self.listener is not _deaf:
                self._hear(BudgetNews(budget=budget, standing=standing, at=now))
        return found

    def refused(self, denied: Denied, now: datetime) -> None:
        """A budget refused a call."""
        budget = self._named(denied.claim.budget)
        if budget is not None and self.listener is not _deaf:
            standing = denied.standing
            self.listener(BudgetNews(budget=budget, standing=standing, at=now, is_refused=True))

    def passed(self, budget: Budget, standing: Standing) -> int | None:
        """The highest threshold, in percent, that is passed and was not told; now it is."""
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
        return percent

    def _named(self, name: str) -> Budget | None:
        return next((each for each in self.budgets if each.name == name), None)

    def _hear(self, news: BudgetNews) -> None:
        """Tell the listener, unless it has just heard the same."""
        standing, now = news.standing, news.at
        percent = standing.spent_pico * _PERCENT // max(1, standing.limit_pico)
        name = standing.key, standing.limit_pico
        before = self._heard.get(name)
        if before is not None and before[0] == percent and now - before[1] < _AGAIN:
            return
        self._heard[name] = percent, now
        if len(self._heard) > _KEYS:
            self._heard.popitem(last=False)
        self.listener(news)
