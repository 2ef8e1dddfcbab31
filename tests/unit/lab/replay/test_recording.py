from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from farthing.lab.replay import read_turns
from farthing.traces.format import Message
from tests.unit.lab.replay.recorded import conversation, raw, usage


def test_each_billed_call_is_a_turn_with_its_recorded_size():
    turns = read_turns([conversation((0, usage(0, 9000)), (60, usage(9000, 700)))])

    assert [turn.prompt_tokens for turn in turns] == [9000, 9700]
    assert turns[1].began_at - turns[0].began_at == timedelta(seconds=60)


def test_calls_billed_elsewhere_are_no_turns():
    talk = conversation((0, usage(0, 9000)), (60, usage(9000, 700)))
    talk.calls[1] = type(talk.calls[1])(prompt_messages=3, replayed=True)

    assert len(read_turns([talk])) == 1


def test_turns_of_several_conversations_come_in_the_order_of_time():
    late = conversation((100, usage(0, 9000)), name="late")
    early = conversation((50, usage(0, 9000)), (150, usage(9000, 500)), name="early")

    ids = [turn.id for turn in read_turns([late, early])]

    assert ids == ["early#0/0", "late#0/0", "early#0/1"]


def test_the_same_prefix_has_the_same_digests_and_positions_in_every_conversation():
    one = conversation((0, usage(0, 9000)), name="one")
    other = conversation((0, usage(0, 9900)), name="other")

    first, second = read_turns([one, other])

    assert first.digests[0] == second.digests[0]
    assert first.positions[0] == second.positions[0]
    assert first.digests[1] != second.digests[1]


def test_another_scope_shares_nothing():
    one, other = read_turns(
        [conversation((0, usage(0, 9000)), user_key=key) for key in ("ann", "bob")]
    )

    assert one.digests[0] != other.digests[0]


def test_every_block_has_at_least_one_token():
    (turn,) = read_turns([conversation((0, usage(0, 1)))])

    assert list(turn.positions) == [1, 2]


# A break: inside five minutes, with nothing visible changed, less was read than was cached.


@pytest.mark.parametrize(("at", "is_break"), [(299, True), (300, False)])
def test_a_short_read_is_a_break_only_inside_the_lifetime(at, is_break):
    turns = read_turns([conversation((0, usage(0, 9000)), (at, usage(0, 9700)))])

    assert turns[1].is_break is is_break


@pytest.mark.parametrize(("read", "is_break"), [(8549, True), (8550, False)])
def test_a_read_of_95_of_100_tokens_is_no_break(read, is_break):
    turns = read_turns([conversation((0, usage(0, 9000)), (60, usage(read, 9700 - read)))])

    assert turns[1].is_break is is_break


def test_an_injected_break_changes_what_lies_behind_the_read():
    talk = conversation((0, usage(0, 9000)), (60, usage(0, 9700)), (90, usage(9700, 300)))

    first, second, third = read_turns([talk])

    assert first.digests[0] != second.digests[0] == third.digests[0]
    assert first.positions[0] == second.positions[0]
    assert (second.is_break, third.is_break) == (True, False)


def test_a_removed_break_changes_nothing():
    talk = conversation((0, usage(0, 9000)), (60, usage(0, 9700)))

    first, second = read_turns([talk], breaks="remove")

    assert first.digests[0] == second.digests[0]
    assert not second.is_break


@pytest.mark.parametrize("breaks", ["inject", "remove"])
def test_a_prompt_that_shrinks_was_rewritten_whatever_is_done_with_breaks(breaks):
    talk = conversation((0, usage(0, 90_000)), (60, usage(0, 40_000)))

    first, second = read_turns([talk], breaks=breaks)

    assert first.digests[0] != second.digests[0]
    assert second.prompt_tokens == 40_000


def test_reads_without_writes_show_no_marks_of_the_client():
    implicit = conversation((0, usage(0, 0, uncached=900)), (9, usage(800, 0)), ttl=None)

    assert [turn.recorded_marks for turn in read_turns([implicit])] == [(), ()]


def test_markers_of_the_trace_are_the_recorded_marks():
    talk = conversation(
        (0, usage(0, 9000)), markers=["system.-1", "messages.-1.content.-1"], ttl="1h"
    )

    (turn,) = read_turns([talk])

    assert [(mark.index, mark.ttl) for mark in turn.recorded_marks] == [(0, "1h"), (1, "1h")]


def test_a_hidden_prefix_becomes_two_blocks_shared_by_user_and_by_session():
    one, same, other = (
        conversation((0, usage(0, 40_000)), name=name, prefix_pad_tokens=39_000, session_id=session)
        for name, session in (("a", "s1"), ("b", "s1"), ("c", "s2"))
    )

    first, second, third = read_turns([one, same, other])

    assert first.digests[:2] == second.digests[:2]
    assert first.digests[0] == third.digests[0]
    assert first.digests[1] != third.digests[1]


def test_an_output_count_far_below_the_visible_text_is_estimated():
    short = conversation((0, usage(0, 9000, output=1)))
    short.messages[1] = Message(role="assistant", content=raw("many visible words " * 100))

    (turn,) = read_turns([short])

    assert turn.is_output_estimated
    assert turn.output_tokens > 400


def test_calls_without_times_are_kept_apart_and_have_no_day():
    talk = conversation((0, usage(0, 9000)), (1, usage(0, 9500)), started_at=None)
    talk.calls[:] = [type(call)(prompt_messages=call.prompt_messages) for call in talk.calls]

    first, second = read_turns([talk])

    assert second.began_at > first.began_at
    assert first.day is None


def test_a_model_that_drops_earlier_thinking_has_it_out_of_the_prompt():
    talk = conversation((0, usage(0, 9000)), (60, usage(0, 9900)), model="claude-sonnet-4-5")
    thought = [{"type": "thinking", "thinking": "hm", "signature": "x"}]
    talk.messages[1] = Message(role="assistant", content=raw([*thought, text("answer")]))

    dropped = read_turns([talk])[1]
    kept = read_turns([talk], model="claude-opus-5-5")[1]

    assert (len(dropped.kept), len(kept.kept)) == (4, 5)


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def test_a_turn_shows_no_text_in_its_repr():
    (turn,) = read_turns([conversation((0, usage(0, 9000)))])

    assert "question" not in repr(turn) + repr(turn.recording)
    assert replace(turn, index=3).id == "talk#0/3"
