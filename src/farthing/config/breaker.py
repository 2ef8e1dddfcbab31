"""The rows of ``[breaker]``: from where on a storm is stopped, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from farthing.config import kinds
from farthing.config.alerts import AlertSettings
from farthing.config.rows import setting

__all__ = ["BreakerSettings"]

_ON: Final = True


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class BreakerSettings(AlertSettings):
    """The part of ``Settings`` that is about circuit breakers."""

    breaker: bool = setting(
        "breaker.enabled", kinds.SWITCH, _ON, "stop storms, as docs/breaker.md describes them"
    )
    breaker_velocity_usd: int | None = setting(
        "breaker.velocity_usd",
        kinds.USD,
        None,
        "the most a key, or a task type of it, may spend within a minute; default: no limit",
    )
    breaker_failures: int = setting(
        "breaker.failures",
        kinds.COUNT,
        20,
        "so many failed calls of a key or task type within a minute are a storm of errors",
    )
    breaker_failed_share: float = setting(
        "breaker.failed_share",
        kinds.SHARE,
        0.9,
        "and so large a share of its calls of that minute",
    )
    breaker_repeats: int = setting(
        "breaker.repeats",
        kinds.COUNT,
        5,
        "one and the same call refused, or failed, so often within a minute is stopped",
    )
    breaker_cool_seconds: float = setting(
        "breaker.cool_seconds",
        kinds.SECONDS,
        30.0,
        "how long a circuit is open before one call may try; doubled each time that fails",
    )
    breaker_longest_seconds: float = setting(
        "breaker.longest_seconds", kinds.SECONDS, 300.0, "and doubled up to this"
    )
