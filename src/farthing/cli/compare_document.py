"""The document behind ``farthing compare``: what every form of it is rendered from."""

from __future__ import annotations

from typing import Any

from farthing.core.comparison import LEVEL, Compared, Comparison, Side
from farthing.pricing import dump_usd

__all__ = ["compared_as_json", "comparison_as_json"]


def comparison_as_json(comparison: Comparison, *, names: tuple[str, str]) -> dict[str, Any]:
    """The whole comparison; ``change_ratio`` is B over A, and so are the ends of its interval."""
    return {
        "a": _side_as_json(comparison.a, names[0]),
        "b": _side_as_json(comparison.b, names[1]),
        "false_alarm_level": LEVEL,
        "confidence": comparison.confidence,
        "task_types": list(comparison.task_types),
        "left_out_task_types": list(comparison.left_out),
        "measures": [compared_as_json(each) for each in comparison.compared],
    }


def compared_as_json(compared: Compared) -> dict[str, Any]:
    """One measure: both values, the change with its interval, the verdict."""
    change = compared.change
    return {
        "measure": compared.measure.name,
        "per": compared.measure.per,
        "a": compared.a,
        "b": compared.b,
        "change_ratio": None if change is None else change.value,
        "low_ratio": None if change is None else change.low,
        "high_ratio": None if change is None else change.high,
        "verdict": compared.verdict,
    }


def _side_as_json(side: Side, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "tasks": side.tasks,
        "passed": side.passed,
        "failed": side.failed,
        "abandoned": side.abandoned,
        "unjudged": side.unjudged,
        "unpriced": side.unpriced,
        "unsettled_calls": side.unsettled,
        "notional_usd": dump_usd(side.notional_pico),
    }
