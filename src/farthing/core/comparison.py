"""Are these tasks dearer, slower or longer than those? Tasks in, a verdict per measure out.

Theory of operation. A task is one value: what it and the tasks below it cost and took, and how it
ended. Each measure is a ratio of sums (``core.intervals``), taken per task and per *passed* task: a
cheaper call that triples the turns, or that fails more often, shows there. Tasks are compared with
tasks of their own type, weighted alike on both sides.

All measures together raise a false alarm in at most ``LEVEL`` of comparisons between equals: each
of ``k`` measures is asked at ``LEVEL / k`` (Bonferroni), and its interval is as wide as that asks.

Rules of this file: "per passed task" counts what *judged* tasks cost, failed and abandoned ones
included, over the passed ones; a task that nobody judged is in neither sum. A task with an unknown
price has no cost and is left out of the cost measures alone; one with an unsettled call counts with
what is certain of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from farthing.core.intervals import Quotient, Strata, common_strata, quotient, ratio, weights_of
from farthing.core.records import TaskOutcome
from farthing.pricing.money import PICO_PER_USD

__all__ = [
    "LEVEL",
    "MEASURES",
    "Compared",
    "Comparison",
    "Measure",
    "Per",
    "Side",
    "TaskValue",
    "Verdict",
    "compare",
    "judge",
    "side_of",
    "strata_of",
]

#: how often all the measures of a comparison between equals may raise an alarm
LEVEL: Final = 0.05

Verdict = Literal["regression", "improvement", "no difference shown"]
#: what a sum is divided by
Per = Literal["task", "passed task", "judged task"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskValue:
    """One task with all that is below it."""

    task_id: str
    #: tasks are compared within their type; empty: nobody said
    task_type: str
    tokens: int
    #: how long its calls took, all together
    call_us: int
    turns: int
    #: None: a part of it has no price
    cost_pico: int | None
    outcome: TaskOutcome | None = None
    #: calls whose cost is an interval; ``cost_pico`` has its lower end
    unsettled: int = 0
    #: the part of the cost that a subscription pays for: list prices that nobody is charged
    notional_pico: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One thing that may get better or worse."""

    name: str
    per: Per
    top: Callable[[TaskValue], float | None]
    is_better_when_lower: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """How many tasks of each kind stand on one side."""

    tasks: int
    passed: int
    failed: int
    abandoned: int
    unpriced: int
    unsettled: int
    notional_pico: int

    @property
    def unjudged(self) -> int:
        """Tasks that nobody judged."""
        return self.tasks - self.passed - self.failed - self.abandoned


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One measure on both sides; ``change`` is B over A."""

    measure: Measure
    a: float | None
    b: float | None
    change: Quotient | None
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All measures that both sides have."""

    a: Side
    b: Side
    compared: tuple[Compared, ...]
    #: of each interval
    confidence: float
    #: the types that were compared, and those with too few tasks on a side
    task_types: tuple[str, ...]
    left_out: tuple[str, ...]


def _cost(task: TaskValue) -> float | None:
    return None if task.cost_pico is None else task.cost_pico / PICO_PER_USD


def _tokens(task: TaskValue) -> float:
    return float(task.tokens)


def _seconds(task: TaskValue) -> float:
    return task.call_us / 1e6


def _turns(task: TaskValue) -> float:
    return float(task.turns)


def _passed(task: TaskValue) -> float:
    return float(task.outcome == "passed")


_TAKEN: Final[tuple[tuple[str, Callable[[TaskValue], float | None]], ...]] = (
    ("cost_usd", _cost),
    ("tokens", _tokens),
    ("call_seconds", _seconds),
    ("turns", _turns),
)
_PERS: Final[tuple[Per, ...]] = ("task", "passed task")

MEASURES: Final = (
    *(Measure(name=name, per=per, top=top) for per in _PERS for name, top in _TAKEN),
    Measure(name="pass_rate", per="judged task", top=_passed, is_better_when_lower=False),
)


def compare(
    a: Sequence[TaskValue], b: Sequence[TaskValue], *, is_by_type: bool = True
) -> Comparison:
    """Every measure that both sides have; ``is_by_type`` False: whatever the types are called."""
    present: list[tuple[Measure, Strata, Strata]] = []
    for each in MEASURES:
        left, right = (strata_of(side, each, is_by_type=is_by_type) for side in (a, b))
        if common_strata(left, right):
            present.append((each, left, right))
    confidence = 1 - LEVEL / max(1, len(present))
    everyone = [strata_of(side, MEASURES[1], is_by_type=is_by_type) for side in (a, b)]
    types = common_strata(*everyone)
    return Comparison(
        a=side_of(a),
        b=side_of(b),
        compared=tuple(
            judge(measure, left, right, confidence=confidence) for measure, left, right in present
        ),
        confidence=confidence,
        task_types=types,
        left_out=tuple(sorted({*everyone[0], *everyone[1]} - {*types})),
    )


def judge(
    measure: Measure,
    a: Strata,
    b: Strata,
    *,
    confidence: float,
) -> Compared:
    """One measure: both values at the same mix of types, the change, the verdict."""
    weights = weights_of(a, b)
    change = quotient(a, b, confidence=confidence)
    verdict: Verdict = "no difference shown"
    if change is not None and change.is_shown:
        is_better = (change.value < 1) == measure.is_better_when_lower
        verdict = "improvement" if is_better else "regression"
    return Compared(
        measure=measure, a=ratio(a, weights), b=ratio(b, weights), change=change, verdict=verdict
    )


def side_of(tasks: Sequence[TaskValue]) -> Side:
    """The tasks of one side, counted."""
    ends = [task.outcome for task in tasks]
    return Side(
        tasks=len(tasks),
        passed=ends.count("passed"),
        failed=ends.count("failed"),
        abandoned=ends.count("abandoned"),
        unpriced=sum(task.cost_pico is None for task in tasks),
        unsettled=sum(task.unsettled for task in tasks),
        notional_pico=sum(task.notional_pico for task in tasks),
    )


def strata_of(
    tasks: Sequence[TaskValue], measure: Measure, *, is_by_type: bool
) -> dict[str, list[tuple[float, float]]]:
    """The units of a measure, by type of task."""
    found: dict[str, list[tuple[float, float]]] = {}
    for task in tasks:
        top = measure.top(task)
        if top is None or (measure.per != "task" and task.outcome is None):
            continue
        bottom = _passed(task) if measure.per == "passed task" else 1.0
        found.setdefault(task.task_type if is_by_type else "", []).append((top, bottom))
    return found
