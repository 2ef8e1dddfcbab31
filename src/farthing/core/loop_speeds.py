"""How fast task trees spend, minute by minute, beside what their kind of work usually spends.

Theory of operation. What a tree's calls cost is added up in minutes of the monotonic clock. A
minute that is over goes into the CUSUM of its tree (``farthing.core.velocity``). The minute under
way is judged as if it ended now: a runaway is seen while it runs. Once a tree has rested for an
hour it is forgiven, and its minutes go into the past of its workload, of which the 95th percentile
is the usual: so nobody is measured against what he spends just now.

Rules of this file: money is whole 10⁻¹² USD; memory is bounded, the least recently used goes first.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from farthing.core.loop_values import LoopFinding, LoopKind
from farthing.core.velocity import Velocity, VelocityLimits, next_span, usual_spend
from farthing.pricing.money import PicoUsd

__all__ = ["Speeds"]

_MINUTE_NS: Final = 60 * 10**9
#: minutes of a workload that its usual is read off
_PAST: Final = 512
#: a pause of so many minutes forgives all
_REST: Final = 60
#: minutes of one tree that its workload learns from
_OF_A_TREE: Final = 60
_WORKLOADS: Final = 256


@dataclass(slots=True)
class _Past:
    spans: deque[PicoUsd] = field(default_factory=lambda: deque(maxlen=_PAST))
    usual: PicoUsd | None = None

    def add(self, spans: Iterable[PicoUsd]) -> None:
        self.spans.extend(spans)
        self.usual = usual_spend(tuple(self.spans))


@dataclass(slots=True)
class _Spending:
    workload: str
    minute: int
    spent: int = 0
    state: Velocity = field(default_factory=Velocity)
    #: minutes that its workload has not learned from yet
    spans: list[PicoUsd] = field(default_factory=list)


class Speeds:
    """The spending of at most ``capacity`` task trees."""

    __slots__ = ("_cap", "_capacity", "_pasts", "_patience", "_trees", "is_on")

    def __init__(self, *, patience: int, cap_pico: int | None, capacity: int = 4_096) -> None:
        #: does anybody want to know?
        self.is_on = bool(patience) or cap_pico is not None
        self._patience = patience
        self._cap = None if cap_pico is None else PicoUsd(cap_pico)
        self._capacity = capacity
        self._trees: OrderedDict[tuple[str, str], _Spending] = OrderedDict()
        self._pasts: OrderedDict[str, _Past] = OrderedDict()

    def __len__(self) -> int:
        return len(self._trees)

    def learn(self, workload: str, spans: Iterable[PicoUsd]) -> None:
        """What minutes of this workload cost in the past."""
        self._past(workload).add(spans)

    def spent(self, tree: tuple[str, str], workload: str, now_ns: int, pico: int) -> None:
        """A call of this tree has cost so much."""
        minute = now_ns // _MINUTE_NS
        found = self._trees.get(tree)
        if found is None:
            self._let_go(minute)
            found = self._trees[tree] = _Spending(workload, minute)
        elif minute > found.minute:
            self._trees.move_to_end(tree)
            self._end(found, minute)
        found.spent += pico

    def finding(self, tree: tuple[str, str], now_ns: int) -> LoopFinding | None:
        """Does this tree spend too fast?"""
        found = self._trees.get(tree)
        if found is None:
            return None
        minute = now_ns // _MINUTE_NS
        if minute > found.minute:
            self._trees.move_to_end(tree)
            self._end(found, minute)
        if self._cap is None and found.workload not in self._pasts:
            return None  # there is nothing yet to measure it by
        limits = self._limits(found.workload)
        verdict = next_span(found.state, PicoUsd(found.spent), limits)
        if verdict.verdict == "capped" and limits.hard_cap is not None:
            return _finding("cost_cap", found.spent, limits.hard_cap)
        if verdict.verdict == "fast" and limits.usual is not None:
            return _finding("cost_velocity", verdict.excess, limits.patience * limits.usual)
        return None

    def _end(self, found: _Spending, minute: int) -> None:
        """The minutes up to this one are over."""
        spent, rested = PicoUsd(found.spent), minute - found.minute
        if spent and len(found.spans) < _OF_A_TREE:
            found.spans.append(spent)
        if rested >= _REST:
            self._learned(found)
            found.state = Velocity()
        else:
            limits = self._limits(found.workload)
            for span in (spent, *[PicoUsd(0)] * (rested - 1)):
                found.state = next_span(found.state, span, limits)
        found.minute, found.spent = minute, 0

    def _let_go(self, minute: int) -> None:
        """Of trees that have rested, and of the oldest where there is no more room."""
        while self._trees:
            oldest = next(iter(self._trees))
            found = self._trees[oldest]
            if minute - found.minute < _REST and len(self._trees) < self._capacity:
                return
            del self._trees[oldest]
            self._end(found, found.minute + _REST)

    def _learned(self, found: _Spending) -> None:
        if self._patience and found.spans:
            self._past(found.workload).add(found.spans)
        found.spans = []

    def _limits(self, workload: str) -> VelocityLimits:
        past = self._pasts.get(workload) if self._patience else None
        return VelocityLimits(
            usual=None if past is None else past.usual,
            patience=self._patience,
            hard_cap=self._cap,
        )

    def _past(self, workload: str) -> _Past:
        past = self._pasts.get(workload)
        if past is None:
            past = self._pasts[workload] = _Past()
            if len(self._pasts) > _WORKLOADS:
                self._pasts.popitem(last=False)
        else:
            self._pasts.move_to_end(workload)
        return past


def _finding(kind: LoopKind, amount: int, limit: int) -> LoopFinding:
    percent = max(100, 100 * amount // max(1, limit))
    return LoopFinding(
        kind=kind,
        repeats=percent,
        cycle=(),
        since=0,
        wasted_turns=0,
        wasted_tokens=0,
        percent=percent,
    )
