"""The watch: as a guard of its own says, in bounded memory, with what it cost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from farthing.core.alert_rules import LoopFact
from farthing.core.loop_guard import LoopGuard
from farthing.core.loop_ladder import LoopLadder
from farthing.core.loop_terms import LoopRules, LoopTerms
from farthing.core.loop_values import LoopPolicy
from farthing.core.loop_watch import LoopWatch
from farthing.wire.request import Request
from tests.unit.core.loop_histories import History, long_text


def looping(turns: int) -> History:
    made = History()
    for _ in range(turns):
        made.call("read", long_text("log"), path="a")
    return made


def test_it_says_what_a_guard_says_and_where_notes_stand():
    watch = LoopWatch()
    for turns in range(8):
        messages = looping(turns).request().messages
        decision = watch.verdict("L", messages, 1_000)
        assert decision == LoopGuard().check(messages)
        assert watch.notes("L", messages, watch.terms, decision) == decision.notes


def test_the_next_request_is_parsed_behind_what_the_last_one_had():
    watch, (first, second) = LoopWatch(), (looping(turns).request() for turns in (3, 4))
    fresh = Request.parse(second.body)

    assert watch.continued("L", first) is first
    assert len(first.messages) == 7
    found = watch.continued("L", fresh)
    assert found.body == fresh.body
    assert [a is b for a, b in zip(found.messages, first.messages, strict=False)] == [True] * 7
    assert watch.continued("L", found) is found
    assert watch.continued("M", fresh) is fresh


def test_a_conversation_keeps_the_terms_that_it_began_with():
    watch = LoopWatch(LoopRules(policy=LoopPolicy(repeats=5, no_progress_turns=9)))
    old = LoopRules().terms
    messages = looping(4).request().messages
    decision = watch.verdict("L", messages, 1_000)

    assert decision.action == "pass"
    expected = LoopGuard(LoopPolicy(), LoopLadder()).check(messages).notes
    assert watch.notes("L", messages, old, decision) == expected != ()
    assert watch.notes("L", messages, old, decision) == expected


def test_terms_without_notes_and_notes_in_front_of_them_are_left_out():
    watch = LoopWatch()
    messages = looping(4).request().messages
    decision = watch.verdict("L", messages, 1_000)

    assert watch.notes("L", messages, replace(watch.terms, note=None), decision) == ()
    assert watch.notes("L", messages, watch.terms.begun_with(9), decision) == ()
    assert watch.notes("L", messages, watch.terms.begun_with(7), decision) == decision.notes
    assert LoopTerms(policy=LoopPolicy(), note=1).begun_with(0).since == 0


def test_what_a_loop_wasted_is_what_its_latest_calls_cost():
    watch = LoopWatch()
    finding = watch.verdict("L", looping(4).request().messages, 1_000).finding
    assert finding is not None
    assert finding.wasted_turns == 3
    assert watch.wasted("L", finding) is None
    for pico in (1, 10, 100, 1_000):
        watch.spent("L", pico)
    assert watch.wasted("L", finding) == 1_110


def test_histories_are_forgotten_by_bytes_and_conversations_by_number():
    watch = LoopWatch(capacity=3, most_bytes=3_000)
    messages = looping(4).request().messages
    for name in ("a", "b", "c", "d"):
        watch.verdict(name, messages, 400)
        watch.notes(
            name,
            messages,
            LoopRules(policy=LoopPolicy(repeats=4)).terms,
            watch.verdict(name, messages, 400),
        )
        watch.spent(name, 1)
    assert len(watch) == 3
    assert watch.size_bytes == 2_400
    # one alone may be larger than all should be; it is read, and the others are not kept
    assert watch.verdict("e", messages, 10_000).action == "escalate"
    assert watch.size_bytes == 30_000
    assert watch.verdict("d", messages, 1).action == "escalate"
    assert watch.size_bytes == 3


def test_the_first_of_a_kind_is_news():
    watch = LoopWatch(capacity=2)
    assert watch.is_news("L", "errors", "alert")
    assert not watch.is_news("L", "errors", "alert")
    assert watch.is_news("L", "errors", "stop")
    assert watch.is_news("M", "errors", "alert")
    assert watch.is_news("L", "errors", "alert")  # forgotten by now


def test_alerts_hear_what_was_told_once_if_anybody_listens():
    watch = LoopWatch(capacity=1)
    fact = LoopFact(
        scope="task:t",
        at=datetime(2026, 11, 21, tzinfo=UTC),
        what="errors",
        repeats=3,
        is_stopped=False,
    )
    watch.tell(fact)
    assert watch.take() == []
    watch.is_heard = True
    watch.tell(fact)
    watch.tell(fact)
    assert watch.take() == [fact]
    assert watch.take() == []


def test_rules_know_the_shortest_history_that_can_hold_a_loop():
    assert LoopRules().least_messages == 6
    assert LoopRules(policy=LoopPolicy(no_progress_turns=2)).least_messages == 4
    assert LoopRules().mild_ladder.stop is None
