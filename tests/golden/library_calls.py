"""How this language calls each function of the library that the vectors pin (docs/vectors.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

import farthing

__all__ = ["CALLS", "INVALID_ARGUMENT", "outcome_of"]

Arguments = Mapping[str, Any]

#: the code of what has no code of farthing's: an argument that makes no sense
INVALID_ARGUMENT: Final = "invalid_argument"


def _with_day(function: Callable[..., float]) -> Callable[[Arguments], float]:
    def call(arguments: Arguments) -> float:
        on = arguments.get("on")
        return function(**{**arguments, "on": None if on is None else date.fromisoformat(on)})

    return call


def _record_all(arguments: Arguments) -> list[dict[str, Any] | None]:
    limits = {name: value for name, value in arguments.items() if name != "record"}
    detector = farthing.LoopDetector(**limits)
    matches = [detector.record(sig) for sig in arguments["record"]]
    return [
        None if match is None else {"cycle": list(match.cycle), "repeats": match.repeats}
        for match in matches
    ]


def _cached(arguments: Arguments) -> dict[str, Any]:
    options = {name: value for name, value in arguments.items() if name == "ttl"}
    return farthing.cached(arguments["request"], **options)


CALLS: Final[Mapping[str, Callable[[Arguments], Any]]] = {
    "LoopDetector": _record_all,
    "cached": _cached,
    "check_cache_hit": lambda arguments: farthing.check_cache_hit(**arguments),
    "cost_per_task": _with_day(farthing.cost_per_task),
    "estimate_cost": _with_day(farthing.estimate_cost),
    "prune_messages": lambda arguments: farthing.prune_messages(**arguments),
    "select_model": lambda arguments: farthing.select_model(**arguments),
    "summarize_history": lambda arguments: farthing.summarize_history(**arguments),
}


def outcome_of(function: str, arguments: Arguments) -> dict[str, Any]:
    """What a vector says of this call: ``expected`` or ``error``."""
    try:
        return {"expected": CALLS[function](arguments)}
    except farthing.FarthingError as error:
        return {"error": error.code}
    except (TypeError, ValueError):
        return {"error": INVALID_ARGUMENT}
