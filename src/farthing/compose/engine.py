"""What all exchanges of a process share, made of its settings: the same behind every door."""

from __future__ import annotations

from typing import Final

from farthing.config import Settings
from farthing.core.exchange_plan import Planner, plan_cache_auto, plan_nothing
from farthing.core.exchange_prepare import Setup
from farthing.pricing import Catalog
from farthing.version import VERSION

__all__ = ["exchange_setup"]

_PLANNERS: Final[dict[str, Planner]] = {"off": plan_nothing, "auto": plan_cache_auto}


def exchange_setup(settings: Settings, *, install_key: bytes, prices: Catalog) -> Setup:
    """The engine's own part of a process."""
    return Setup(
        engine_version=VERSION,
        install_key=install_key,
        prices=prices,
        planner=_PLANNERS[settings.cache],
        task_cap_pico=settings.task_usd,
        budget_fault=settings.budget_fault,
        answer_limit_bytes=settings.answer_limit,
    )
