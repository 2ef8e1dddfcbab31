"""The guard sees loops, leaves work alone, and says the same of the same history."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farthing.core.loop_guard import LoopGuard
from farthing.core.loop_ladder import LoopLadder
from farthing.core.loop_values import LoopDecision, LoopPolicy
from farthing.wire.request import Request
from tests.unit.core.loop_histories import History, long_text, verdicts

PAGE = long_text("page")


def actions(history: History, policy: LoopPolicy | None = None) -> list[str]:
    return [each.action for each in verdicts(history, LoopGuard(policy))]


def found(history: History, policy: LoopPolicy | None = None) -> LoopDecision:
    return verdicts(history, LoopGuard(policy))[-1]


def repeated(times: int, *calls: tuple[str, dict[str, Any], str]) -> History:
    history = History()
    for _ in range(times):
        for call in calls:
            history.calls(call)
    return history


def test_the_same_call_is_told_at_the_third_copy_escalated_at_the_fourth_stopped_at_the_sixth():
    history = repeated(7, ("read", {"path": "a"}, PAGE))

    assert actions(history) == [
        "pass", "pass", "pass", "note", "escalate", "escalate", "stop", "stop",
    ]  # fmt: skip


def test_a_finding_says_what_repeats_since_when_and_what_it_added():
    history = History().call("look", long_text("other"))
    for _ in range(3):
        history.call("read", PAGE, path="a").call("grep", long_text("hit"), pattern="b")

    finding = found(history).finding

    assert finding is not None
    assert (finding.kind, finding.repeats, len(finding.cycle)) == ("exact_cycle", 3, 2)
    assert finding.since == 3
    assert finding.wasted_turns == 4
    assert finding.tools == ("read", "grep")
    assert [call.address for call in finding.evidence] == [
        "messages.11.content.0", "messages.13.content.0",
    ]  # fmt: skip
    assert 0 < finding.wasted_tokens < 2000
    assert "page" not in repr(finding)


@pytest.mark.parametrize("length", range(1, 9))
def test_a_cycle_is_found_with_its_third_copy(length):
    calls = [("read", {"path": str(step)}, long_text(f"f{step}x")) for step in range(length)]
    patient = LoopPolicy(no_progress_turns=1000)

    told = [each.finding for each in verdicts(repeated(3, *calls), LoopGuard(patient))]

    assert [finding is not None for finding in told] == [False] * 3 * length + [True]
    assert told[-1] is not None
    assert len(told[-1].cycle) == length


def test_a_cycle_longer_than_the_limit_is_no_progress():
    calls = [("read", {"path": str(step)}, long_text(f"f{step}x")) for step in range(9)]

    finding = found(repeated(2, *calls)).finding

    assert finding is not None
    assert (finding.kind, finding.repeats, finding.wasted_turns) == ("no_progress", 9, 9)


@pytest.mark.parametrize("stop", [100, 150, 200])
@pytest.mark.parametrize("length", [1, 2, 3, 5, 8, 9])
def test_an_endless_cycle_is_stopped_within_the_bound(length, stop):
    calls = [("read", {"path": str(step)}, long_text(f"f{step}x")) for step in range(length)]
    ladder = LoopLadder(stop=stop)

    told = verdicts(repeated(40, *calls), LoopGuard(ladder=ladder))

    stopped = next(at for at, each in enumerate(told) if each.action == "stop")
    assert stopped == ladder.most_turns(length, LoopPolicy())


@pytest.mark.parametrize("turns", [50, 100, 300])
def test_identical_turns_are_stopped_after_six_however_many_would_follow(turns):
    told = actions(repeated(turns, ("read", {"path": "a"}, PAGE)))

    assert told.index("stop") == 6
    assert set(told[6:]) == {"stop"}


def test_what_changes_by_itself_does_not_hide_a_loop():
    history = History()
    for second in range(3):
        history.call("status", f"2026-11-21T10:00:0{second}Z took {second}.5s {PAGE}", id=1)

    assert found(history).action == "note"


def test_the_same_answer_to_ever_other_questions_is_no_progress():
    history = History()
    for number in range(6):
        history.call("search", PAGE, query=f"question {number}")

    finding = found(history).finding

    assert finding is not None
    assert (finding.kind, finding.repeats) == ("no_progress", 5)


def test_almost_the_same_answer_is_no_progress_either():
    words = [f"word{number}x" for number in range(300)]
    history = History()
    for number in range(6):
        words[20 + number] = f"new{number}"
        history.call("search", " ".join(words), query=number)

    assert found(history).action == "note"


def test_saying_the_same_again_is_a_monologue():
    history = History()
    for _ in range(4):
        history.says("Let me think about " + PAGE)

    finding = found(history).finding

    assert finding is not None
    assert finding.kind == "monologue"
    assert finding.tools == ()


def test_a_new_word_from_somebody_ends_every_row():
    history = repeated(2, ("read", {"path": "a"}, PAGE))
    history.calls(("read", {"path": "a"}, PAGE), text="try another file")
    history.call("read", PAGE, path="a").call("read", PAGE, path="a")

    assert set(actions(history)) == {"pass"}
    assert found(history.call("read", PAGE, path="a")).action == "note"


def test_what_a_client_adds_by_itself_is_no_word_from_somebody():
    history = History()
    for number in range(3):
        history.calls(("read", {"path": "a"}, PAGE), text=f"<system-reminder>{number}")

    assert found(history).action == "note"


def test_the_same_fault_is_told_at_the_third_time_and_a_passing_one_at_the_fifth():
    lasting, passing = History(), History()
    for _ in range(4):
        lasting.call("get", "Error: no such host", fails=True, url="u")
        passing.call("get", "Error: 503 Service Unavailable", fails=True, url="u")

    finding = found(lasting).finding
    assert finding is not None
    assert (finding.kind, finding.repeats) == ("errors", 4)
    assert found(passing).finding is None
    assert found(passing.call("get", "Error: 503 Service Unavailable", fails=True, url="u")).finding


def test_the_same_fault_of_ever_other_calls_is_errors_too():
    history = History()
    for number in range(6):
        history.call("edit", "Error: string not found", fails=True, old=str(number))

    finding = found(history).finding
    assert finding is not None
    assert finding.kind == "errors"


def test_parallel_calls_are_one_turn():
    pair = [("read", {"path": "a"}, PAGE), ("read", {"path": "b"}, long_text("b"))]
    history = History()
    for _ in range(3):
        history.calls(*pair)

    finding = found(history).finding
    assert finding is not None
    assert len(finding.cycle) == 1
    assert len(finding.evidence) == 2


# -- what is no loop -----------------------------------------------------------------------------


def test_edit_and_test_are_work_even_if_the_test_fails_alike_each_time():
    history = History()
    for number in range(8):
        history.call("Edit", "The file was updated.", old=f"v{number}", new=f"v{number + 1}")
        history.call("Bash", f"{PAGE} 1 failed", command="pytest -q")

    assert set(actions(history)) == {"pass"}


def test_pages_of_a_list_are_progress():
    history = History()
    for page in range(12):
        history.call("list", long_text(f"row{page}_"), page=page)

    assert set(actions(history)) == {"pass"}


def test_short_answers_to_new_questions_are_progress():
    history = History()
    for number in range(12):
        history.call("grep", "no matches", pattern=f"p{number}")

    assert set(actions(history)) == {"pass"}


def test_waiting_is_polling_until_its_budget_is_spent():
    policy = LoopPolicy(max_polls=10)
    history = History()
    for _ in range(10):
        history.call("Bash", "", command="sleep 30").call("Bash", PAGE, command="ci status")
    assert set(actions(history, policy)) == {"pass"}

    history.call("Bash", "", command="sleep 30")

    finding = found(history, policy).finding
    assert finding is not None
    assert (finding.kind, finding.repeats, finding.percent) == ("polling", 10, 100)


def test_a_declared_tool_polls_without_a_wait_and_its_tokens_are_counted():
    def polls(times: int) -> History:
        return repeated(times, ("get_build", {"id": 1}, PAGE))

    assert found(polls(20)).action == "stop"
    declared = LoopPolicy(poll_tools=frozenset({"get_build"}))
    assert set(actions(polls(20), declared)) == {"pass"}
    dear = LoopPolicy(poll_tools=frozenset({"get_build"}), max_poll_tokens=1000)
    finding = found(polls(20), dear).finding
    assert finding is not None
    assert finding.kind == "polling"


# -- notes ---------------------------------------------------------------------------------------


def test_a_note_is_due_once_and_stays_where_it_was():
    history = repeated(8, ("read", {"path": "a"}, PAGE))
    history.call("read", long_text("new"), path="b")

    told = [each.notes for each in verdicts(history)]

    assert [len(notes) for notes in told] == [0, 0, 0, 1, 1, 1, 1, 1, 1, 1]
    assert len(set(told[3:])) == 1
    assert (told[3][0].message, told[3][0].blocks) == (6, 1)
    assert "read" in told[3][0].text


def test_another_loop_gets_another_note():
    history = repeated(3, ("read", {"path": "a"}, PAGE))
    history.call("look", long_text("new"))
    for _ in range(3):
        history.call("read", long_text("b"), path="b")

    assert [note.message for note in found(history).notes] == [6, 14]


def test_a_turn_that_no_user_message_ends_has_no_place_for_a_note():
    history = repeated(3, ("read", {"path": "a"}, PAGE))
    history.messages[-1]["role"] = "system"

    decision = found(history)

    assert decision.action == "note"
    assert decision.notes == ()


# -- the same history, the same verdict ----------------------------------------------------------

STEPS = st.lists(
    st.sampled_from(["a", "b", "wait", "edit", "fail", "say", "word"]), min_size=1, max_size=24
)


def written(steps: list[str]) -> History:
    history = History()
    for number, step in enumerate(steps):
        if step == "wait":
            history.call("Bash", "", command="sleep 1")
        elif step == "edit":
            history.call("Edit", "done", n=number)
        elif step == "fail":
            history.call("get", "Error: gone", fails=True)
        elif step == "say":
            history.says("so")
        elif step == "word":
            history.calls(("read", {"path": "a"}, PAGE), text=f"hint {number}")
        else:
            history.call("read", long_text(step), path=step)
    return history


@given(STEPS)
@settings(deadline=None)
def test_going_on_says_what_starting_anew_says(steps):
    messages = written(steps).request().messages
    going = LoopGuard()

    for end in range(len(messages) + 1):
        assert going.check(messages[:end]) == LoopGuard().check(messages[:end])


@given(STEPS, STEPS, st.integers(0, 24))
@settings(deadline=None)
def test_another_branch_of_a_history_leaves_no_trace(steps, others, kept):
    one, other = written(steps), written([*steps[:kept], *others])
    guard = LoopGuard()

    for history in (one, other, one):
        request = history.request()
        assert guard.check(request.messages) == LoopGuard().check(request.messages)


def test_messages_that_parse_shares_are_not_read_again():
    history = repeated(5, ("read", {"path": "a"}, PAGE))
    guard, request = LoopGuard(), history.request()
    guard.check(request.messages)
    before = [id(turn) for turn in guard._turns]

    request = history.call("read", PAGE, path="a").request(after=request)

    assert guard.check(request.messages).action == "stop"
    assert [id(turn) for turn in guard._turns][:5] == before


def test_a_moved_mark_changes_no_verdict():
    history = repeated(6, ("read", {"path": "a"}, PAGE))
    guard, previous, told = LoopGuard(), None, []
    for end in range(3, len(history.messages) + 1, 2):
        messages = json.loads(json.dumps(history.messages[:end]))
        messages[-1]["content"][-1]["cache_control"] = {"type": "ephemeral"}
        body = json.dumps({"model": "m", "messages": messages}).encode()
        previous = Request.parse(body, after=previous)
        told.append(guard.check(previous.messages).action)

    assert told == ["pass", "pass", "note", "escalate", "escalate", "stop"]


def test_notes_make_a_prefix_that_only_grows():
    history = repeated(9, ("read", {"path": "a"}, PAGE))

    told = [each.notes for each in verdicts(history)]

    assert all(after[: len(before)] == before for before, after in pairwise(told))


def test_a_history_without_an_answer_passes():
    assert LoopGuard().check(History().request().messages).action == "pass"
    assert LoopGuard().check(()).action == "pass"
    asked = repeated(3, ("read", {"path": "a"}, PAGE)).says("so", reply=None)
    assert LoopGuard().check(asked.request().messages).finding is None


@pytest.mark.parametrize(
    "limits",
    [
        {"repeats": 1},
        {"max_cycle_len": 0},
        {"no_progress_turns": 1},
        {"transient_repeats": 1},
        {"max_polls": 0},
        {"max_poll_tokens": 0},
    ],
)
def test_limits_that_would_call_anything_a_loop_are_refused(limits):
    with pytest.raises(ValueError, match=next(iter(limits))):
        LoopPolicy(**limits)
