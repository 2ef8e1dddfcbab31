"""The policies by name: three that need no engine, and the engine's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from farthing.core.prefix import Ttl
from farthing.errors import ConfigError
from farthing.lab.replay.engine_policy import Safe
from farthing.lab.replay.sending import LearningPolicy, Policy, Sending
from farthing.lab.replay.turns import Turn

__all__ = [
    "POLICIES",
    "AsRecorded",
    "AutoCache",
    "LearningPolicy",
    "NoCache",
    "Policy",
    "Sending",
    "find_policy",
]


@dataclass(frozen=True, slots=True)
class AsRecorded:
    """The client's own breakpoints and TTL."""

    name: str = "as-recorded"

    def plan(self, turn: Turn) -> Sending:
        """What the client marked."""
        return Sending(marks=turn.recorded_marks)


@dataclass(frozen=True, slots=True)
class NoCache:
    """Nothing is marked: every token is paid in full on every turn."""

    name: str = "no-cache"

    def plan(self, turn: Turn) -> Sending:  # noqa: ARG002  the protocol names it
        """No marks."""
        return Sending()


@dataclass(frozen=True, slots=True)
class AutoCache:
    """The provider's automatic mode: one five-minute breakpoint on the last block."""

    name: str = "auto-cache"
    ttl: Ttl = "5m"

    def plan(self, turn: Turn) -> Sending:  # noqa: ARG002  the protocol names it
        """The top-level ``cache_control``."""
        return Sending(automatic=self.ttl)


POLICIES: Final[dict[str, Policy]] = {
    policy.name: policy for policy in (AsRecorded(), NoCache(), AutoCache(), Safe())
}


def find_policy(name: str) -> Policy:
    """A policy by name."""
    if name not in POLICIES:
        raise ConfigError(f"unknown policy {name!r}: choose from {', '.join(POLICIES)}")
    return POLICIES[name]
