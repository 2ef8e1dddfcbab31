"""What was decided about calls, on its way to the journal: collected beside them, taken by a job.

Theory of operation. An exchange that ends shows its record here once. Most have nothing to tell,
and that is found out by a few looks; the rest becomes events that wait in memory until whoever
keeps the journal takes them (``take``), about once a second. So no call waits for the journal, and
what a killed process loses is that second and what was still being counted.

- refused: nothing was sent, and the client got an answer of ours. An event each, folded.
- degraded: a budget or a loop rule made the call smaller, or told the model to end. Folded.
- rewritten: levers changed the body. A class of requests is a key, a workload and a model with the
  levers that act; one event per class and day.
- circuits that open and close; levers that the governor switches.

Rules of this file: nothing is collected where nobody keeps a journal. Memory has an end: what waits
is folded first, and beyond ``_MOST`` the rest is counted (``lost``). No prompt's text comes here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from farthing.core.breaker_values import Change
from farthing.core.governor import Switch
from farthing.core.journal_chain import Fact, JournalEvent, JournalKind, journal_event
from farthing.core.journal_folding import Folding
from farthing.core.records import Attribution, Settlement

__all__ = ["Decided", "Taken", "circuit_event", "switch_event"]

_MOST: Final = 4_096
_ENGINE: Final = "engine"
#: notes that say how a call was made smaller
_DEGRADED: Final = frozenset(
    {"budget.clamped", "budget.effort", "budget.model", "budget.noted", "loop.noted"}
)
_BUDGET: Final = "budget."
_LOOP: Final = "loop."
_LOOP_STOPPED: Final = "loop.refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What is to be written, and what alerts want to hear of."""

    events: list[JournalEvent]
    changes: list[Change]
    #: events that found no room since the last time
    lost: int = 0


@dataclass(slots=True)
class Decided:
    """Events of one process; not thread-safe."""

    #: does somebody take what is collected here?
    is_kept: bool = False
    _folding: Folding = field(default_factory=Folding)
    _waiting: list[JournalEvent] = field(default_factory=list)
    _changes: list[Change] = field(default_factory=list)
    _lost: int = 0
    #: classes of requests → the day of their last event
    _classes: OrderedDict[tuple[object, ...], int] = field(default_factory=OrderedDict)

    def add(self, event: JournalEvent) -> None:
        """One decision; the same one again is counted."""
        if self.is_kept:
            self._put(self._folding.add(event))

    def changed(self, change: Change) -> None:
        """A circuit has opened or closed."""
        if not self.is_kept:
            return
        self.add(circuit_event(change))
        if len(self._changes) < _MOST:
            self._changes.append(change)

    def ended(
        self, who: Attribution, model: str | None, reasons: Sequence[str], record: Settlement
    ) -> None:
        """An exchange has ended; ``reasons`` are its plan's."""
        if not self.is_kept:
            return
        if record.state == "released" and record.http_status is not None:
            self.add(_refused(who, model, record))
            return
        if not _DEGRADED.isdisjoint(record.notes):
            self.add(_degraded(who, model, record))
        if reasons:
            self._rewritten(who, model, reasons, record)

    def take(self, now: datetime) -> Taken:
        """What has come since the last time, and what was counted whose time is over."""
        self._put(self._folding.due(now))
        return self._taken()

    def close(self) -> Taken:
        """All of it."""
        self._put(self._folding.close())
        return self._taken()

    def _put(self, events: list[JournalEvent]) -> None:
        room = max(0, _MOST - len(self._waiting))
        self._waiting += events[:room]
        self._lost += len(events[room:])

    def _taken(self) -> Taken:
        taken = Taken(events=self._waiting, changes=self._changes, lost=self._lost)
        self._waiting, self._changes, self._lost = [], [], 0
        return taken

    def _rewritten(
        self, who: Attribution, model: str | None, reasons: Sequence[str], record: Settlement
    ) -> None:
        day = record.ended_at.toordinal()
        if self._is_known((who.key_scope, who.task_type, model, *reasons), day):
            return
        acted = ",".join(reason[1:].partition(":")[0] for reason in reasons if reason[0] == "+")
        workload = _workload(who, record)
        if not acted or self._is_known((who.key_scope, workload, model, acted), day):
            return
        facts: dict[str, Fact] = {
            "levers": acted,
            "workload": workload,
            "model": model,
            "first": record.exchange_id,
        }
        subject = f"class:{workload} {model}"
        self.add(
            journal_event(
                "request.rewritten",
                record.ended_at,
                actor=_ENGINE,
                subject=f"{subject} {who.key_scope} {acted}",
                facts=facts,
            )
        )

    def _is_known(self, request_class: tuple[object, ...], day: int) -> bool:
        if self._classes.get(request_class) == day:
            return True
        self._classes[request_class] = day
        if len(self._classes) > _MOST:
            self._classes.popitem(last=False)
        return False


def circuit_event(change: Change) -> JournalEvent:
    """A circuit that opened, opened again, or closed."""
    key = change.key
    facts: dict[str, Fact] = {
        "why": change.why,
        "last": change.what or None,
        "until": None if change.until is None else f"{change.until:%Y-%m-%dT%H:%M:%SZ}",
        "refused": change.refused,
    }
    kind: JournalKind = "breaker.opened" if change.state == "open" else "breaker.closed"
    subject = f"{key.kind}:{key.name}"
    return journal_event(kind, change.at, actor=_ENGINE, subject=subject, facts=facts)


def switch_event(switch: Switch, at: datetime) -> JournalEvent:
    """A lever that was shown to lose, or to gain."""
    facts: dict[str, Fact] = {
        "from": switch.before,
        "to": switch.after,
        "exchanges": switch.exchanges,
        "saved_pico": switch.saved_pico,
    }
    subject = f"{switch.lever} in {switch.workload}"
    return journal_event("governor.switched", at, actor=_ENGINE, subject=subject, facts=facts)


def _refused(who: Attribution, model: str | None, record: Settlement) -> JournalEvent:
    is_loop = _LOOP_STOPPED in record.notes
    family = _LOOP if is_loop else _BUDGET
    why = ",".join(code for code in record.notes if code.startswith(family)) or None
    return journal_event(
        "loop.stopped" if is_loop else "call.refused",
        record.ended_at,
        actor=_ENGINE,
        subject=f"task:{who.root_task_id}",
        facts=_facts(why, who, model, record),
    )


def _degraded(who: Attribution, model: str | None, record: Settlement) -> JournalEvent:
    how = ",".join(code for code in record.notes if code in _DEGRADED)
    return journal_event(
        "request.degraded",
        record.ended_at,
        actor=_ENGINE,
        subject=f"class:{_workload(who, record)} {model} {who.key_scope} {how}",
        facts=_facts(how, who, model, record),
    )


def _facts(
    why: str | None, who: Attribution, model: str | None, record: Settlement
) -> dict[str, Fact]:
    return {"why": why, "key": who.key_scope, "model": model, "exchange": record.exchange_id}


def _workload(who: Attribution, record: Settlement) -> str:
    found = None if record.accounting is None else record.accounting.workload
    return who.task_type or found or "untyped"
