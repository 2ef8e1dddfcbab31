"""What goes into a circuit breaker and what comes out: keys, rules, outcomes, verdicts, words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

import msgspec

from farthing.errors import BreakerOpen

__all__ = [
    "Allowed",
    "BreakerKey",
    "BreakerRules",
    "BreakerState",
    "Change",
    "Kind",
    "OpenCircuit",
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
#: of a stream that had begun well: the provider's own trouble (API facts, section 4.4)
_BUSY_TYPES: Final = frozenset(
    {"overloaded_error", "api_error", "rate_limit_error", "timeout_error"}
)
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
    failed_share: float = 0.9
    #: of one and the same call
    repeats: int = 5
    cool_seconds: float = 30.0
    longest_seconds: float = 300.0
    #: the longest for a call that was refused here: to try it costs no request
    refused_seconds: float = 60.0
    #: a probe that has not come back by then does not count
    probe_seconds: float = 600.0


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """The call may go on; the circuits that it probes, and as which probe."""

    probes: tuple[tuple[BreakerKey, int], ...] = ()

    def probe_of(self, key: BreakerKey) -> int:
        """The number to hand back with the outcome; 0: it is no probe there."""
        return next((number for found, number in self.probes if found == key), 0)


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """The call may not go on."""

    key: BreakerKey
    why: Why
    #: when one call may try again
    until: datetime
    #: refused here since the circuit opened, this call included
    count: int
    #: how the call ended with which it opened: an error type, or a code of ours
    what: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a call ended, for one circuit."""

    kind: Kind
    cost_pico: int = 0
    #: what ``Allowed.probe_of`` said
    probe: int = 0
    #: an error type, or a code of ours
    what: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A circuit has opened, opened again or closed: for journal and alerts."""

    key: BreakerKey
    state: BreakerState
    why: Why
    at: datetime
    #: None: it is closed
    until: datetime | None
    #: calls refused since it opened first
    refused: int = 0
    #: how the last bad call ended: an error type, or a code of ours
    what: str = ""


class OpenCircuit(msgspec.Struct, frozen=True, kw_only=True):
    """A circuit that is not closed, as it stands."""

    key: BreakerKey
    state: BreakerState
    why: Why
    #: from when on the next call may try
    tries_at: datetime
    #: calls refused since it opened
    refused: int
    #: how the last bad call ended: an error type, or a code of ours
    what: str


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
    What is the provider's own trouble is no failure of whoever calls, in a stream neither.
    """
    if http_status is None or http_status in _BUSY or http_status >= 500:
        return "busy"
    if http_status < 300 and error_type in _BUSY_TYPES:
        return "busy"
    return "failed" if http_status >= 400 or error_type is not None else "ok"


def refusal(refused: Refused) -> BreakerOpen:
    """The error that a client gets: what, why, until when, and what to do."""
    scope = f"{refused.key.kind}:{refused.key.name}"
    until = f"{refused.until:%Y-%m-%dT%H:%M:%SZ}"
    last = f" (at last {refused.what})" if refused.what else ""
    return BreakerOpen(
        f"this {_NOUNS[refused.key.kind]} {_WORDS[refused.why]}{last}: farthing sends nothing of "
        f"it before {until}, then one call as a probe; {_ADVICE[refused.why]}",
        scope=scope,
        why=refused.why,
    )
