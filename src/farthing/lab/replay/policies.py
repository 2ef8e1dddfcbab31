"""What a policy is: for each turn, where the breakpoints go. The three that need no engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from farthing.core.prefix import Mark, Ttl
from farthing.errors import ConfigError
from farthing.lab.replay.turns import Turn

__all__ = ["POLICIES", "AsRecorded", "AutoCache", "NoCache", "Policy", "Sending", "find_policy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """How a turn is sent: explicit breakpoints, and the provider's automatic mode or not."""

    marks: tuple[Mark, ...] = ()
    automatic: Ttl | None = None

    def all_marks(self, turn: Turn) -> tuple[Mark, ...]:
        """All breakpoints, the automatic one where the provider puts it (API facts 2.1)."""
        last = turn.last_markable
        if self.automatic is None or last is None or any(m.index == last for m in self.marks):
            return self.marks
        automatic = Mark(index=last, ttl=self.automatic)
        return tuple(sorted((*self.marks, automatic), key=lambda mark: mark.index))


class Policy(Protocol):
    """Decides how each turn is sent. Turns come in the order of time, each exactly once.

    This is the hook for policies of the engine: whatever implements it is replayed both ways.
    """

    @property
    def name(self) -> str:
        """What the bill is headed with."""
        ...

    def plan(self, turn: Turn) -> Sending:
        """How this turn is sent; may remember earlier turns, never look at later ones."""
        ...


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
    policy.name: policy for policy in (AsRecorded(), NoCache(), AutoCache())
}


def find_policy(name: str) -> Policy:
    """A policy by name."""
    if name not in POLICIES:
        raise ConfigError(f"unknown policy {name!r}: choose from {', '.join(POLICIES)}")
    return POLICIES[name]
