"""The offline optimum in a replay's report: one table and two or three sentences, for every form.

Amounts are of the input side, which is all that breakpoints change. A ratio of 1.000 is the best
possible; the bounds themselves stand below the policies, against the same columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from farthing.reports.figures import usd

__all__ = ["HEADERS", "optimum_notes", "optimum_rows"]

HEADERS: Final = ("input side", "dollars", "/ with pings", "/ without", "/ upgraded", "/ floor")

_BOUNDS: Final = {
    "with_pings": "optimum with pings",
    "without_pings": "optimum without pings",
    "upgraded": "without, upgraded",
    "floor": "floor",
}


def optimum_rows(document: dict[str, Any]) -> list[list[str]]:
    """Policies, then the bounds; empty where no optimum was asked for."""
    bounds = document.get("optimum")
    if bounds is None:
        return []
    rows = [
        [policy["policy"], usd(policy["input_usd"]), *_policy_ratios(policy)]
        for policy in document["policies"]
    ]
    return rows + [
        [words, usd(bounds[f"{key}_usd"]), *(_ratio(bounds, key, other) for other in _BOUNDS)]
        for key, words in _BOUNDS.items()
    ]


def _policy_ratios(policy: dict[str, Any]) -> list[str]:
    ratios = policy["optimum_ratio"] or {}
    return [f"{ratios[key]:.3f}" if key in ratios else "–" for key in _BOUNDS]


def _ratio(bounds: dict[str, Any], key: str, other: str) -> str:
    own, against = (Decimal(bounds[f"{name}_usd"]) for name in (key, other))
    return f"{own / against:.3f}" if against else "–"


def optimum_notes(document: dict[str, Any]) -> Iterator[str]:
    """What the bounds are, and where each policy is furthest from them."""
    bounds = document.get("optimum")
    if bounds is None:
        return
    yield (
        "The optimum knows the whole workload, has any number of breakpoints and reads what is "
        "still being written: nothing can cost less, and nothing need cost as little. "
        "The floor pays each token once and reads it ever after."
    )
    yield (
        "Tokens keep the lifetime they were written for. Upgraded: a later 1 h breakpoint lends "
        "its own to what it reads, as emulator and simulation let it; below this nothing gets."
    )
    for policy in document["policies"]:
        worst = policy["worst_conversation"]
        if worst is not None:
            yield (
                f"{policy['policy']}: at worst {worst['ratio']:.2f} times the optimum's share, "
                f"{usd(worst['excess_usd'])} above it, in {worst['id']}."
            )
