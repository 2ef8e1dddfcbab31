"""What an emulator can be told at the start; each has a default that suits a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, get_args

from farthing.lab.emulator.call import Account
from farthing.lab.emulator.latency import INSTANT, LatencyProfile

__all__ = ["TIERS", "Settings", "Tier"]

Tier = Literal["unlimited", "start", "build", "scale"]
TIERS: tuple[Tier, ...] = get_args(Tier)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How one emulator behaves."""

    seed: int = 0
    clock: Literal["virtual", "real"] = "virtual"
    started_at: datetime = datetime(2026, 11, 16, 12, 0, tzinfo=UTC)
    tier: Tier = "unlimited"
    latency: LatencyProfile = INSTANT
    # accounts: none given means that any key is accepted, see ``accounts.py``
    keys: Mapping[str, Account] = field(default_factory=dict)
    # deletion is prompt, not immediate: how long an expired entry is still read, in lifetimes
    deletion_lag_ratio: float = 0.0
    # leniency for recorded material
    accept_foreign_thinking: bool = False
    # batches
    batch_seconds: float = 60.0
    batch_hit_ratio: float = 0.6
    # what is kept for inspection
    requests_kept: int = 256
