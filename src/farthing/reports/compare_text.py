"""A comparison as lines and cells for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from farthing.reports.audit_words import safe
from farthing.reports.ledger_words import (
    change_words,
    counted,
    measure_words,
    money,
    value_words,
)

__all__ = ["comparison_rows", "comparison_summary", "comparison_tail"]


def comparison_summary(document: dict[str, Any]) -> str:
    """What stands on either side."""
    return "\n".join(f"{letter.upper()}  {_side(document[letter])}" for letter in "ab")


def comparison_rows(document: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headers and a row per measure."""
    rows = [
        [
            measure_words(measure),
            value_words(measure, measure["a"]),
            value_words(measure, measure["b"]),
            *change_words(measure),
            measure["verdict"],
        ]
        for measure in document["measures"]
    ]
    return ["measure", "A", "B", "change", "interval", "verdict"], rows


def comparison_tail(document: dict[str, Any]) -> str:
    """How to read it, and what was left out."""
    return "\n".join(_tail(document))


def _side(side: dict[str, Any]) -> str:
    judged = (
        f"{side['passed']:,} passed, {side['failed']:,} failed, {side['abandoned']:,} abandoned"
    )
    return f"{safe(side['name'])}: {side['tasks']:,} tasks; {judged}"


def _tail(document: dict[str, Any]) -> Iterator[str]:
    if not document["measures"]:
        yield "Nothing to compare: it takes two tasks of a type on both sides."
        return
    level = document["false_alarm_level"]
    yield (
        f"Intervals are of the change, {100 * document['confidence']:.3g} % each: all verdicts"
        f" together raise a false alarm in at most {100 * level:.0f} % of comparisons."
    )
    yield "A verdict needs both: an interval without zero, and tasks that chance does not deal so."
    types = document["task_types"]
    if len(types) > 1:
        yield f"Compared within {len(types)} task types, each with the same weight on both sides."
    if document["left_out_task_types"]:
        named = ", ".join(safe(name or "(no type)") for name in document["left_out_task_types"])
        yield f"Left out, fewer than two tasks on a side: {named}."
    for letter in "ab":
        side = document[letter]
        if side["unpriced"]:
            tasks = counted(side["unpriced"], "task")
            yield f"{letter.upper()}: {tasks} without a price: not in the costs."
        if side["unsettled_calls"]:
            yield (
                f"{letter.upper()}: {counted(side['unsettled_calls'], 'unsettled call')} counted by"
                " what is certain."
            )
        if Decimal(side["notional_usd"]):
            yield (
                f"{letter.upper()}: {money(side['notional_usd'])} of its cost is notional: list"
                " prices of calls that a subscription pays for."
            )
        if 0 < side["unjudged"] < side["tasks"]:
            yield f"{letter.upper()}: {counted(side['unjudged'], 'task')} not judged."
