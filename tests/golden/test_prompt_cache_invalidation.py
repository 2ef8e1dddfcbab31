"""What a change of the request loses: the table of invalidation (API facts, 2.6; also 6.1-6.4)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from farthing.core.estimate import BlockMemo
from farthing.core.prefix import PrefixView
from farthing.core.prefix_view import view_of
from farthing.core.prompt_cache import PromptCache
from farthing.pricing import traits
from farthing.wire.fingerprint import fingerprint
from farthing.wire.request import Request
from tests.unit.core.prompts import at, hit_of, served

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


def viewed(body: dict[str, Any], **facts: Any) -> PrefixView:
    request = Request.parse(json.dumps(body).encode())
    known = traits(body["model"])
    assert known is not None
    known = replace(known, **facts)
    return view_of(request, fingerprint(request, known), known, memo=BlockMemo())


def level_read(before: dict[str, Any], after: dict[str, Any], **facts: Any) -> str | None:
    """The deepest level of ``after`` that is read once ``before`` has been written."""
    cache = PromptCache()
    served(cache, viewed({**EVERYTHING, **before}, **facts), 0)
    changed = viewed({**EVERYTHING, **after}, **facts)
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


SEARCH = EVERYTHING["tools"][0]
FIND: dict[str, Any] = {"name": "find", "description": LONG, "input_schema": {"type": "object"}}
RENAMED = [{**SEARCH, "name": "find"}]
STRICTER = {"type": "object", "required": ["query"]}
LATER = {**FIND, "defer_loading": True}
CHANGES: dict[str, tuple[dict[str, Any], str | None]] = {
    "nothing": ({}, "messages"),
    "model": ({"model": "claude-sonnet-5-5"}, None),
    "a tool's name": ({"tools": RENAMED}, None),
    "a tool's description": ({"tools": [{**SEARCH, "description": LONG + "more"}]}, None),
    "a tool's schema": ({"tools": [{**SEARCH, "input_schema": STRICTER}]}, None),
    "a tool more, deferred, in front": ({"tools": [LATER, SEARCH]}, "messages"),
    "a tool more, deferred, behind": ({"tools": [SEARCH, LATER]}, "messages"),
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


#: the same between two requests of which neither is the plain one
STEPS: dict[str, tuple[dict[str, Any], dict[str, Any], str | None]] = {
    "tools in another order": ({"tools": [FIND, SEARCH]}, {"tools": [SEARCH, FIND]}, None),
    "a tool removed": ({"tools": [FIND, SEARCH]}, {}, None),
    "a deferred tool removed": ({"tools": [LATER, SEARCH]}, {}, "messages"),
    "web search off": ({"tools": with_search()}, {}, "tools"),
    "citations off": ({"messages": citing()}, {}, "tools"),
    "an image removed": ({"messages": showing()}, {}, "system"),
    "the thinking budget": (
        {"thinking": {"type": "enabled", "budget_tokens": 1_024}},
        {"thinking": {"type": "enabled", "budget_tokens": 2_048}},
        None,
    ),
}

#: on a model that renders its configuration behind tools and system
CONFIGURED: dict[str, dict[str, Any]] = {
    "thinking mode": {"thinking": {"type": "disabled"}},
    "thinking budget": {"thinking": {"type": "enabled", "budget_tokens": 1_024}},
    "effort": {"output_config": {"effort": "low"}},
    "task budget": {"output_config": {"task_budget": {"type": "tokens", "total": 20_000}}},
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_change_of_the_request_loses(name):
    change, level = CHANGES[name]

    assert level_read({}, change) == level


@pytest.mark.parametrize("name", STEPS)
def test_what_a_step_between_two_requests_loses(name):
    before, after, level = STEPS[name]

    assert level_read(before, after) == level


@pytest.mark.parametrize("name", CONFIGURED)
def test_a_model_that_renders_its_configuration_late_keeps_tools_and_system(name):
    assert level_read({}, CONFIGURED[name], renders_config_first=False) == "system"
    assert level_read({}, CONFIGURED[name], renders_config_first=True) is None


# -- 2.6, 6.1, 6.2: what is taken out of the history loses what stands behind it ------------------

MARK: dict[str, Any] = {"cache_control": {"type": "ephemeral"}}
THOUGHT = {"type": "thinking", "thinking": LONG, "signature": "s"}
USE = {"type": "tool_use", "id": "t", "name": "search", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": LONG}
GO_ON = {"role": "user", "content": [{"type": "text", "text": "go on", **MARK}]}


def conversation(*thoughts: dict[str, Any], result: dict[str, Any] = RESULT) -> dict[str, Any]:
    """A question (messages.0), a call perhaps behind thoughts, its result, the next question."""
    question = {"role": "user", "content": [{"type": "text", "text": LONG, **MARK}]}
    call = {"role": "assistant", "content": [*thoughts, {**USE, **MARK}]}
    answered = {"role": "user", "content": [result]}
    return {"messages": [question, call, answered, {"role": "assistant", "content": "ok"}, GO_ON]}


CLEARED = conversation(THOUGHT, result={**RESULT, "content": "[cleared]"})
SUMMARY = {"role": "assistant", "content": [{"type": "compaction", "content": "so far"}]}
HISTORIES: dict[str, tuple[dict[str, Any], dict[str, Any], str | None]] = {
    "nothing": (conversation(THOUGHT), conversation(THOUGHT), "messages.4.content.0"),
    "thinking cleared": (conversation(THOUGHT), conversation(), "messages.0.content.0"),
    "thinking no longer readable": (
        conversation(THOUGHT),
        conversation({"type": "redacted_thinking", "data": "x"}),
        "messages.0.content.0",
    ),
    "a tool result cleared": (conversation(THOUGHT), CLEARED, "messages.1.content.1"),
    "the history compacted": (
        conversation(THOUGHT),
        {"messages": [SUMMARY, GO_ON]},
        "system.0",
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_how_far_the_history_is_read_after_an_edit(name):
    before, after, address = HISTORIES[name]
    head = {**EVERYTHING, "tools": [{**SEARCH, "cache_control": None}]}
    cache = PromptCache()
    served(cache, viewed({**head, **before}), 0)

    hit = hit_of(cache.predict(viewed({**head, **after}), at(2)))

    blocks = Request.parse(json.dumps({**head, **after}).encode()).blocks
    assert blocks[hit.block].address == address


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
