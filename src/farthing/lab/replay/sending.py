"""What a policy is: for each turn, how it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

from farthing.core.prefix import Mark, Ttl
from farthing.lab.replay.turns import Turn
from farthing.wire.usage import Usage

__all__ = ["LearningPolicy", "Policy", "Sending", "begun"]


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


@runtime_checkable
class LearningPolicy(Policy, Protocol):
    """One that is told what each turn was billed, and starts anew with every replay."""

    def begin(self) -> Self:
        """One that has learned nothing yet."""
        ...

    def observe(self, turn: Turn, usage: Usage) -> None:
        """What this turn was billed; to be used for turns that start after its first byte."""
        ...


def begun(policy: Policy) -> Policy:
    """The policy for one pass over the turns."""
    return policy.begin() if isinstance(policy, LearningPolicy) else policy
