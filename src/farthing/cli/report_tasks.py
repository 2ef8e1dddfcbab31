"""Tasks of a ledger as the units of reports and comparisons.

Rules of this file: a unit is counted with everything below it, and once. Where tasks are counted by
type, the units of a type are its outermost tasks: a ``classify`` inside a ``handle-mail`` is a unit
of its own type, a ``classify`` inside a ``classify`` is not. Everywhere else the units are the
tasks without a parent. A task belongs to the period in which it began, with all that it did, so
that none is cut at the edge of a period.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from farthing.core.comparison import TaskValue, side_of
from farthing.ledger.reporting import TaskTags, Window
from farthing.ledger.tasks import TaskTotals
from farthing.pricing import dump_usd

__all__ = [
    "halves",
    "is_begun",
    "outermost",
    "per_task",
    "roots",
    "task_value",
    "tree_notional",
    "tree_tags",
    "units_by",
]


def is_begun(task: TaskTotals, window: Window) -> bool:
    """Did it begin in the window?"""
    began = task.began_at
    return (
        began is not None
        and (window.since is None or began >= window.since)
        and (window.until is None or began < window.until)
    )


def roots(tasks: Sequence[TaskTotals], window: Window) -> list[TaskTotals]:
    """The tasks that are below no other."""
    return [task for task in tasks if task.parent_task_id is None and is_begun(task, window)]


def outermost(tasks: Sequence[TaskTotals], window: Window) -> list[TaskTotals]:
    """The tasks that are below no task of their own type; of those without a type, the roots."""
    known = {task.task_id: task for task in tasks}
    return [
        task
        for task in tasks
        if is_begun(task, window)
        and (
            all(above.task_type != task.task_type for above in _above(task, known))
            if task.task_type
            else task.parent_task_id is None
        )
    ]


def units_by(
    tasks: Sequence[TaskTotals], name_of: Callable[[TaskTotals], str]
) -> Mapping[str, list[TaskValue]]:
    """The units, by what they are called."""
    found: defaultdict[str, list[TaskValue]] = defaultdict(list)
    for task in tasks:
        found[name_of(task)].append(task_value(task))
    return found


def tree_tags(tasks: Sequence[TaskTotals], tags: Mapping[str, TaskTags]) -> Mapping[str, TaskTags]:
    """Whose each task is, with all that is below it.

    Key and session are its own, or those of the first task below it that made a call; the model is
    the one that answered most turns, where those of a task below count for its own main model.
    """
    known = {task.task_id: task for task in tasks}
    whose = dict(tags)
    turns: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for task in tasks:
        if task.task_id not in tags:
            continue
        tag = tags[task.task_id]
        for each in (task, *_above(task, known)):
            whose.setdefault(each.task_id, tag)
            turns[each.task_id][tag.model] += task.own.turns
    return {
        name: replace(whose[name], model=found.most_common(1)[0][0])
        for name, found in turns.items()
    }


def tree_notional(tasks: Sequence[TaskTotals], own: Mapping[str, int]) -> Mapping[str, int]:
    """What is notional of each task with all that is below it; ``own`` is of each task alone."""
    known = {task.task_id: task for task in tasks}
    found: Counter[str] = Counter()
    for task in tasks:
        for each in (task, *_above(task, known)) if task.task_id in own else ():
            found[each.task_id] += own[task.task_id]
    return found


def task_value(task: TaskTotals, *, notional_pico: int = 0) -> TaskValue:
    """A task with all that is below it."""
    tree = task.tree
    return TaskValue(
        task_id=task.task_id,
        task_type=task.task_type or "",
        tokens=tree.usage.prompt + tree.output_tokens,
        call_us=tree.turns_us,
        turns=tree.turns,
        cost_pico=None if tree.unpriced else tree.cost_pico + tree.low_pico,
        outcome=task.outcome,
        unsettled=tree.unsettled,
        notional_pico=notional_pico,
    )


def per_task(units: Sequence[TaskValue]) -> dict[str, Any]:
    """How many units ended how, and what one took: each, and each that passed."""
    side = side_of(units)
    judged = [unit for unit in units if unit.outcome is not None]
    priced = [unit for unit in units if unit.cost_pico is not None]
    judged_priced = [unit for unit in judged if unit.cost_pico is not None]
    passed = sum(unit.outcome == "passed" for unit in judged_priced)
    return {
        "tasks": side.tasks,
        "passed": side.passed,
        "failed": side.failed,
        "abandoned": side.abandoned,
        "unjudged": side.unjudged,
        "unpriced": side.unpriced,
        "cost_usd_per_task": _mean_usd(priced, len(priced)),
        "cost_usd_per_passed_task": _mean_usd(judged_priced, passed),
        "tokens_per_task": _mean([unit.tokens for unit in units], side.tasks),
        "tokens_per_passed_task": _mean([unit.tokens for unit in judged], side.passed),
        "turns_per_task": _mean([unit.turns for unit in units], side.tasks),
        "turns_per_passed_task": _mean([unit.turns for unit in judged], side.passed),
        "call_seconds_per_task": _mean([unit.call_us / 1e6 for unit in units], side.tasks),
        "call_seconds_per_passed_task": _mean([unit.call_us / 1e6 for unit in judged], side.passed),
    }


def halves(tasks: Sequence[TaskTotals]) -> tuple[list[TaskValue], list[TaskValue]]:
    """The units that began in the earlier and in the later half of the time they span."""
    begun = [(began, task) for task in tasks if (began := task.began_at) is not None]
    if not begun:
        return [], []
    first = min(began for began, _ in begun)
    middle: datetime = first + (max(began for began, _ in begun) - first) / 2
    earlier = [task_value(task) for began, task in begun if began < middle]
    return earlier, [task_value(task) for began, task in begun if began >= middle]


def _above(task: TaskTotals, known: Mapping[str, TaskTotals]) -> Iterator[TaskTotals]:
    """Every task above this one, once; names can be given in a circle."""
    seen = {task.task_id}
    parent = task.parent_task_id
    while parent is not None and parent not in seen and parent in known:
        seen.add(parent)
        yield known[parent]
        parent = known[parent].parent_task_id


def _mean_usd(units: Sequence[TaskValue], count: int) -> str | None:
    if not count:
        return None
    total = sum(unit.cost_pico or 0 for unit in units)
    return dump_usd((2 * total + count) // (2 * count))


def _mean(values: Sequence[float], count: int) -> float | None:
    return round(sum(values) / count, 6) if count else None
