"""Which task types have become dearer in the last week, for the alert that says so."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from farthing.core.comparison import TaskValue
from farthing.core.regressions import Rise, find_rises
from farthing.ledger.tasks import TaskTotals, task_totals

__all__ = ["recent_rises"]

_LATER: Final = timedelta(days=7)
_EARLIER: Final = timedelta(days=28)


def recent_rises(path: Path, now: datetime) -> tuple[Rise, ...]:
    """The tasks that began within a week against those of the four weeks before."""
    middle, earlier, later = now - _LATER, list[TaskValue](), list[TaskValue]()
    for task in task_totals(path):
        began = task.began_at
        # A sub-task is part of its root: counted alone, it would be counted twice.
        if began is None or began > now or task.parent_task_id is not None or not task.task_type:
            continue
        if began >= middle:
            later.append(_value(task, task.task_type))
        elif began >= middle - _EARLIER:
            earlier.append(_value(task, task.task_type))
    return find_rises(earlier, later)


def _value(task: TaskTotals, task_type: str) -> TaskValue:
    tree = task.tree
    return TaskValue(
        task_id=task.task_id,
        task_type=task_type,
        tokens=tree.usage.prompt + tree.output_tokens,
        call_us=tree.turns_us,
        turns=tree.turns,
        cost_pico=None if tree.unpriced else tree.cost_pico + tree.low_pico,
        outcome=task.outcome,
        unsettled=tree.unsettled,
    )
