"""An exchange and its circuits: asked before anything is planned, told how it ended.

Theory of operation. Where no circuit is open, which is nearly always, a call is not even looked at:
neither its key nor its digest is computed for this. Where one is, key, task type and digest of the
body are found from headers and bytes alone; a call that may not pass is answered at once: it has no
plan, no hold and no row, only counters. A call that passes as a probe says so with how it ended.

Only Messages calls have circuits, and creations of batches that budgets look at: counting tokens
and reading batches costs nothing, and what is wrong there must not stop what is not. Calls of our
own (pings) have none either.

A call is judged once, whichever way it ends; one that ends before anything was known of it, because
its driver was stopped, gives its probe back.

Rules of this file: a fault of ours lets the call pass, with a note.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final

import msgspec

from farthing.core.attribution import key_scope, keyed_digest, task_type_of
from farthing.core.breaker import Breakers
from farthing.core.breaker_values import (
    Allowed,
    Change,
    Outcome,
    Refused,
    Why,
    breaker_keys,
    outcome_kind,
    refusal,
)
from farthing.core.exchange_call import Call, Moment, route_of
from farthing.core.exchange_effects import ClientHead, Head, answer_of
from farthing.core.exchange_prepare import Setup, body_digest
from farthing.core.exchange_settle import Progress, Verdict

__all__ = ["Entry", "began", "enter", "judge", "leave"]

_BREAKER: Final = b"x-farthing-breaker"
_LOOP: Final = "loop.refused"
_FAILED_OPEN_NOTE: Final = "fail_open.breaker"
_VELOCITY_NOTE: Final = "breaker.velocity"
_ERROR_STORM_NOTE: Final = "breaker.error_storm"
_RETRY_STORM_NOTE: Final = "breaker.retry_storm"
#: the note on the exchange with which a circuit opened
_OPENED: Final[Mapping[Why, str]] = MappingProxyType(
    {
        "velocity": _VELOCITY_NOTE,
        "error_storm": _ERROR_STORM_NOTE,
        "retry_storm": _RETRY_STORM_NOTE,
    }
)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """The call may go on."""

    #: what it probes; None: no circuit is in front of it
    allowed: Allowed | None = None
    #: the digest of its body, if it had to be known
    body_digest: str = ""
    notes: tuple[str, ...] = ()


_NO_CIRCUITS: Final = Entry()
_FREE: Final = Entry(allowed=Allowed())
_FAILED: Final = Entry(notes=(_FAILED_OPEN_NOTE,))
_OK: Final = Outcome(kind="ok")
_BUSY: Final = Outcome(kind="busy")


def enter(call: Call, setup: Setup) -> Entry | ClientHead:
    """May the call go on? Else the answer that it gets."""
    breakers = setup.breakers
    if breakers is None or call.method != "POST" or call.ping_for:
        return _NO_CIRCUITS
    if call.rows is None and route_of(call.method, call.path).endpoint != "messages":
        return _NO_CIRCUITS
    if not breakers.is_any_open:
        return _FREE
    try:
        return _asked(call, setup, breakers)
    except Exception:  # noqa: BLE001  protects the call: circuits are ours
        return _FAILED


def began(progress: Progress, head: Head, setup: Setup) -> None:
    """A good answer to a probe begins: nobody need wait for the end of a long stream."""
    allowed, breakers = progress.allowed, setup.breakers
    assert allowed is not None
    assert breakers is not None
    received = progress.call.received
    waited = timedelta(microseconds=(head.at_ns - received.ns) // 1_000)
    changes = breakers.began(allowed, Moment(received.at + waited, head.at_ns))
    _tell(changes, progress, setup)


def judge(
    progress: Progress, verdict: Verdict, now: Moment, setup: Setup, breakers: Breakers
) -> None:
    """How the call ended, once; what opened by it becomes a note of its row."""
    allowed = progress.allowed
    if allowed is None:
        return
    progress.allowed = None
    prepared = progress.prepared
    who = prepared.attribution
    try:
        outcome = _outcome(progress, verdict, breakers)
        is_plain = outcome is _OK and not allowed.probes
        is_told = breakers.knows_calls or not is_plain
        digest = body_digest(prepared, progress.call, setup) if is_told else ""
        if is_plain:
            breakers.good(who.key_scope, who.task_type, digest, now)
            return
        keys = breaker_keys(who.key_scope, who.task_type, digest)
        changes = breakers.ended(keys, allowed, outcome, now)
    except Exception:  # noqa: BLE001  protects the call: circuits are ours
        progress.note(_FAILED_OPEN_NOTE)
        return
    _tell(changes, progress, setup)


def leave(progress: Progress, breakers: Breakers) -> None:
    """Whatever ended the conversation: a probe that was not judged says nothing."""
    allowed = progress.allowed
    if progress.hold_pico is not None:
        breakers.freed()
    if allowed is None or not allowed.probes:
        return
    progress.allowed = None
    keys = [key for key, _ in allowed.probes]
    breakers.ended(keys, allowed, _BUSY, progress.call.received)


def _asked(call: Call, setup: Setup, breakers: Breakers) -> Entry | ClientHead:
    breakers.look_behind(setup.board.budgets, call.received.at)
    scope = call.key_name or key_scope(call.headers, setup.install_key)
    digest = ""
    if breakers.open_calls:
        digest = keyed_digest(call.body_sha256(), setup.install_key)
    keys = breaker_keys(scope, task_type_of(call.headers), digest)
    found = breakers.admit(keys, call.received)
    if isinstance(found, Refused):
        own = (_BREAKER, f"{found.key.kind} {found.why}".encode())
        return answer_of(refusal(found), call.exchange_id, own)
    return Entry(allowed=found, body_digest=digest)


def _outcome(progress: Progress, verdict: Verdict, breakers: Breakers) -> Outcome:
    if verdict.state == "released":
        if verdict.http_status is None:
            return _BUSY
        notes = progress.notes
        return Outcome(kind="refused", what=_LOOP if _LOOP in notes else "".join(notes[-1:]))
    status = progress.head.status if progress.head else None
    kind = outcome_kind(status, verdict.error_type)
    if kind == "ok" and breakers.rules.velocity_pico is None:
        return _OK
    cost = verdict.cost.total if verdict.cost is not None else verdict.low_pico or 0
    return Outcome(kind=kind, cost_pico=cost, what=verdict.error_type or f"HTTP {status}")


def _tell(changes: list[Change], progress: Progress, setup: Setup) -> None:
    for change in changes:
        if change.state == "open":
            progress.note(_OPENED[change.why])
        setup.decided.changed(change)
