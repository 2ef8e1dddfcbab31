"""What all exchanges of a process share, made of its settings: the same behind every door."""

from __future__ import annotations

from typing import Final

from farthing.compose.levers import load_policy
from farthing.compose.loops import loop_watch
from farthing.config import Settings
from farthing.core.allowances import Allowances
from farthing.core.breaker import Breakers
from farthing.core.breaker_values import BreakerRules
from farthing.core.budgets_board import BudgetBoard
from farthing.core.engine import Engine
from farthing.core.engine_setup import EngineSetup
from farthing.core.exchange_prepare import Setup
from farthing.core.fanout import Fanout
from farthing.core.levers import LEVERS
from farthing.core.loop_terms import LoopTerms
from farthing.core.policy import Policy, policy_of
from farthing.driver.jobs.learned_tables import load_governor, load_lifetimes
from farthing.driver.pins import PinStore
from farthing.errors import ConfigError
from farthing.pricing import Catalog
from farthing.version import VERSION

__all__ = ["exchange_setup"]

#: ``levers.cache = "auto"``: the provider places the one breakpoint, and no other lever exists
_AUTO: Final = "cache.auto"


def exchange_setup(
    settings: Settings, *, install_key: bytes, prices: Catalog, pins: PinStore | None
) -> Setup:
    """The engine's own part of a process; ``pins`` is None where levers are off."""
    engine, loops = None, loop_watch(settings, key=install_key)
    if pins is not None and settings.cache != "off":
        terms = None if loops is None else loops.terms
        engine = _engine(settings, install_key, prices, pins, terms)
    return Setup(
        engine_version=VERSION,
        install_key=install_key,
        prices=prices,
        engine=engine,
        fanout=Fanout(limit_seconds=settings.fanout_seconds) if settings.fanout_seconds else None,
        task_cap_pico=settings.task_usd,
        budget_fault=settings.budget_fault,
        answer_limit_bytes=settings.answer_limit,
        board=BudgetBoard(allowances=_allowances(settings)),
        breakers=_breakers(settings),
        loops=loops,
    )


def _allowances(settings: Settings) -> Allowances:
    """What the operator declares for what bytes do not bound."""
    return Allowances(
        image_url=settings.allow_image_url,
        document_url=settings.allow_document_url,
        file=settings.allow_file,
        thread=settings.allow_thread,
        server_tools=settings.allow_server_tools,
        searches=settings.allow_searches,
    )


def _breakers(settings: Settings) -> Breakers | None:
    if not settings.breaker:
        return None
    if not (settings.breaker_failures and settings.breaker_repeats):
        raise ConfigError(
            "breaker.failures and breaker.repeats begin at 1; to stop no storm at all, set "
            "breaker.enabled = false"
        )
    return Breakers(
        BreakerRules(
            velocity_pico=settings.breaker_velocity_usd,
            failures=settings.breaker_failures,
            failed_share=settings.breaker_failed_share,
            repeats=settings.breaker_repeats,
            cool_seconds=settings.breaker_cool_seconds,
            longest_seconds=settings.breaker_longest_seconds,
        )
    )


def _engine(
    settings: Settings,
    install_key: bytes,
    prices: Catalog,
    pins: PinStore,
    loops: LoopTerms | None,
) -> Engine:
    return Engine(
        EngineSetup(
            policy=_policy(settings),
            engine_version=VERSION,
            install_key=install_key,
            prices=prices,
            hold_out=settings.holdout,
            lifetimes=load_lifetimes(pins),
            governor=load_governor(pins, engine_version=VERSION),
            loops=loops,
        )
    )


def _policy(settings: Settings) -> Policy:
    if settings.cache == "engine":
        return load_policy(settings)
    return policy_of(settings.profile, on=[_AUTO], off=LEVERS.keys() - {_AUTO})
