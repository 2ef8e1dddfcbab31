"""Loops of the past: which calls were wasted, what they cost, which would have been refused."""

from __future__ import annotations

import json

from msgspec import Raw

from farthing.core.loop_ladder import LoopLadder
from farthing.core.loop_values import LoopPolicy
from farthing.pricing import catalog
from farthing.traces.audit.counted import PriceList
from farthing.traces.format import Call, Conversation, Message
from farthing.traces.loops import PastLoop, find_loops
from tests.unit.core.loop_histories import History, long_text

#: claude-opus-5-5: 4 USD a million tokens in, 20 out
USAGE = Raw(b'{"input_tokens":1000,"output_tokens":100}')
CALL_PICO = 6_000_000_000


def recorded(history: History, *, replayed: int = 0, usage: Raw = USAGE) -> Conversation:
    """The history as it was recorded: one call for each answer, the first ones billed elsewhere."""
    messages = [
        Message(role=message["role"], content=Raw(json.dumps(message["content"]).encode()))
        for message in history.messages
    ]
    answers = [at for at, message in enumerate(messages) if message.role == "assistant"]
    calls = [
        Call(prompt_messages=at, usage=usage, replayed=number < replayed)
        for number, at in enumerate(answers)
    ]
    return Conversation(
        id="c",
        source="test",
        model="claude-opus-5-5",
        started_at="2026-11-20T12:00:00Z",
        messages=messages,
        calls=calls,
    )


def loops(conversation: Conversation, **options: LoopPolicy | LoopLadder) -> list[PastLoop]:
    return find_loops(conversation, PriceList(catalog()), **options)  # type: ignore[arg-type]  # by name


def looping(times: int) -> History:
    history = History().call("look", long_text("first"))
    for _ in range(times):
        history.call("read", long_text("page"), path="a")
    return history


def test_calls_behind_the_first_copy_are_wasted_and_those_from_the_stop_on_refused():
    (loop,) = loops(recorded(looping(10)))

    assert (loop.finding.kind, loop.finding.repeats, loop.action) == ("exact_cycle", 10, "stop")
    assert (loop.calls, loop.wasted_calls, loop.wasted) == (11, 9, 9 * CALL_PICO)
    # copies 7 to 10: the request behind the sixth copy is the first to be refused
    assert (loop.avoidable_calls, loop.avoidable) == (4, 4 * CALL_PICO)
    assert loop.unpriced_calls == 0


def test_a_short_loop_wastes_and_nothing_would_have_been_refused():
    (loop,) = loops(recorded(looping(3)))

    assert (loop.action, loop.wasted_calls, loop.avoidable_calls) == ("note", 2, 0)


def test_work_is_no_loop():
    assert loops(recorded(looping(2))) == []


def test_two_loops_of_a_conversation_are_two():
    history = looping(4).call("look", long_text("new"))
    for _ in range(3):
        history.call("grep", long_text("hit"), pattern="a")

    assert [loop.wasted_calls for loop in loops(recorded(history))] == [3, 2]


def test_what_is_billed_elsewhere_costs_nothing_here():
    (loop,) = loops(recorded(looping(10), replayed=8))

    assert (loop.wasted_calls, loop.wasted) == (9, 3 * CALL_PICO)


def test_calls_without_usage_are_counted_and_have_no_cost():
    (loop,) = loops(recorded(looping(4), usage=Raw(b"")))

    assert (loop.wasted_calls, loop.unpriced_calls, loop.wasted) == (3, 3, 0)


def test_limits_are_the_callers():
    conversation = recorded(looping(3))

    assert loops(conversation, policy=LoopPolicy(repeats=4)) == []
    (loop,) = loops(conversation, ladder=LoopLadder(stop=100))
    assert loop.action == "stop"


def test_messages_that_cannot_be_read_have_no_loops():
    broken = Conversation(
        id="c", source="test", messages=[Message(role="user", content=Raw(b"[1]"))]
    )

    assert loops(broken) == []
