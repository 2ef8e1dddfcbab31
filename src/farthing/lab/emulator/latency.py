"""How long an answer takes: time to first token grows with uncached prompt tokens, the rest with
output.

The figures of ``TYPICAL`` are an order of magnitude, not a measurement of any model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from farthing.errors import ConfigError

__all__ = ["INSTANT", "PROFILES", "TYPICAL", "LatencyProfile", "find_profile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyProfile:
    """Seconds an answer takes, linear in its tokens."""

    base_seconds: float = 0.0
    seconds_per_uncached_token: float = 0.0
    seconds_per_cached_token: float = 0.0
    seconds_per_output_token: float = 0.0

    def first_byte_seconds(self, *, uncached: int, cached: int) -> float:
        """Time from the request's start to the first byte of the answer."""
        return (
            self.base_seconds
            + uncached * self.seconds_per_uncached_token
            + cached * self.seconds_per_cached_token
        )

    def output_seconds(self, output: int) -> float:
        """Time from the first byte to the last."""
        return output * self.seconds_per_output_token


INSTANT = LatencyProfile()
TYPICAL = LatencyProfile(
    base_seconds=0.5,
    seconds_per_uncached_token=6e-5,
    seconds_per_cached_token=4e-6,
    seconds_per_output_token=1 / 70,
)
PROFILES: Mapping[str, LatencyProfile] = {"instant": INSTANT, "typical": TYPICAL}


def find_profile(name: str) -> LatencyProfile:
    """A profile by name."""
    if name not in PROFILES:
        raise ConfigError(f"unknown latency profile {name!r}: choose one of {', '.join(PROFILES)}")
    return PROFILES[name]
