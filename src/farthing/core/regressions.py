"""Which task types have become dearer: the later part of a period against the earlier one.

Per type one question, the cost per *passed* task where both parts have judged and passed ones, else
the cost per task. All types together raise a false alarm in at most ``LEVEL`` of quiet periods
(Bonferroni over the types that can be asked). What is asked and how: ``core.comparison``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from farthing.core.comparison import LEVEL, MEASURES, Compared, Measure, TaskValue, judge, strata_of
from farthing.core.intervals import Strata, common_strata

__all__ = ["Rise", "find_rises"]

_PER_TASK: Final = MEASURES[0]
_PER_PASSED: Final = next(each for each in MEASURES if each.per == "passed task")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rise:
    """One type of task that was asked about."""

    task_type: str
    compared: Compared
    confidence: float

    @property
    def is_shown(self) -> bool:
        """Has it become dearer, beyond chance?"""
        return self.compared.verdict == "regression"


def find_rises(earlier: Sequence[TaskValue], later: Sequence[TaskValue]) -> tuple[Rise, ...]:
    """Every type that can be asked about, in order of its name; the alarms say ``is_shown``."""
    names = sorted({task.task_type for task in earlier} & {task.task_type for task in later})
    asked = [(name, *found) for name in names if (found := _asked(name, earlier, later))]
    confidence = 1 - LEVEL / max(1, len(asked))
    return tuple(
        Rise(
            task_type=name,
            compared=judge(measure, before, after, confidence=confidence),
            confidence=confidence,
        )
        for name, measure, before, after in asked
    )


def _asked(
    name: str, earlier: Sequence[TaskValue], later: Sequence[TaskValue]
) -> tuple[Measure, Strata, Strata] | None:
    """What can be asked about a type: the first measure that both parts have."""
    before, after = ([t for t in part if t.task_type == name] for part in (earlier, later))
    has_passed = all(any(t.outcome == "passed" for t in part) for part in (before, after))
    for measure in (_PER_PASSED, _PER_TASK) if has_passed else (_PER_TASK,):
        samples = [strata_of(part, measure, is_by_type=True) for part in (before, after)]
        if common_strata(*samples):
            return measure, samples[0], samples[1]
    return None
