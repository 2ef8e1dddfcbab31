"""The tables of the provider's documentation, as the API facts (section 2) restate them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from farthing.core.estimate import BlockMemo
from farthing.core.prefix import Mark, PrefixView
from farthing.core.prefix_view import view_of
from farthing.core.prompt_cache import PromptCache
from farthing.pricing import catalog, traits
from farthing.wire.fingerprint import fingerprint
from farthing.wire.request import Request
from tests.unit.core.prompts import at, digests_of, hit_of, numbered, prompt, served, split

# -- 2.4: mixed TTLs ------------------------------------------------------------------------------


def turn(last: int, total: int) -> PrefixView:
    """1 h breakpoint at 10,000 tokens, the last one for 5 m."""
    ends = [10_000, *range(30_000, last + 1, 4_000)]
    return PrefixView(
        scope="",
        model="m",
        digests=digests_of(map(str, ends)),
        positions=ends,
        total_tokens=total,
        marks=(Mark(index=0, ttl="1h"), Mark(index=len(ends) - 1)),
    )


def test_the_worked_example_of_mixed_lifetimes():
    cache = PromptCache()

    cold = served(cache, turn(30_000, 31_000), 0)
    next_turn = served(cache, turn(34_000, 34_500), 60)
    after_ten_minutes = served(cache, turn(38_000, 38_500), 660)

    # read, written for 1 h, written for 5 m, plain
    assert split(cold.usage) == (0, 10_000, 20_000, 1_000)
    assert split(next_turn.usage) == (30_000, 0, 4_000, 500)
    assert split(after_ten_minutes.usage) == (10_000, 0, 28_000, 500)


# -- 2.2: lookback --------------------------------------------------------------------------------


def test_a_breakpoint_at_35_does_not_see_an_entry_at_15_but_one_more_at_15_does():
    cache, words = PromptCache(), numbered(36)
    served(cache, prompt(words[:16], 15), 0)

    assert cache.predict(prompt(words, 35), at(2)).usage.cache_read == 0
    assert cache.predict(prompt(words, 15, 35), at(2)).usage.cache_read == 16_000
    assert cache.predict(prompt(words, 34), at(2)).usage.cache_read == 16_000


# -- 1.1: minimum lengths -------------------------------------------------------------------------

MINIMUMS = {
    "claude-fable-5-2": 512,
    "claude-fable-5-1": 512,
    "claude-fable-5": 512,
    "claude-opus-5-5": 512,
    "claude-opus-5": 512,
    "claude-opus-4-8": 1024,
    "claude-opus-4-7": 2048,
    "claude-opus-4-6": 4096,
    "claude-opus-4-5-20251101": 4096,
    "claude-sonnet-5-5": 512,
    "claude-sonnet-5": 1024,
    "claude-sonnet-4-6": 1024,
    "claude-sonnet-4-5-20250929": 1024,
    "claude-haiku-5-5": 512,
    "claude-haiku-4-5-20251001": 4096,
}


@pytest.mark.parametrize(("model", "minimum"), MINIMUMS.items())
def test_the_minimum_length_of_each_model(model, minimum):
    known = traits(model)
    assert known is not None
    view = prompt("a", 0, model=model, min_cacheable_tokens=known.min_cacheable_tokens)

    def written(tokens: int) -> int:
        sized = replace(view, positions=(tokens,), total_tokens=tokens)
        return PromptCache().predict(sized, at(0)).usage.cache_write_5m

    assert (written(minimum - 1), written(minimum)) == (0, minimum)


# -- 2.6: what a change loses ---------------------------------------------------------------------

LONG = "word " * 4_000
MODEL = "claude-opus-5-5"
IMAGE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
}
EVERYTHING: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 1_000,
    "tools": [
        {
            "name": "search",
            "description": LONG,
            "input_schema": {"type": "object"},
            "cache_control": {"type": "ephemeral"},
        }
    ],
    "system": [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}},
                {"type": "text", "text": "now"},
            ],
        }
    ],
}


def viewed(body: dict[str, Any]) -> PrefixView:
    request = Request.parse(json.dumps(body).encode())
    known = traits(body["model"])
    assert known is not None
    return view_of(request, fingerprint(request, known), known, memo=BlockMemo())


def levels_read(change: dict[str, Any]) -> str | None:
    """The deepest level that is still read after the change."""
    cache = PromptCache()
    served(cache, viewed(EVERYTHING), 0)
    changed = viewed({**EVERYTHING, **change})
    hit = cache.predict(changed, at(2)).hit
    return None if hit is None else changed.level(hit.block)


def with_search() -> list[dict[str, Any]]:
    return [*EVERYTHING["tools"], {"type": "web_search_20250305", "name": "web_search"}]


def citing() -> list[dict[str, Any]]:
    source = {"type": "text", "media_type": "text/plain", "data": "facts"}
    document = {"type": "document", "source": source, "citations": {"enabled": True}}
    return [*EVERYTHING["messages"], {"role": "user", "content": [document]}]


def showing() -> list[dict[str, Any]]:
    return [*EVERYTHING["messages"], {"role": "user", "content": [IMAGE]}]


RENAMED = [{**EVERYTHING["tools"][0], "name": "find"}]
CHANGES: dict[str, tuple[dict[str, Any], str | None]] = {
    "nothing": ({}, "messages"),
    "model": ({"model": "claude-sonnet-5-5"}, None),
    "a tool's name": ({"tools": RENAMED}, None),
    "a tool more, in front": ({"tools": [RENAMED[0], *EVERYTHING["tools"]]}, None),
    "web search on": ({"tools": with_search()}, "tools"),
    "citations on": ({"messages": citing()}, "tools"),
    "speed": ({"speed": "fast"}, "tools"),
    "tool choice": ({"tool_choice": {"type": "any"}}, "system"),
    "parallel tool use": (
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        "system",
    ),
    "an image added": ({"messages": showing()}, "system"),
    # "model-specific" in the table; without a list we take the safe side: everything is lost
    "thinking mode": ({"thinking": {"type": "disabled"}}, None),
    "effort": ({"output_config": {"effort": "low"}}, None),
    "task budget": ({"output_config": {"task_budget": {"type": "tokens", "total": 20_000}}}, None),
    "the default effort, spelled out": ({"output_config": {"effort": "medium"}}, "messages"),
    "the first message": ({"messages": [{"role": "user", "content": "other"}]}, "system"),
    "system": ({"system": [{**EVERYTHING["system"][0], "text": "other " + LONG}]}, "tools"),
    "max_tokens": ({"max_tokens": 5}, "messages"),
    "stream": ({"stream": True}, "messages"),
    "stop sequences": ({"stop_sequences": ["x"]}, "messages"),
    "metadata": ({"metadata": {"user_id": "u"}}, "messages"),
    "service tier": ({"service_tier": "auto"}, "messages"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_change_of_the_request_loses(name):
    change, level = CHANGES[name]

    assert levels_read(change) == level


def test_thinking_dropped_by_the_model_loses_what_follows_it():
    """Non-tool-result content behind thinking, on a model that keeps the last turn only (6.4)."""
    model = "claude-sonnet-4-5-20250929"
    question = {"type": "text", "text": LONG}
    thought = {"type": "thinking", "thinking": LONG, "signature": "s"}
    marked = {"type": "text", "text": "done", "cache_control": {"type": "ephemeral"}}
    history = [
        {"role": "user", "content": [question]},
        {"role": "assistant", "content": [thought, marked]},
        {"role": "user", "content": [{"type": "text", "text": "go on"}]},
    ]
    tool_use = {"type": "tool_use", "id": "t", "name": "search", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "r"}
    loop = [
        history[0],
        {
            "role": "assistant",
            "content": [thought, {**tool_use, "cache_control": {"type": "ephemeral"}}],
        },
        {"role": "user", "content": [result]},
    ]
    cache = PromptCache()
    base = {**EVERYTHING, "model": model}
    served(cache, viewed({**base, "messages": loop}), 0)
    asked = [*loop, {"role": "assistant", "content": "ok"}, *history[2:]]

    kept = cache.predict(viewed({**base, "messages": loop}), at(2))
    lost = cache.predict(viewed({**base, "messages": asked}), at(2))

    assert (hit_of(kept).block, hit_of(lost).block) == (4, 1)


def test_every_priced_model_has_a_minimum():
    assert all(
        (known := traits(card.model)) and known.min_cacheable_tokens >= 512
        for card in catalog().cards
    )
