"""Loops inside an exchange: told, noted to the model, refused; the same behind every door.

Theory of operation. What the client sends holds its whole history, so the guard looks at that,
before anything of ours is in it. Of what it finds (and of the limits that the call's task tree
passes) the strongest step of the ladder is taken: a header on the answer and a code on the row, an
alert for the first of its kind, and at the last step a refusal instead of a call. Notes to the
model stand where the lineage's pin says; they are put back on every request of the conversation,
before the levers see it, so that levers plan on what will be sent. Where levers may not edit (the
policy only observes, a subscription pays, no engine) no note is written; the rest of the ladder
holds.

Rules of this file: a fault of ours costs the guard's part in this call, and a note says so; bytes
are added by ``wire.apply`` alone; nothing of a prompt goes into a code, a header or an alert.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from farthing.core.alert_rules import LoopFact
from farthing.core.engine import Engine
from farthing.core.exchange_call import Moment
from farthing.core.exchange_effects import Effect, Note, Recall, ask
from farthing.core.exchange_guard import guarded
from farthing.core.exchange_levers import Levers, caller_of
from farthing.core.exchange_looking import Looking
from farthing.core.exchange_plan import Plan
from farthing.core.exchange_prepare import Setup, bounded
from farthing.core.exchange_settle import Progress, Verdict
from farthing.core.loop_evidence import dump_sighting
from farthing.core.loop_ladder import note_edits, refusal
from farthing.core.loop_terms import LoopTerms
from farthing.core.loop_values import Action, LoopDecision, LoopFinding, LoopKind, LoopNote
from farthing.core.loop_watch import LoopWatch
from farthing.errors import LedgerError, LoopDetectedError
from farthing.pricing.money import show_usd
from farthing.wire.apply import apply
from farthing.wire.request import Request

__all__ = ["booked", "check", "is_due"]

_CODE: Final = "loops"
_NOTHING_SEEN: Final = LoopDecision(action="pass", finding=None)
_STRENGTH: Final[tuple[Action, ...]] = ("pass", "alert", "note", "escalate", "stop")
#: kinds of a task tree, and what a refusal says of each; the others are of a history
_OF_TREES: Final[dict[LoopKind, str]] = {
    "recursion_depth": "tasks are nested {0} deep",
    "fan_out": "the tree has {0} tasks below its root",
    "fan_out_rate": "{0} tasks began within a minute",
    "turns": "the task has made {0} calls",
    "cost_velocity": "the tree has overspent {0} % of what loops.patience grants",
    "cost_cap": "the tree has spent {0} % of what it may within a minute",
}

_Steps = Generator[Effect[Any], Any, None]


class _Seen(NamedTuple):
    """What is to be said of this call."""

    finding: LoopFinding
    step: Action
    wasted_pico: int | None

    @property
    def is_of_tree(self) -> bool:
        return self.finding.kind in _OF_TREES


def is_due(looking: Looking, levers: Levers | None) -> bool:
    """Can ``check`` come to anything? Not in a short history that brings no notes along."""
    return looking.is_long or bool(looking.grown) or levers is not None


def check(
    progress: Progress, setup: Setup
) -> Generator[Effect[Any], Any, LoopDetectedError | None]:
    """Look, say, put notes back; the error with which the call is refused."""
    prepared, watch = progress.prepared, setup.loops
    looking = prepared.loops
    assert looking is not None
    assert watch is not None
    notes = prepared.notes
    seen = guarded(lambda: _seen(looking, watch), None, code=_CODE, notes=notes)
    if seen is not None:
        yield from _say(seen, looking, progress, watch)
        if seen.step == "stop":
            if prepared.worst is not None:
                # Nothing will be sent, whatever becomes of this process.
                prepared.worst = msgspec.structs.replace(prepared.worst, high_pico=0)
            return _error(seen)
    if any(finding.kind in _OF_TREES for finding in looking.grown):
        watch.trees.count(prepared.attribution, progress.call.received.ns)
    if looking.may_carry and (looking.decision is not None or not looking.is_long):
        yield from _put_back(looking, progress, setup, watch)
    return None


def booked(progress: Progress, verdict: Verdict, now: Moment, watch: LoopWatch) -> None:
    """What a call cost, for what its turns may turn out to be."""
    cost, prepared = verdict.cost, progress.prepared
    pico = 0 if cost is None else cost.total
    if not pico or progress.call.ping_for is not None:
        return
    who = prepared.attribution
    if watch.speeds.is_on:
        workload = who.task_type or who.source
        watch.speeds.spent((who.key_scope, who.root_task_id), workload, now.ns, pico)
    if prepared.loops is not None:
        watch.spent(prepared.loops.lineage_id, pico)


# -- seeing ---------------------------------------------------------------------------------------


def _seen(looking: Looking, watch: LoopWatch) -> _Seen | None:
    """The strongest that is due, of the history and of the tree."""
    found = list(looking.grown)
    wasted = None
    if looking.is_long:
        lineage_id = looking.lineage_id
        request = looking.request = watch.continued(lineage_id, looking.request)
        decision = watch.verdict(lineage_id, request.messages, len(request.body))
        looking.decision = decision
        if decision.finding is not None:
            found.append(decision.finding)
            wasted = watch.wasted(lineage_id, decision.finding)
    best: _Seen | None = None
    for finding in found:
        spent = None if finding.kind in _OF_TREES else wasted
        step = _step(finding, spent, watch)
        if step != "pass" and (best is None or _STRENGTH.index(step) > _STRENGTH.index(best.step)):
            best = _Seen(finding, step, spent)
    return best


def _step(finding: LoopFinding, wasted_pico: int | None, watch: LoopWatch) -> Action:
    """What the ladder says; what may not be stopped is told."""
    rules, kind = watch.rules, finding.kind
    step = rules.ladder.action(finding)
    most = rules.max_wasted_pico
    is_dear = most is not None and wasted_pico is not None and wasted_pico > most
    if kind == "cost_cap" or is_dear:
        step = "stop"
    if step == "stop" and kind not in rules.stops:
        step = rules.mild_ladder.action(finding)
    if kind in _OF_TREES and step in {"note", "escalate"}:
        step = "alert"  # there is no turn to note it behind, and no model that would help
    return step


def _say(seen: _Seen, looking: Looking, progress: Progress, watch: LoopWatch) -> _Steps:
    finding, prepared = seen.finding, progress.prepared
    progress.loop = f"{finding.kind} repeats={finding.repeats} step={seen.step}".encode()
    if seen.step == "stop":
        progress.note("loop.refused")
    progress.note(dump_sighting(finding, seen.step, seen.wasted_pico))
    who, is_stopped = prepared.attribution, seen.step == "stop"
    subject = who.root_task_id if seen.is_of_tree else looking.lineage_id
    if watch.is_news(subject, finding.kind, "stop" if is_stopped else "alert"):
        tools = f" ({', '.join(finding.tools)})" if finding.tools else ""
        fact = LoopFact(
            scope=f"task:{who.root_task_id}",
            at=progress.call.received.at,
            what=f"{finding.kind}{tools}",
            repeats=finding.repeats,
            is_stopped=is_stopped,
        )
        watch.tell(fact)
        yield from ask(Note(f"loop.found.{finding.kind}", prepared.exchange_id))


def _error(seen: _Seen) -> LoopDetectedError:
    if not seen.is_of_tree:
        error = refusal(LoopDecision(action="stop", finding=seen.finding))
        wasted = seen.wasted_pico
        if wasted is None:
            return error
        return LoopDetectedError(
            f"{error} The repeats cost {show_usd(wasted, 4)}.", match=seen.finding
        )
    what = _OF_TREES[seen.finding.kind].format(seen.finding.repeats)
    return LoopDetectedError(
        f"stopped: {what}, more than the limit of loops. What runs may go on; begin less, or raise "
        "the limit",
        match=seen.finding,
    )


# -- notes ----------------------------------------------------------------------------------------


def _put_back(looking: Looking, progress: Progress, setup: Setup, watch: LoopWatch) -> _Steps:
    """All notes of this conversation, in their places."""
    engine, levers = setup.engine, progress.prepared.levers
    if engine is None or levers is None or not _may_edit(levers):
        return
    terms = yield from _terms(engine, levers, looking, progress, watch)
    if terms is None:
        return
    no_notes: tuple[LoopNote, ...] = ()
    found = guarded(
        partial(_noted, looking, progress, setup, terms),
        no_notes,
        code=_CODE,
        notes=progress.prepared.notes,
    )
    if found:
        progress.note(f"loop.notes:{len(found)}")
        if found[-1].message == len(looking.request.message_spans) - 1:
            progress.note("loop.noted")


def _may_edit(levers: Levers) -> bool:
    state = levers.state
    return levers.is_alive and state.in_force.is_applied and not state.caller.is_bypassed


def _terms(
    engine: Engine, levers: Levers, looking: Looking, progress: Progress, watch: LoopWatch
) -> Generator[Effect[Any], Any, LoopTerms | None]:
    """What the conversation was promised; None: it gets no notes."""
    pin = engine.known_pin(levers.state)
    if pin is None:
        try:
            pin = yield from ask(Recall(levers.state.lineage_id))
        except LedgerError:
            progress.note("pins.unreadable")
            return None
    if pin is None:
        return watch.terms.begun_with(len(looking.request.message_spans))
    return pin.loops


def _noted(
    looking: Looking, progress: Progress, setup: Setup, terms: LoopTerms
) -> tuple[LoopNote, ...]:
    """Put them in, and let the levers begin anew with what that makes."""
    prepared, call, request = progress.prepared, progress.call, looking.request
    engine, levers, watch = setup.engine, prepared.levers, setup.loops
    assert engine is not None
    assert levers is not None
    assert watch is not None
    found = watch.notes(
        looking.lineage_id, request.messages, terms, looking.decision or _NOTHING_SEEN
    )
    if not found:
        return ()
    body = apply(request, note_edits(found))
    reading = levers.state.reading
    before = reading.after.noted if reading.after is not None else None
    noted = Request.parse(body, after=before or request)
    made = list[str]()
    worst = bounded(call, noted, setup, made)
    again = Levers.begin(
        engine,
        replace(reading, request=noted, came=request),
        caller_of(call, prepared.attribution),
        prepared.notes,
    )
    prepared.notes[:] = dict.fromkeys((*prepared.notes, *made))
    prepared.plan, prepared.levers, prepared.worst = Plan(body=body), again, worst
    return found
