import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.estimate import (
    CONTENTS,
    BlockMemo,
    Tally,
    tally_block,
    tally_blocks,
    tally_request,
)
from farthing.core.estimate_weights import WEIGHTS
from farthing.wire.blocks import Block
from farthing.wire.models import ModelTraits
from farthing.wire.request import Request

OLD = ModelTraits(id="claude-old", tokenizer="old", tool_prompt_tokens=(496, 588))
NEW = ModelTraits(id="claude-new", tokenizer="new")
FORGETFUL = ModelTraits(id="claude-forgetful", tokenizer="old", keeps_all_thinking=False)
TOOL = {"name": "look", "description": "Looks around.", "input_schema": {"type": "object"}}


def message(role: str, value: dict[str, Any], address: str = "messages.0.content.0") -> Block:
    return Block(address, "messages", role, json.dumps(value).encode())


def text(words: str, role: str = "user") -> Block:
    return message(role, {"type": "text", "text": words})


def thought(words: str) -> Block:
    return message("assistant", {"type": "thinking", "thinking": words, "signature": ""})


RESULT = message("user", {"type": "tool_result", "tool_use_id": "t", "content": "done"})

BLOCKS = st.lists(
    st.builds(text, st.text(max_size=40), st.sampled_from(["user", "assistant"]))
    | st.builds(thought, st.text(max_size=40))
    | st.just(RESULT),
    max_size=12,
)


def total(blocks: list[Block], traits: ModelTraits = OLD) -> float:
    return tally_blocks(blocks, traits, BlockMemo()).total


def request(**fields: Any) -> Request:
    return Request.parse(json.dumps({"model": "claude-old", **fields}).encode())


def test_a_sentence_costs_about_a_token_a_word():
    estimate = total([text("The quick brown fox jumps over the lazy dog.")])

    assert 10 <= estimate <= 17


def test_the_new_tokenizer_takes_more_tokens_for_prose_and_the_same_for_cjk():
    prose, cjk = text("plain words of a long sentence " * 50), text("中文" * 200)

    assert 1.35 <= total([prose], NEW) / total([prose], OLD) <= 1.5
    assert total([cjk], NEW) == pytest.approx(total([cjk], OLD), rel=0.01)


@given(BLOCKS, BLOCKS)
def test_tallies_add_up_over_blocks(first, second):
    memo = BlockMemo()

    joined = tally_blocks(first + second, OLD, memo)
    apart = tally_blocks(first, OLD, memo) + tally_blocks(second, OLD, memo)

    assert joined.bound == apart.bound
    assert joined.tokens == pytest.approx(apart.tokens)


@given(BLOCKS, st.builds(text, st.text()))
def test_one_more_block_never_costs_less(blocks, block):
    assert total([*blocks, block]) >= total(blocks)


@given(BLOCKS)
def test_a_tally_lies_between_nothing_and_its_bound(blocks):
    tally = tally_blocks(blocks, OLD, BlockMemo())

    assert min(tally.tokens) >= 0
    assert tally.total <= tally.bound or not blocks


@given(BLOCKS, st.integers(1, 8))
def test_a_memo_of_any_size_changes_no_result_and_stays_bounded(blocks, capacity):
    memo = BlockMemo(capacity)

    tallies = [memo.tally(block, OLD) for block in blocks * 2]

    assert tallies == [tally_block(block, OLD, WEIGHTS["old"]) for block in blocks * 2]
    assert len(memo) <= max(2, capacity)


def test_a_block_in_use_survives_the_turn_of_generations():
    memo = BlockMemo(4)
    kept = memo.tally(text("kept"), OLD)
    for number in range(20):
        memo.tally(text(f"other {number}"), OLD)
        assert memo.tally(text("kept"), OLD) is kept


def test_models_do_not_share_tallies():
    memo = BlockMemo()

    assert memo.tally(text("some words"), OLD) != memo.tally(text("some words"), NEW)


def test_the_bound_follows_the_spelling_that_the_digest_ignores():
    memo = BlockMemo()
    short = Block("x", "messages", "user", b'"\xc3\xa9"')
    spelled = Block("x", "messages", "user", rb'"\u00e9"')

    assert short.digest == spelled.digest
    assert memo.tally(spelled, OLD).bound - memo.tally(short, OLD).bound == 4


# Section 6.4 of the API facts: last-turn-only models drop earlier thinking at the next question.
def test_earlier_thinking_is_dropped_when_a_question_follows():
    blocks = [
        text("hi"),
        thought("let me think about it"),
        text("answer", "assistant"),
        text("next"),
    ]

    dropped = tally_blocks(blocks, FORGETFUL, BlockMemo())

    assert dropped.tokens[CONTENTS.index("thinking")] == 0
    assert dropped.bound == tally_blocks(blocks, OLD, BlockMemo()).bound


def test_thinking_is_kept_while_only_tool_results_follow():
    blocks = [text("hi"), thought("let me think about it"), RESULT]

    assert total(blocks, FORGETFUL) == total(blocks, OLD)


def test_without_any_question_nothing_is_dropped():
    assert total([thought("alone")], FORGETFUL) == total([thought("alone")], OLD)


@pytest.mark.parametrize(
    ("choice", "hidden"),
    [(None, 496), ({"type": "auto"}, 496), ({"type": "any"}, 588), ({"type": "tool"}, 588)],
)
def test_tools_bring_the_providers_prompt_along(choice, hidden):
    parsed = request(tools=[TOOL], messages=[], **({"tool_choice": choice} if choice else {}))

    tally = tally_request(parsed, OLD, BlockMemo())

    assert tally.total - total(list(parsed.blocks)) == pytest.approx(hidden)


def test_without_tools_there_is_no_hidden_prompt():
    parsed = request(system="Be brief.", messages=[{"role": "user", "content": "hi"}])

    assert tally_request(parsed, OLD, BlockMemo()).total == pytest.approx(
        total(list(parsed.blocks))
    )


def test_growth_is_the_difference_of_two_requests():
    memo = BlockMemo()
    first, second = text("one"), text("two")

    growth = tally_blocks([first, second], OLD, memo) - tally_blocks([first], OLD, memo)

    assert growth.tokens == pytest.approx(memo.tally(second, OLD).tokens)
    assert growth.bound == memo.tally(second, OLD).bound


def test_an_empty_tally_is_neutral():
    tally = Tally((1.0, 2.0, 3.0, 4.0, 5.0), 99)

    assert tally + Tally() == tally
    assert tally.total == 15
