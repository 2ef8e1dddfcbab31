"""What goes into a circuit breaker and what comes out: keys, rules, outcomes, verdicts, words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from farthing.errors import BreakerOpen

__all__ = [
    "Allowed",
    "BreakerKey",
    "BreakerRules",
    "BreakerState",
    "Change",
    "Kind",
    "Outcome",
    "Refused",
    "Why",
    "breaker_keys",
    "outcome_kind",
    "refusal",
]

BreakerState = Literal["closed", "open", "half_open"]
Why = Literal["velocity", "error_storm", "retry_storm"]
#: how a call ended; ``busy``: the provider asks to try again
Kind = Literal["ok", "failed", "busy", "refused"]

_BUSY: Final = frozenset({408, 409, 429})
_WORDS: Final[Mapping[Why, str]] = MappingProxyType(
    {
        "velocity": "spends too fast",
        "error_storm": "had too many errors in too short a time",
        "retry_storm": "is sent again and again although it fails each time",
    }
)


_NOUNS: Final = MappingProxyType({"key": "key", "task_type": "task type", "call": "call"})
_ADVICE: Final[Mapping[Why, str]] = MappingProxyType(
    {
        "velocity": "wait, or ask the operator for a higher limit on speed",
        "error_storm": "mend what the errors before this one say",
        "retry_storm": "change the request: sent again as it is, it ends the same",
    }
)


class BreakerKey(NamedTuple):
    """What a circuit stands in front of."""

    kind: Literal["key", "task_type", "call"]
    #: digests and names, never a credential
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRules:
    """When a circuit opens, and for how long."""

    window_seconds: float = 60.0
    #: None: no limit on speed
    velocity_pico: int | None = None
    failures: int = 20
    failed_share: float = 0.5
    #: of one and the same call
    repeats: int = 5
    cool_seconds: float = 30.0
    longest_seconds: float = 3600.0
    #: a probe that has not come back by then does not count
    probe_seconds: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """The call may go on; the circuits that it probes, and as which probe."""

    probes: tuple[tuple[BreakerKey, int], ...] = ()

    def probe_of(self, key: BreakerKey) -> int:
        """The number to hand back with the outcome; 0: it is no probe there."""
        return next((number for found, number in self.probes if found == key), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The call may not go on."""

    key: BreakerKey
    why: Why
    #: when one call may try again
    until: datetime
    #: refused here since the circuit opened, this call included
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a call ended, for one circuit."""

    kind: Kind
    cost_pico: int = 0
    #: what ``Allowed.probe_of`` said
    probe: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A circuit has opened, opened again or closed: for journal and alerts."""

    key: BreakerKey
    state: BreakerState
    why: Why
    at: datetime
    #: None: it is closed
    until: datetime | None
    #: calls refused while it was open
    refused: int = 0


def breaker_keys(key_scope: str, task_type: str | None, body_digest: str) -> tuple[BreakerKey, ...]:
    """The circuits that one call has to pass; all of them belong to its key."""
    key = BreakerKey("key", key_scope)
    call = BreakerKey("call", f"{key_scope}/{body_digest}")
    if task_type is None:
        return key, call
    return key, BreakerKey("task_type", f"{key_scope}/{task_type}"), call


def outcome_kind(http_status: int | None, error_type: str | None) -> Kind:
    """How a call ended, from what its settlement says; no status: nothing came from the provider.

    An error type beside a good status is a stream that broke after it had begun to cost.
    """
    if http_status is None or http_status in _BUSY or http_status >= 500:
        return "busy"
    return "failed" if http_status >= 400 or error_type is not None else "ok"


def refusal(refused: Refused) -> BreakerOpen:
    """The error that a client gets: what, why, until when, and what to do."""
    scope = f"{refused.key.kind}:{refused.key.name}"
    until = f"{refused.until:%Y-%m-%dT%H:%M:%SZ}"
    return BreakerOpen(
        f"this {_NOUNS[refused.key.kind]} {_WORDS[refused.why]}: farthing sends nothing of it "
        f"before {until}, then one call as a probe; {_ADVICE[refused.why]}",
        scope=scope,
        why=refused.why,
    )
