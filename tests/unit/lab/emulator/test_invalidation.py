"""Which change of a request loses which part of the prompt cache: API facts, section 2.6."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.lab.emulator.talking import OLD, Client, long_text, user

TOOLS: list[dict[str, Any]] = [
    {
        "name": "read",
        "description": " ".join(["with"] * 5000),
        "input_schema": {"type": "object", "properties": {"a": {}, "b": {}}},
        "cache_control": {"type": "ephemeral"},
    }
]
TURNS = [{"role": "user", "content": [long_text(5000, word="when")]}]
REQUEST: dict[str, Any] = {"tools": TOOLS, "system": [long_text(5000)], "messages": TURNS}
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAA+gAAAPoCAYAAABNo9TkAAAAAElFTkSuQmCC"  # a header is enough: 1000x1000
)
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}


def levels_read(changed: dict[str, Any], request: dict[str, Any] | None = None) -> int:
    """How many of tools, system, messages are still read: each has about 5,000 tokens."""
    first = {**REQUEST, **(request or {})}
    client = Client()
    client.ask(**first)
    read, *_ = client.cached(**{**first, **changed})
    return round(read / 5000)


@pytest.mark.parametrize(
    ("changed", "levels"),
    [
        ({}, 3),
        ({"max_tokens": 7, "stop_sequences": ["x"], "metadata": {"user_id": "u"}}, 3),
        ({"temperature": 1.0}, 3),
        ({"tool_choice": {"type": "none"}}, 2),
        ({"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, 2),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000}, 0),
        ({"output_config": {"effort": "low"}}, 0),
        ({"output_config": {"effort": "high"}}, 3),  # the default, written out
        ({"model": "claude-sonnet-4-5"}, 0),
        ({"system": [long_text(5000, word="part")]}, 1),
        ({"tools": [{**TOOLS[0], "name": "write"}]}, 0),
    ],
    ids=str,
)
def test_a_change_loses_its_level_and_those_after_it(changed: dict[str, Any], levels: int) -> None:
    assert levels_read(changed) == levels


def test_an_image_anywhere_loses_the_messages_only() -> None:
    turns = [{"role": "user", "content": [*TURNS[0]["content"], IMAGE]}]
    assert levels_read({"messages": turns}) == 2


def test_web_search_loses_system_and_messages_but_not_the_tools() -> None:
    search = {"type": "web_search_20260209", "name": "web_search"}
    assert levels_read({"tools": [*TOOLS, search]}) == 1


def test_speed_loses_system_and_messages_but_not_the_tools() -> None:
    assert levels_read({"speed": "fast"}, {"model": "claude-fable-5-2"}) == 1


def test_the_order_of_keys_inside_a_schema_is_part_of_the_prompt() -> None:
    reordered = {**TOOLS[0], "input_schema": {"properties": {"b": {}, "a": {}}, "type": "object"}}
    assert levels_read({"tools": [reordered]}) == 0


def test_the_order_of_a_blocks_own_members_is_not() -> None:
    assert levels_read({"tools": [dict(reversed(TOOLS[0].items()))]}) == 3


def test_markers_may_move_freely() -> None:
    client = Client()
    client.ask(system=[long_text(5000)], messages=[user("one")])
    marked = [{"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}}]
    read, *_ = client.cached(
        system=[long_text(5000, mark=None)], messages=[{"role": "user", "content": marked}]
    )
    assert read > 5000


def test_a_string_and_a_text_block_are_the_same_prompt() -> None:
    client = Client()
    text = long_text(5000)
    client.ask(system=[text])
    read, *_ = client.cached(system=text["text"], cache_control={"type": "ephemeral"})
    assert read > 5000


def test_organizations_and_workspaces_do_not_share_a_prompt_cache() -> None:
    client = Client()
    client.ask(system=[long_text()])
    reads = {
        key: client.as_key(key).cached(system=[long_text()])[0]
        for key in ("sk-emu-acme", "sk-emu-acme:second-key", "sk-emu-acme.team", "sk-emu-other")
    }
    assert [read > 0 for read in reads.values()] == [True, True, False, False]


def test_a_prompt_is_counted_by_the_models_own_tokenizer() -> None:
    client = Client()
    text = [user("unquestionably extraordinary circumstances " * 50)]
    old = client.ask(messages=text)["usage"]["input_tokens"]
    new = client.ask(messages=text, model="claude-opus-4-8")["usage"]["input_tokens"]
    assert 1.1 < new / old < 2.2


def test_usage_reports_only_what_lies_after_the_last_breakpoint_as_input() -> None:
    client = Client()
    assert client.cached(system=[long_text(6000)])[3] < 20
    assert client.cached(system=[long_text(6000)])[0] > 6000


def test_automatic_caching_marks_the_last_block() -> None:
    client = Client()
    turns = [user(long_text(6000)["text"])]
    _, written, _, uncached = client.cached(cache_control={"type": "ephemeral"}, messages=turns)
    assert (written > 6000, uncached) == (True, 0)


def test_prewarming_writes_and_says_nothing() -> None:
    client = Client()
    answer = client.ask(max_tokens=0, system=[long_text()])
    assert (answer["content"], answer["stop_reason"]) == ([], "max_tokens")
    assert answer["usage"]["output_tokens"] == 0
    assert client.cached(system=[long_text()])[0] > 6000


def test_a_model_below_its_minimum_caches_nothing_and_says_nothing() -> None:
    client = Client()
    assert client.cached(model=OLD, system=[long_text(3000)])[:3] == (0, 0, 0)
    assert client.cached(model="claude-opus-5", system=[long_text(3000)])[1] > 3000
