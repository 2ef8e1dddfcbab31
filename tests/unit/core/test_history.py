"""Pruned conversations stay valid, keep their task, and cost what fits; summaries are stable."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from anthropic.types import TextBlock, ToolUseBlock
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.history import prune_messages, summarize_history
from farthing.core.message_values import estimate_message_tokens
from tests.unit.core.talks import (
    assistant,
    call,
    request_of,
    result,
    talks,
    text,
    user,
    violations,
)

TASK = user("Fix the bug.")
limits = st.integers(-10, 400)


def one_each(_: Any) -> int:
    return 1


def prune(messages: list[dict[str, Any]], fit: int) -> list[dict[str, Any]]:
    """Pruned to so many messages."""
    return prune_messages(messages, fit, count_tokens=one_each)


@given(talks())
def test_the_conversations_here_are_valid(messages):
    assert violations(request_of(messages)) == ()


@given(talks(), limits)
def test_what_is_left_is_valid(messages, limit):
    assert violations(request_of(prune_messages(messages, limit))) == ()


@given(talks(), limits)
def test_the_task_comes_first_and_the_newest_message_last(messages, limit):
    pruned = prune_messages(messages, limit)

    assert pruned[0] == messages[0]
    assert pruned[-1] == messages[-1]


@given(talks(), limits)
def test_the_input_is_untouched(messages, limit):
    before = copy.deepcopy(messages)

    assert prune_messages(messages, limit) is not messages
    assert messages == before


@given(talks(), limits)
def test_pruning_again_changes_nothing(messages, limit):
    once = prune_messages(messages, limit)

    assert prune_messages(once, limit) == once


@given(talks(), limits)
def test_a_larger_limit_keeps_at_least_as_much(messages, limit):
    assert len(prune(messages, limit)) <= len(prune(messages, limit + 1))


@given(talks(), limits)
def test_more_than_the_limit_is_kept_only_where_nothing_can_go(messages, limit):
    pruned = prune_messages(messages, limit)

    size = sum(map(estimate_message_tokens, pruned))
    assert size <= limit or pruned == prune_messages(messages, -10)


@given(talks())
def test_what_fits_stays_as_it_is(messages):
    assert prune_messages(messages, sum(map(estimate_message_tokens, messages))) == messages


TALK = [TASK, assistant("1"), user("2"), assistant("3"), user("4")]


@pytest.mark.parametrize(
    ("fit", "left"),
    [(5, "Fix the bug.1234"), (4, "Fix the bug.234"), (3, "Fix the bug.34"), (2, "Fix the bug.4")],
)
def test_the_newest_that_fit_are_kept_beside_the_task(fit, left):
    assert "".join(message["content"] for message in prune(TALK, fit)) == left


@pytest.mark.parametrize("fit", [1, 0, -1])
def test_task_and_newest_message_stay_even_over_the_limit(fit):
    assert prune(TALK, fit) == [TASK, user("4")]


CALLS = [TASK, assistant([call("a"), call("b")]), user([result("a")]), user([result("b")])]


@pytest.mark.parametrize("fit", [3, 2, 1])
def test_parallel_calls_and_their_results_are_one_piece(fit):
    assert prune([*CALLS, assistant("done"), user("thanks")], fit)[0:2] != CALLS[0:2]
    assert prune(CALLS, fit) == CALLS


def test_one_message_more_than_fits_drops_the_whole_piece():
    longer = [*CALLS, assistant("done"), user("thanks")]

    assert prune(longer, 6) == longer
    assert prune(longer, 5) == [TASK, assistant("done"), user("thanks")]


def test_a_question_in_the_message_of_the_results_stays_with_them():
    messages = [
        TASK,
        assistant("1"),
        user("2"),
        assistant([call("a")]),
        user([result("a"), text("?")]),
    ]

    assert prune(messages, 2) == [TASK, *messages[3:]]


def test_a_system_message_stays_with_what_it_follows():
    told = {"role": "system", "content": "Be brief."}
    messages = [TASK, assistant("1"), user("2"), told, assistant("3"), user("4")]

    assert prune(messages, 5) == [TASK, *messages[2:]]
    assert prune(messages, 4) == [TASK, *messages[4:]]


def test_an_answer_in_several_messages_is_not_cut():
    messages = [TASK, user("1"), assistant("2"), assistant("3"), user("4")]

    assert prune(messages, 3) == [TASK, user("4")]


THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
THINKING = [TASK, assistant("1"), user("2"), assistant([THOUGHT, call("a")]), user([result("a")])]


def test_a_cut_takes_all_thinking_along_because_it_may_be_bound_to_what_was_cut():
    assert prune(THINKING, 4) == [TASK, user("2"), assistant([call("a")]), user([result("a")])]


def test_without_a_cut_thinking_stays():
    assert prune(THINKING, 5) == THINKING


def test_thinking_stays_where_the_caller_says_so():
    kept = prune_messages(THINKING, 4, count_tokens=one_each, keep_thinking=True)

    assert kept == [TASK, *THINKING[2:]]


def test_a_message_of_thinking_alone_goes_as_a_whole():
    messages = [TASK, assistant("1"), user("2"), assistant([THOUGHT]), user("3")]

    assert prune(messages, 4) == [TASK, user("2"), user("3")]


def test_what_stands_before_the_task_is_left_out():
    assert prune([assistant("Hello!"), *TALK], 9) == TALK


def test_results_that_lost_their_calls_before_are_left_out():
    assert prune([user([result("x")]), assistant("1"), TASK], 9) == [TASK]


def test_a_compaction_takes_the_place_of_the_task():
    compacted = assistant([{"type": "compaction", "content": "Earlier: …"}])
    messages = [compacted, user("1"), assistant("2"), user("3")]

    assert prune(messages, 2) == [compacted, user("3")]


@pytest.mark.parametrize("messages", [[], [assistant("1")], [user([result("x")]), assistant("1")]])
def test_without_a_task_nothing_is_cut(messages):
    assert prune(messages, 0) == messages


def test_the_objects_of_the_sdk_are_understood():
    block = ToolUseBlock(type="tool_use", id="a", name="read", input={})
    messages = [TASK, assistant("1"), user("2"), assistant([block]), user([result("a")])]

    assert prune(messages, 2) == [TASK, *messages[3:]]


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        ("", 4),
        ("x" * 3, 5),
        ("x" * 4, 6),
        ("漢", 5),
        (None, 6),
        ([text("x")], 9),
        ([{"n": 1, "f": True}], 8),
        ((text("x"),), 9),
        ([{"type": "image", "source": {"type": "base64", "data": "A" * 10**6}}], 4_788),
        ([TextBlock(type="text", text="x")], 9),
    ],
)
def test_a_message_weighs_its_bytes_over_three_and_an_image_its_most(content, tokens):
    assert estimate_message_tokens(user(content)) == tokens


def test_a_summary_tells_all_but_the_last_twelve():
    talk = [user(f"m{n}") for n in range(14)]

    assert summarize_history(talk)["content"] == "[Session summary] user: m0\nuser: m1"
    assert summarize_history(talk[:13])["content"] == "[Session summary] user: m0"
    assert summarize_history(talk[:12])["content"] == "[Session summary] nothing yet"


@pytest.mark.parametrize(("length", "kept"), [(199, 199), (200, 200), (201, 200)])
def test_a_summary_cuts_each_message(length, kept):
    summary = summarize_history([user("x" * length)], keep_last=0)

    assert summary["content"] == "[Session summary] user: " + "x" * kept


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (" a\n\tb ", "a b"),
        ([text("a"), text("b")], "a b"),
        ([text(""), call("a")], "[calls read]"),
        ([result("a", "found it")], "[result] found it"),
        ([result("a", [text("found"), {"type": "image"}])], "[result] found [image]"),
        ([THOUGHT, TextBlock(type="text", text="said")], "said"),
        (None, ""),
    ],
)
def test_a_summary_says_what_each_kind_of_content_says(content, words):
    summary = summarize_history([user(content)], keep_last=0)

    assert summary["content"] == f"[Session summary] user: {words}"


def test_a_summary_and_the_pruned_rest_make_a_valid_request():
    talk = [TASK, *CALLS[1:], *TALK[1:]] * 3

    rest = prune_messages(talk[-12:])
    assert violations(request_of([dict(summarize_history(talk)), *rest])) == ()


@pytest.mark.parametrize("wrong", [{"keep_last": -1}, {"characters": -1}])
def test_a_summary_of_less_than_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match="0 or more"):
        summarize_history([], **wrong)
