"""Smaller, bounded and explained bills for Claude API agents.

The names below are found when they are first asked for: importing farthing loads no HTTP, async or
database module and does no I/O. What each does is said where it lives, and in docs/library.md.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from farthing.version import VERSION

if TYPE_CHECKING:
    from farthing import batch
    from farthing.compose.middleware import Farthing
    from farthing.core.history import prune_messages, summarize_history
    from farthing.core.library_costs import check_cache_hit, cost_per_task, estimate_cost
    from farthing.core.loop_detector import LoopDetector, LoopMatch
    from farthing.core.marking import cached
    from farthing.core.task_models import TASK_MODELS, TaskModels, select_model
    from farthing.errors import BreakerOpen as BreakerOpenError
    from farthing.errors import BudgetExceeded as BudgetExceededError
    from farthing.errors import FarthingError, LoopDetectedError, UnpricedModelError
    from farthing.sdk.session import AsyncSession, Session, session
    from farthing.sdk.task import Task, task

__version__ = VERSION

__all__ = [
    "TASK_MODELS",
    "AsyncSession",
    "BreakerOpenError",
    "BudgetExceededError",
    "Farthing",
    "FarthingError",
    "LoopDetectedError",
    "LoopDetector",
    "LoopMatch",
    "Session",
    "Task",
    "TaskModels",
    "UnpricedModelError",
    "__version__",
    "batch",
    "cached",
    "check_cache_hit",
    "cost_per_task",
    "estimate_cost",
    "prune_messages",
    "select_model",
    "session",
    "summarize_history",
    "task",
]

#: name → "module:attribute"; a module alone is itself the value
_PLACES = {
    "TASK_MODELS": "farthing.core.task_models:TASK_MODELS",
    "AsyncSession": "farthing.sdk.session:AsyncSession",
    "BreakerOpenError": "farthing.errors:BreakerOpen",
    # the name that articles teach for what the rest of the tree calls BudgetExceeded
    "BudgetExceededError": "farthing.errors:BudgetExceeded",
    "Farthing": "farthing.compose.middleware:Farthing",
    "FarthingError": "farthing.errors:FarthingError",
    "LoopDetectedError": "farthing.errors:LoopDetectedError",
    "LoopDetector": "farthing.core.loop_detector:LoopDetector",
    "LoopMatch": "farthing.core.loop_detector:LoopMatch",
    "Session": "farthing.sdk.session:Session",
    "Task": "farthing.sdk.task:Task",
    "TaskModels": "farthing.core.task_models:TaskModels",
    "UnpricedModelError": "farthing.errors:UnpricedModelError",
    "batch": "farthing.batch",
    "cached": "farthing.core.marking:cached",
    "check_cache_hit": "farthing.core.library_costs:check_cache_hit",
    "cost_per_task": "farthing.core.library_costs:cost_per_task",
    "estimate_cost": "farthing.core.library_costs:estimate_cost",
    "prune_messages": "farthing.core.history:prune_messages",
    "select_model": "farthing.core.task_models:select_model",
    "session": "farthing.sdk.session:session",
    "summarize_history": "farthing.core.history:summarize_history",
    "task": "farthing.sdk.task:task",
}


def __getattr__(name: str) -> object:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = place.partition(":")
    found = import_module(module)
    value: object = getattr(found, attribute) if attribute else found
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
