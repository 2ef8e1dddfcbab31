"""Hold-out by task: which tasks are left alone on purpose, and what comparing them says.

Theory of operation. A task is held out by a keyed digest of its root: the same answer on every
replica, after every restart, for all that happens below that root, and none that a caller could
choose. No lever acts on a held-out task. What it cost is then compared with what the others cost,
task by task within their types: an estimate that owes nothing to the shadow baseline.

It is also a weak one. Costs of tasks are skewed, so a difference of five percent drowns in chance
until there are thousands of them, and an interval without that number would be read as proof. So
``estimate`` always says how many tasks it would take, from the spread of the tasks that there are::

    N = (z₀.₉₇₅ + z₀.₈)² · V · (1/q + 1/(1-q)) / ln(0.95)²

V is the variance of a task's cost within its type over the squared mean cost, q the share held out.

Two limits are inherent. Held-out tasks read prompt-cache entries that treated ones keep warm, and
the other way round; so what levers save on prefixes that tasks share hardly shows here. And a task
whose calls are partly of either kind (the share was changed in between) is in neither group.

Interface: ``is_held_out``; ``estimate`` (tasks) → ``HoldOutEstimate``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import ceil, log
from statistics import NormalDist
from typing import Final

from farthing.core.intervals import Quotient, quotient

__all__ = [
    "CONFIDENCE",
    "EFFECT",
    "POWER",
    "HoldOutEstimate",
    "TaskCost",
    "estimate",
    "is_held_out",
]

#: the saving whose number of tasks is told
EFFECT: Final = 0.05
CONFIDENCE: Final = 0.95
#: how often that many tasks would show it
POWER: Final = 0.8

_STEPS: Final = 1 << 64
_LEAST_TASKS: Final = 2


def is_held_out(root_task_id: str, share: float, install_key: bytes) -> bool:
    """Is this task, with everything below it, left alone? The same everywhere and for ever.

    A larger share holds out all the tasks of a smaller one, and more.
    """
    digest = blake2b(root_task_id.encode(), digest_size=8, key=install_key[:64], person=b"holdout")
    return int.from_bytes(digest.digest()) < share * _STEPS


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCost:
    """One task with everything below it."""

    task_type: str
    #: what its compared calls cost, own costs of ours included
    cost_pico: int
    is_held_out: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOutEstimate:
    """What the held-out tasks say of the saving, and how much they could say."""

    held_out: int
    treated: int
    #: saved share of the cost, positive where levers save; None: too few tasks on a side
    saved_ratio: float | None
    #: its 95 % interval
    low_ratio: float | None
    high_ratio: float | None
    #: does the interval leave zero out, and does chance not explain it
    is_shown: bool
    #: tasks on both sides together that would show a saving of ``EFFECT``; None: spread unknown
    tasks_needed: int | None
    #: the share of tasks held out that this number is for
    share: float


def estimate(tasks: Iterable[TaskCost], *, share: float) -> HoldOutEstimate:
    """Held-out tasks against the others; ``share`` is the wanted one, told beside the number."""
    sides: tuple[dict[str, list[tuple[float, float]]], dict[str, list[tuple[float, float]]]]
    sides = ({}, {})
    for task in tasks:
        units = sides[not task.is_held_out].setdefault(task.task_type, [])
        units.append((float(task.cost_pico), 1.0))
    held_out, treated = sides
    found = quotient(held_out, treated, confidence=CONFIDENCE)
    saved = _saved(found)
    return HoldOutEstimate(
        held_out=_count(held_out),
        treated=_count(treated),
        saved_ratio=saved[0],
        low_ratio=saved[1],
        high_ratio=saved[2],
        is_shown=found is not None and found.is_shown,
        tasks_needed=_tasks_needed([*held_out.values(), *treated.values()], share),
        share=share,
    )


def _saved(found: Quotient | None) -> tuple[float | None, float | None, float | None]:
    """From treated over held out to the share saved: a larger quotient is a smaller saving."""
    if found is None:
        return None, None, None
    return 1 - found.value, 1 - found.high, 1 - found.low


def _count(side: Mapping[str, Sequence[tuple[float, float]]]) -> int:
    return sum(len(units) for units in side.values())


def _tasks_needed(groups: Sequence[Sequence[tuple[float, float]]], share: float) -> int | None:
    """By the spread within each group of one type and one treatment."""
    costs = [[cost for cost, _ in group] for group in groups if len(group) >= _LEAST_TASKS]
    count = sum(len(group) for group in costs)
    total = sum(sum(group) for group in costs)
    if not total or not 0 < share < 1:
        return None
    squares = sum(sum((cost - sum(group) / len(group)) ** 2 for cost in group) for group in costs)
    variance = squares / (count - len(costs)) / (total / count) ** 2
    normal = NormalDist()
    reach = normal.inv_cdf((1 + CONFIDENCE) / 2) + normal.inv_cdf(POWER)
    sides = 1 / share + 1 / (1 - share)
    return max(4, ceil(reach**2 * variance * sides / log(1 - EFFECT) ** 2))
