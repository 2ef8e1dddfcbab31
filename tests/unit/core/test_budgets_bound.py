"""What a call asks of its budgets, what earlier answers teach, and how it is made to fit."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from farthing.core.budgets import Budget
from farthing.core.budgets_bound import NOTE_TOKENS, CallBound, clamped, rewritten
from farthing.core.budgets_lineages import KnownPrompts, LikelyCosts
from farthing.core.estimate import BlockMemo
from farthing.core.hold import worst_case
from farthing.core.loop_ladder import note_edits
from farthing.core.loop_values import LoopNote
from farthing.pricing import catalog
from farthing.wire.apply import apply
from farthing.wire.request import Request
from farthing.wire.validity import check

NOW = datetime(2026, 11, 21, tzinfo=UTC)
MODEL = "claude-opus-5-5"
TRAITS = next(found for found in [catalog().traits(MODEL)] if found is not None)
CARD = catalog().require(MODEL, on=NOW)
RATES = CARD.bands[0].rates
FIRST = {"role": "user", "content": "What is a farthing? " * 500}
ANSWER = {"role": "assistant", "content": [{"type": "text", "text": "A quarter of a penny."}]}
MORE = {"role": "user", "content": [{"type": "text", "text": "And a groat?"}]}
MARK = {"type": "ephemeral"}
SEARCH = [{"type": "web_search_20250305", "name": "web_search"}]


def request(*messages: dict[str, Any], **fields: Any) -> Request:
    said = {"model": MODEL, "max_tokens": 4_000, "messages": list(messages or [FIRST])}
    return Request.parse(json.dumps(said | fields).encode())


def bound(asked: Request, known: int | None = None) -> CallBound:
    worst = worst_case(asked, prices=catalog(), memo=BlockMemo(), now=NOW)
    assert worst is not None
    return CallBound.of(asked, worst, known, client_bytes=len(asked.body))


def budget(**given: Any) -> Budget:
    values: dict[str, Any] = {"name": "b", "scope": "everything", "limit_pico": 100}
    return Budget(**values | given)


# -- what is asked --------------------------------------------------------------------------------


def test_without_a_mark_nothing_is_written_and_the_prompt_is_held_at_its_plain_price():
    plain, marked = bound(request()), bound(request(cache_control=MARK))
    hour = bound(request(cache_control=MARK | {"ttl": "1h"}))

    assert plain.one_pass_pico < marked.one_pass_pico < hour.one_pass_pico
    tokens = plain.prompt_tokens
    dearest = (tokens * RATES.uncached + 4_000 * RATES.output) * 11 // 10
    assert 0 <= plain.one_pass_pico - dearest <= 1


def test_a_known_prompt_is_held_by_its_count():
    assert bound(request(), 3_000).prompt_tokens == 3_000
    assert bound(request(), 10**6).prompt_tokens == bound(request()).prompt_tokens


def test_a_call_of_several_passes_asks_what_is_declared_or_all_in_strict():
    call = bound(request(tools=SEARCH), 3_000)
    one, most = call.one_pass_pico, call.worst.high_pico

    assert call.prompt_tokens > 3_000  # what a search brings was counted by nobody
    assert call.asked_of(budget()) == one
    assert call.asked_of(budget(mode="strict")) == most
    assert call.asked_of(budget(mode="strict", passes=2)) == 2 * one
    assert call.asked_of(budget(passes=10**6)) == most
    assert bound(request()).asked_of(budget(passes=5)) == bound(request()).one_pass_pico


# -- making it fit --------------------------------------------------------------------------------


def test_max_tokens_are_lowered_to_what_fits_and_no_further():
    call = bound(request())
    room = call.one_pass_pico - 1

    smaller = clamped(call, room, 1_024)

    assert smaller is not None
    assert smaller.one_pass_pico <= room
    assert call.with_output(smaller.output_tokens + 1).one_pass_pico > room


@pytest.mark.parametrize(("least", "is_found"), [(1_024, True), (1_025, False)])
def test_less_than_is_useful_is_not_worth_sending(least: int, is_found: bool):
    call = bound(request())
    room = call.with_output(1_024).one_pass_pico

    assert (clamped(call, room, least) is not None) is is_found


def test_a_prompt_that_does_not_fit_alone_cannot_be_made_to_fit():
    call = bound(request())

    assert clamped(call, call.with_output(0).one_pass_pico - 1, 0) is not None
    assert call.output_within(call.with_output(0).one_pass_pico - 1) == 0
    assert clamped(call, 0, 1) is None


def test_several_passes_cannot_be_made_to_fit():
    assert bound(request(tools=SEARCH)).output_within(10**15) == 0


def test_max_tokens_stay_above_the_tokens_of_thinking():
    thinking = {"type": "enabled", "budget_tokens": 2_000}
    call = bound(request(thinking=thinking))
    room = call.with_output(3_000).one_pass_pico

    assert clamped(call, room, 1_000) is not None
    assert clamped(call, room, 1_001) is None


@pytest.mark.parametrize("thinking", [{"type": "adaptive"}, 7, {"budget_tokens": "x"}])
def test_thinking_without_a_length_takes_nothing_away(thinking: object):
    assert bound(request(thinking=thinking)).thinking_tokens == 0


def test_a_lowered_call_is_the_clients_but_for_one_number():
    asked = request(metadata={"n": 1.50})

    body = rewritten(asked, 1_500, with_note=False)

    assert body == asked.body.replace(b'"max_tokens": 4000', b'"max_tokens": 1500')


@pytest.mark.parametrize("content", ["And a groat?", [{"type": "text", "text": "And a groat?"}]])
def test_the_note_stands_behind_everything_that_the_client_sent(content: object):
    last = {"role": "user", "content": content}
    asked = request(FIRST, ANSWER, last)

    body = rewritten(asked, NOTE_TOKENS, with_note=True)

    assert body is not None
    sent = json.loads(body)
    *blocks, note = sent["messages"][-1]["content"]
    assert note["text"].startswith("<farthing-note>")
    assert blocks == [{"type": "text", "text": "And a groat?"}]
    assert sent["messages"][:-1] == [FIRST, ANSWER]
    assert sent["max_tokens"] == NOTE_TOKENS
    assert check(Request.parse(body), TRAITS) == check(asked, TRAITS)


def test_the_note_is_in_the_bound():
    call = bound(request())
    body = rewritten(request(), 4_000, with_note=True)

    assert body is not None
    grown = len(body) - len(request().body)
    assert call.with_note().prompt_tokens - call.prompt_tokens >= grown - len(
        '[{"type":"text","text":}, ]'
    )


@pytest.mark.parametrize(
    "messages", [[FIRST, ANSWER], [{"role": "user", "content": 7}], [{"role": "user"}]]
)
def test_where_no_note_can_stand_none_is_written(messages: list[dict[str, Any]]):
    assert rewritten(request(*messages), 500, with_note=True) is None


def test_a_request_without_messages_takes_no_note():
    asked = Request.parse(b'{"model":"m","max_tokens":5}')

    assert rewritten(asked, 500, with_note=True) is None


# -- what is learned ------------------------------------------------------------------------------


def test_a_prompt_that_goes_on_is_bounded_by_its_count_and_what_is_new():
    prompts, memo = KnownPrompts(), BlockMemo()
    first = prompts.bound(request(), TRAITS, memo)
    assert first.tokens is None
    prompts.learn(first.digest, 2_500)

    later = prompts.bound(request(FIRST, ANSWER, MORE), TRAITS, memo)

    assert later.tokens is not None
    assert 2_500 < later.tokens < 3_500 < bound(request(FIRST, ANSWER, MORE)).prompt_tokens
    prompts.learn(later.digest, 2_540)
    same = prompts.bound(request(FIRST, ANSWER, MORE), TRAITS, memo)
    assert same.tokens is not None
    assert same.tokens < later.tokens


def test_a_mark_that_moves_changes_no_length():
    prompts, memo = KnownPrompts(), BlockMemo()
    marked = MORE | {"content": [{"type": "text", "text": "And a groat?", "cache_control": MARK}]}
    prompts.learn(prompts.bound(request(marked), TRAITS, memo).digest, 900)

    assert prompts.bound(request(MORE, ANSWER), TRAITS, memo).tokens is not None


@pytest.mark.parametrize(
    "fields",
    [
        {"system": "Be brief."},
        {"thinking": {"type": "adaptive"}},
        {"tool_choice": {"type": "any"}},
        {"model": "claude-haiku-5-5"},
    ],
)
def test_another_frame_is_another_prompt(fields: dict[str, Any]):
    prompts, memo = KnownPrompts(), BlockMemo()
    prompts.learn(prompts.bound(request(), TRAITS, memo).digest, 900)

    assert prompts.bound(request(**fields), TRAITS, memo).tokens is None
    assert prompts.bound(request(stream=True, max_tokens=5), TRAITS, memo).tokens is not None


def test_an_empty_prompt_is_known_to_nobody():
    asked = Request.parse(b'{"model":"m"}')

    assert KnownPrompts().bound(asked, TRAITS, BlockMemo()).tokens is None


def test_the_prompts_used_least_are_forgotten():
    prompts, memo = KnownPrompts(limit=2), BlockMemo()
    asked = [request({"role": "user", "content": text}) for text in ("a", "b", "c")]
    digests = [prompts.bound(each, TRAITS, memo).digest for each in asked]
    prompts.learn(digests[0], 1)
    prompts.learn(digests[1], 1)
    prompts.bound(asked[0], TRAITS, memo)
    prompts.learn(digests[2], 1)

    found = [prompts.bound(each, TRAITS, memo).tokens is not None for each in asked]
    assert found == [True, False, True]


def test_the_likely_cost_is_the_worst_until_enough_is_known():
    likely = LikelyCosts()
    for _ in range(63):
        likely.learn(MODEL, cost_pico=10, worst_pico=100)
    assert likely.likely(MODEL, 1_000) == 1_000

    likely.learn(MODEL, cost_pico=10, worst_pico=100)
    assert likely.likely(MODEL, 1_000) == 100
    assert likely.likely("another", 1_000) == 1_000


def test_one_in_a_hundred_may_cost_more_than_is_likely_and_old_ones_are_forgotten():
    likely = LikelyCosts()
    for number in range(200):
        likely.learn(MODEL, cost_pico=90 if number % 100 == 0 else 10, worst_pico=100)
    assert likely.likely(MODEL, 100) == 10
    for _ in range(256):
        likely.learn(MODEL, cost_pico=150, worst_pico=100)

    assert likely.likely(MODEL, 100) == 100


def test_a_call_that_could_cost_nothing_teaches_nothing():
    likely = LikelyCosts()
    likely.learn(MODEL, cost_pico=0, worst_pico=0)

    assert likely.likely(MODEL, 7) == 7


def test_what_brings_no_hidden_prompt_is_held_without_one():
    plain, with_tools = bound(request()), bound(request(tools=[]))

    assert plain.prompt_tokens == len(request().body) + 512
    assert with_tools.prompt_tokens == with_tools.worst.prompt_tokens


def test_a_prompt_as_long_as_the_context_stays_that_long():
    long = {"role": "user", "content": "x" * 1_100_000}

    assert bound(request(long)).prompt_tokens == 1_000_000


def test_a_note_to_a_looping_model_keeps_its_place_and_its_bytes_in_front_of_the_budgets():
    """A loop's note is put back on every later request; a budget's stands on one alone."""
    marked = {"role": "user", "content": [{"type": "text", "text": "Go.", "cache_control": MARK}]}
    note = LoopNote(message=0, blocks=1, text="<farthing-note>You repeat.</farthing-note>")
    first, later = request(marked), request(marked, ANSWER, MORE)

    looped = apply(first, note_edits([note]))
    both = rewritten(Request.parse(looped), 300, with_note=True)
    again = rewritten(Request.parse(apply(first, note_edits([note]))), 300, with_note=True)
    next_turn = apply(later, note_edits([note]))

    assert both is not None
    assert both == again
    assert not check(Request.parse(both), TRAITS)
    texts = [block.text for block in Request.parse(both).messages[0].blocks]
    assert texts[:2] == ["Go.", note.text]
    assert "budget" in (texts[2] or "")
    # What the next turn sends begins as this one did, up to the budget's note.
    shared = both[both.index(b'"messages"') : both.index(b"You repeat.")]
    assert shared in next_turn
    assert shared in looped
