"""What was decided about calls is collected beside them: bounded, and nothing is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.breaker_values import BreakerKey, Change
from farthing.core.governor import Switch
from farthing.core.journal_chain import KINDS, JournalEvent, journal_event
from farthing.core.journal_decided import Decided, switch_event
from farthing.core.records import Accounting, Attribution, Settlement

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MODEL = "claude-opus-5-5"
ACTED = ("+cache.marks", "-cache.ttl:no_gain", "+repair.tool_order:done")


def who(**changes: Any) -> Attribution:
    given: dict[str, Any] = {
        "task_id": "t1",
        "root_task_id": "r1",
        "key_scope": "k1",
        "source": "header",
        "task_type": "triage",
    }
    return Attribution(**given | changes)


def ended(seconds: float = 0, **changes: Any) -> Settlement:
    given: dict[str, Any] = {
        "exchange_id": "ex_1",
        "state": "settled",
        "ended_at": NOON + timedelta(seconds=seconds),
    }
    return Settlement(**given | changes)


def refused(seconds: float = 0, notes: tuple[str, ...] = ("budget.refused",)) -> Settlement:
    return ended(seconds, state="released", http_status=402, notes=notes)


def kept() -> Decided:
    return Decided(is_kept=True)


def taken(decided: Decided, seconds: float = 0) -> list[JournalEvent]:
    return decided.take(NOON + timedelta(seconds=seconds)).events


def test_an_ordinary_call_has_nothing_to_tell():
    decided = kept()
    decided.ended(who(), MODEL, (), ended(notes=("answer.incomplete",)))
    decided.ended(who(), MODEL, ("-cache.ttl:no_gain", "~cache.marks"), ended())
    decided.ended(who(), MODEL, (), ended(state="released"))
    assert taken(decided) == []


def test_where_nobody_keeps_a_journal_nothing_is_collected():
    decided = Decided()
    decided.ended(who(), MODEL, ACTED, refused())
    decided.add(journal_event("call.refused", NOON, actor="a", subject="s"))
    decided.changed(change())
    assert decided.close().events == []
    assert decided.close().changes == []


def test_a_refusal_is_an_event_and_its_repetitions_are_one_more():
    decided = kept()
    for second in range(50):
        decided.ended(who(), MODEL, (), refused(second))
    (first,) = taken(decided, 50)
    assert (first.kind, first.subject) == ("call.refused", "task:r1")
    assert first.facts == {
        "why": "budget.refused",
        "key": "k1",
        "model": MODEL,
        "exchange": "ex_1",
    }
    (rest,) = taken(decided, 60)
    assert rest.facts["times"] == 49


def test_a_loop_that_is_stopped_has_its_own_kind():
    decided = kept()
    notes = ("credential.subscription", "loop.refused", "loop.seen:exact")
    decided.ended(who(), None, (), refused(notes=notes))
    (event,) = taken(decided)
    assert (event.kind, event.facts["why"]) == ("loop.stopped", "loop.refused,loop.seen:exact")


def test_a_refusal_for_no_reason_that_is_known_is_an_event_all_the_same():
    decided = kept()
    decided.ended(who(), MODEL, (), refused(notes=()))
    assert [(one.kind, one.facts["why"]) for one in taken(decided)] == [("call.refused", None)]


def test_a_class_of_requests_that_is_sent_smaller_is_an_event():
    decided = kept()
    for second in range(3):
        decided.ended(who(), MODEL, (), ended(second, notes=("budget.clamped", "answer.cut")))
    (event,) = taken(decided)
    assert (event.kind, event.facts["why"]) == ("request.degraded", "budget.clamped")
    assert "class:triage" in event.subject


def test_a_class_of_requests_that_levers_change_is_one_event_a_day():
    decided = kept()
    for second in range(100):
        decided.ended(who(), MODEL, ACTED, ended(second))
        decided.ended(who(), MODEL, (*ACTED, "-cache.fanout:no_gain"), ended(second))
    events = [*taken(decided, 100), *decided.close().events]
    assert [event.facts["levers"] for event in events] == ["cache.marks,repair.tool_order"]
    assert events[0].kind == "request.rewritten"
    decided.ended(who(), MODEL, ACTED, ended(86_400))
    assert len(taken(decided, 86_400)) == 1


@pytest.mark.parametrize(
    ("other", "workload"),
    [
        (who(key_scope="k2"), "triage"),
        (who(task_type="draft"), "draft"),
        (who(task_type=None), "main"),
    ],
)
def test_another_key_task_type_or_workload_is_another_class(other, workload):
    decided = kept()
    accounting = Accounting(baseline_pico=1, workload="main")
    decided.ended(who(), MODEL, ACTED, ended())
    decided.ended(other, MODEL, ACTED, ended(accounting=accounting))
    assert [event.facts["workload"] for event in taken(decided)] == ["triage", workload]


def test_without_a_workload_a_class_is_untyped():
    decided = kept()
    decided.ended(who(task_type=None), MODEL, ACTED, ended())
    assert [event.facts["workload"] for event in taken(decided)] == ["untyped"]


def test_a_flood_of_new_classes_is_few_entries_and_little_memory():
    decided, written = kept(), 0
    for number in range(10_000):
        decided.ended(who(task_type=f"type{number}"), MODEL, ACTED, ended(number / 200))
        written += len(taken(decided, number / 200))
    assert written <= 65
    assert len(decided._classes) <= 4_096
    rest = decided.close().events
    assert written + sum(int(str(event.facts["times"])) for event in rest) == 10_000


def test_what_finds_no_room_is_counted():
    decided = kept()
    for number in range(5_000):
        decided.add(
            journal_event("call.refused", NOON + timedelta(hours=number), actor="a", subject="s")
        )
    found = decided.close()
    assert (len(found.events), found.lost) == (4_096, 904)
    assert decided.close().lost == 0


def change(**changes: Any) -> Change:
    given: dict[str, Any] = {
        "key": BreakerKey("key", "k1"),
        "state": "open",
        "why": "error_storm",
        "at": NOON,
        "until": NOON + timedelta(seconds=30),
        "what": "invalid_request_error",
    }
    return Change(**given | changes)


def test_circuits_are_events_and_are_told_to_alerts():
    decided = kept()
    closed = change(state="closed", until=None, refused=9)
    for one in (change(), closed):
        decided.changed(one)
    found = decided.take(NOON)
    assert [event.kind for event in found.events] == ["breaker.opened", "breaker.closed"]
    assert found.events[0].facts["until"] == "2026-11-21T12:00:30Z"
    assert found.events[1].facts == {
        "why": "error_storm",
        "last": "invalid_request_error",
        "until": None,
        "refused": 9,
    }
    assert found.changes == [change(), closed]
    for _ in range(5_000):
        decided.changed(change())
    assert len(decided.take(NOON).changes) == 4_096


def test_a_switch_of_the_governor_says_what_it_rests_on():
    switch = Switch(
        lever="cache.ttl",
        workload="main",
        before="undecided",
        after="off",
        exchanges=120,
        saved_pico=-5,
    )
    event = switch_event(switch, NOON)
    assert (event.kind, event.subject) == ("governor.switched", "cache.ttl in main")
    assert (event.facts["to"], event.facts["exchanges"]) == ("off", 120)


def test_all_kinds_are_kinds_of_the_journal():
    decided = kept()
    decided.ended(who(), MODEL, ACTED, ended(notes=("budget.noted",)))
    decided.ended(who(), MODEL, ACTED, refused())
    decided.changed(change())
    assert {event.kind for event in taken(decided)} <= KINDS


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 30)), max_size=200))
def test_no_refusal_is_lost_whatever_the_names(steps):
    decided, second, written = kept(), 0, list[JournalEvent]()
    for name, pause in steps:
        second += pause
        written += taken(decided, second)
        decided.ended(who(root_task_id=f"t{name}"), MODEL, (), refused(second))
    written += decided.close().events
    assert sum(int(str(event.facts.get("times", 1))) for event in written) == len(steps)
