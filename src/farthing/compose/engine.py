"""What all exchanges of a process share, made of its settings: the same behind every door."""

from __future__ import annotations

from typing import Final

from farthing.compose.levers import load_policy
from farthing.config import Settings
from farthing.core.engine import Engine
from farthing.core.engine_setup import EngineSetup
from farthing.core.exchange_prepare import Setup
from farthing.core.fanout import Fanout
from farthing.core.levers import LEVERS
from farthing.core.policy import Policy, policy_of
from farthing.driver.jobs.learned_tables import load_governor, load_lifetimes
from farthing.driver.pins import PinStore
from farthing.pricing import Catalog
from farthing.version import VERSION

__all__ = ["exchange_setup"]

#: ``levers.cache = "auto"``: the provider places the one breakpoint, and no other lever exists
_AUTO: Final = "cache.auto"


def exchange_setup(
    settings: Settings, *, install_key: bytes, prices: Catalog, pins: PinStore | None
) -> Setup:
    """The engine's own part of a process; ``pins`` is None where levers are off."""
    engine = None
    if pins is not None and settings.cache != "off":
        engine = _engine(settings, _policy(settings), install_key, prices, pins)
    return Setup(
        engine_version=VERSION,
        install_key=install_key,
        prices=prices,
        engine=engine,
        fanout=Fanout(limit_seconds=settings.fanout_seconds) if settings.fanout_seconds else None,
        task_cap_pico=settings.task_usd,
        budget_fault=settings.budget_fault,
        answer_limit_bytes=settings.answer_limit,
    )


def _engine(
    settings: Settings, policy: Policy, install_key: bytes, prices: Catalog, pins: PinStore
) -> Engine:
    return Engine(
        EngineSetup(
            policy=policy,
            engine_version=VERSION,
            install_key=install_key,
            prices=prices,
            hold_out=settings.holdout,
            lifetimes=load_lifetimes(pins),
            governor=load_governor(pins, engine_version=VERSION),
        )
    )


def _policy(settings: Settings) -> Policy:
    if settings.cache == "engine":
        return load_policy(settings)
    return policy_of(settings.profile, on=[_AUTO], off=LEVERS.keys() - {_AUTO})
