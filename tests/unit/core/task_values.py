"""Tasks drawn from a seed: skewed costs, as real ones are."""

from __future__ import annotations

import random
from typing import Any

from farthing.core.comparison import TaskValue
from farthing.core.records import TaskOutcome


def task(cost: float | None = 0.01, **given: Any) -> TaskValue:
    """One task; dollars as a float, because these are made up."""
    values: dict[str, Any] = {
        "task_id": "t",
        "task_type": "triage",
        "cost_pico": None if cost is None else round(cost * 1e12),
        "tokens": 1_000,
        "call_us": 2_000_000,
        "turns": 3,
        "outcome": "passed",
    }
    return TaskValue(**values | given)


def drawn(
    seed: int,
    count: int,
    *,
    turns: float = 1.0,
    price: float = 1.0,
    pass_rate: float = 0.8,
    judged: float = 1.0,
    task_type: str = "triage",
) -> list[TaskValue]:
    """Tasks whose turns, sizes and endings vary; ``turns`` and ``price`` scale what they take."""
    dice = random.Random(seed)
    found = []
    for number in range(count):
        count_of_turns = max(1, round(turns * dice.lognormvariate(1.2, 0.5)))
        tokens = round(count_of_turns * 2_000 * dice.lognormvariate(0, 0.6))
        ends: TaskOutcome | None = "passed" if dice.random() < pass_rate else "failed"
        found.append(
            task(
                tokens * price * 5e-6,
                task_id=f"{seed}-{number}",
                task_type=task_type,
                tokens=tokens,
                call_us=round(count_of_turns * 1e6 * dice.lognormvariate(0.5, 0.5)),
                turns=count_of_turns,
                outcome=ends if dice.random() < judged else None,
            )
        )
    return found
