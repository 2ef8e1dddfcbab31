"""Steps of the ladder, notes as edits, and the refusal."""

from __future__ import annotations

import pytest

from farthing.core.loop_guard import LoopGuard
from farthing.core.loop_ladder import LoopLadder, note_edits, note_text, refusal
from farthing.core.loop_values import LoopDecision, LoopFinding, LoopKind, LoopPolicy
from farthing.wire.apply import apply
from farthing.wire.request import Request, common_prefix
from tests.unit.core.loop_histories import History, long_text


def finding(percent: int, *, kind: LoopKind = "exact_cycle", tokens: int = 0) -> LoopFinding:
    return LoopFinding(
        kind=kind,
        repeats=3,
        cycle=(),
        since=1,
        wasted_turns=2,
        wasted_tokens=tokens,
        percent=percent,
    )


@pytest.mark.parametrize(
    ("percent", "action"),
    [
        (99, "pass"),
        (100, "note"),
        (132, "note"),
        (133, "escalate"),
        (199, "escalate"),
        (200, "stop"),
    ],
)
def test_the_strongest_step_that_is_due(percent, action):
    assert LoopLadder().action(finding(percent)) == action


def test_a_step_that_is_none_is_not_taken():
    told = LoopLadder(note=None, escalate=None, stop=None)

    assert told.action(finding(900)) == "alert"
    assert (
        LoopLadder(alert=None, note=None, escalate=None, stop=None).action(finding(900)) == "pass"
    )
    assert LoopLadder().action(None) == "pass"
    assert told.most_turns(1, LoopPolicy()) is None


def test_wasted_tokens_stop_whatever_the_percentage():
    ladder = LoopLadder(max_wasted_tokens=500)

    assert ladder.action(finding(100, tokens=500)) == "note"
    assert ladder.action(finding(100, tokens=501)) == "stop"


def test_the_note_is_due_where_its_step_is_passed():
    ladder = LoopLadder(note=150)

    assert not ladder.is_note_due(0, 149)
    assert ladder.is_note_due(0, 150)
    assert not ladder.is_note_due(150, 200)


def test_a_note_names_the_kind_and_no_content():
    assert "3 times in a row" in note_text(finding(100))
    assert "limit" in note_text(finding(100, kind="turns"))


@pytest.mark.parametrize("as_string", [False, True])
def test_with_its_notes_put_back_each_request_begins_like_the_one_before(as_string):
    """What was cached stays cached: the bytes up to the end of the last turn do not change."""
    history, guard, before = History(), LoopGuard(), None
    for number in range(8):
        if as_string:
            history.says("again " + long_text("x"))
        else:
            history.call("read", long_text("x") if number < 5 else long_text("y"), path="a")
        request = history.request()
        decision = guard.check(request.messages)
        sent = apply(request, note_edits(decision.notes))
        if before is not None:
            assert common_prefix(before, sent) >= len(before) - len(b"]}")
        before = sent
    assert before is not None
    notes = before.count(b"<farthing-note>")
    assert notes == (1 if as_string else 2)


def test_a_note_stands_behind_the_last_block_of_its_message():
    history = History()
    for _ in range(3):
        history.call("read", long_text("x"), path="a")
    history.messages[-1]["content"][-1]["cache_control"] = {"type": "ephemeral"}
    request = history.request()

    decision = LoopGuard().check(request.messages)
    noted = Request.parse(apply(request, note_edits(decision.notes)))

    last = noted.messages[-1].blocks
    assert [block.kind for block in last] == ["tool_result", "text"]
    assert [block.cache_control is not None for block in last] == [True, False]
    assert LoopGuard().check(request.messages) == decision


def test_a_refusal_says_what_repeats_and_carries_the_finding():
    history = History()
    for _ in range(6):
        history.call("read", long_text("x"), path="secret")
    decision = LoopGuard().check(history.request().messages)

    error = refusal(decision)

    assert error.match is decision.finding
    assert error.status_hint == 402
    assert "6 times" in str(error)
    assert "read" in str(error)
    assert "secret" not in str(error)


def test_a_refusal_of_a_limit_names_it_and_one_of_nothing_is_general():
    limit = LoopDecision(action="stop", finding=finding(200, kind="fan_out"))

    assert "fan_out" in str(refusal(limit))
    assert refusal(LoopDecision(action="pass", finding=None)).match is None
