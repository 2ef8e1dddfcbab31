"""Every miss gets a cause and a place: the diff of two requests, and what the answer adds."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from farthing.core.cache_breaks import CacheMiss, PrefixChange, cause_of, diff
from farthing.core.prompt_cache import PromptCache
from farthing.pricing import traits
from farthing.wire.fingerprint import fingerprint
from farthing.wire.request import Request
from tests.unit.core.prompts import at, prompt, served

MODEL = "claude-opus-5-5"
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}, "line": {"type": "integer"}}}
BODY: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 100,
    "tools": [
        {"name": "read", "description": "Reads.", "input_schema": SCHEMA},
        {"name": "write", "description": "Writes.", "input_schema": SCHEMA},
    ],
    "system": [
        {"type": "text", "text": "You are careful."},
        {"type": "text", "text": "The time is 2026-11-21T12:30:00Z. Be brief."},
    ],
    "messages": [
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": [{"type": "text", "text": "Go on, step 7."}]},
    ],
}


def printed(body: dict[str, Any], model: str = MODEL):
    known = traits(model)
    assert known is not None
    return fingerprint(Request.parse(json.dumps(body).encode()), known)


def change(edit, body: dict[str, Any] = BODY, model: str = MODEL) -> PrefixChange | None:
    later = deepcopy(body)
    edit(later)
    known = traits(model)
    assert known is not None
    return diff(printed(body), printed(later), known)


def found(edit, **more: Any) -> PrefixChange:
    result = change(edit, **more)
    assert result is not None
    return result


def test_a_conversation_that_goes_on_has_no_break():
    assert (
        change(lambda body: body["messages"].append({"role": "assistant", "content": "x"})) is None
    )
    assert change(lambda body: None) is None


def test_a_rewound_conversation_reads_what_it_still_has():
    assert change(lambda body: body["messages"].pop()) is None


def test_a_mark_may_move_freely():
    mark = {"cache_control": {"type": "ephemeral"}}
    assert change(lambda body: body["system"][0].update(mark)) is None


def test_a_changed_time_in_the_system_prompt_is_found_to_the_byte():
    def edit(body):
        body["system"][1]["text"] = body["system"][1]["text"].replace("12:30:00", "12:47:00")

    result = found(edit)
    assert (result.kind, result.address, result.level) == ("value", "system.1", "system")
    assert result.detector == "timestamp"
    assert result.span is not None
    raw = printed({**BODY, "system": BODY["system"]}).blocks[result.block].raw
    assert raw[slice(*result.span)] == b"30"
    assert result.message is None


def test_a_change_in_the_history_names_its_message():
    result = found(lambda body: body["messages"][2]["content"][0].update(text="Go on, step 8."))
    assert (result.address, result.message, result.detector) == (
        "messages.2.content.0",
        2,
        "counter",
    )


def test_shuffled_tools_are_told_from_changed_ones():
    assert found(lambda body: body["tools"].reverse()).kind == "shuffled_tools"


def test_shuffled_tools_of_which_one_changed_behind_are_shuffled_first():
    def edit(body):
        body["tools"].reverse()
        body["tools"][1]["description"] = "Reads files."

    assert found(edit).kind == "shuffled_tools"


def test_shuffled_keys_are_told_from_a_changed_schema():
    def shuffle(body):
        body["tools"][1]["input_schema"] = dict(reversed(SCHEMA.items()))

    def edit(body):
        body["tools"][1]["input_schema"] = {"type": "object"}

    assert (found(shuffle).kind, found(shuffle).address) == ("shuffled_keys", "tools.1")
    assert found(edit).kind == "value"


def test_a_schema_nested_beyond_measure_is_compared_as_it_stands():
    schema: dict[str, Any] = {}
    for _ in range(101):
        schema = {"properties": {"a": schema}}
    body = {**BODY, "tools": [{"name": "deep", "input_schema": schema}]}
    result = found(lambda body: body["tools"][0].update(description="x"), body=body)
    assert (result.kind, result.detector) == ("value", "other")


def test_added_and_removed_tools():
    tool = {"name": "grep", "input_schema": {"type": "object"}}
    assert found(lambda body: body["tools"].insert(0, tool)).kind == "added"
    added = found(lambda body: body["tools"].append(tool))
    assert (added.kind, added.address, added.level) == ("added", "tools.2", "tools")
    removed = found(lambda body: body["tools"].pop())
    assert (removed.kind, removed.address, removed.level) == ("removed", "tools.1", "tools")


def test_added_and_removed_system_blocks():
    more = {"type": "text", "text": "More."}
    assert found(lambda body: body["system"].append(more)).kind == "added"
    removed = found(lambda body: body["system"].pop())
    assert (removed.kind, removed.address) == ("removed", "system.1")


def test_another_role_or_kind_of_block():
    document = {"type": "document", "source": {"type": "url", "url": "https://x.example"}}
    page = found(lambda body: body["messages"][2].update(content=[document]))
    assert (page.kind, page.message) == ("other_kind", 2)
    spoken = found(lambda body: body["messages"][1].update(role="user"))
    assert spoken.kind == "other_kind"


@pytest.mark.parametrize(
    ("field", "value", "parameters", "address"),
    [
        ("thinking", {"type": "disabled"}, ("thinking",), "tools.0"),
        ("output_config", {"effort": "low"}, ("effort",), "tools.0"),
        ("speed", "fast", ("speed",), "system.0"),
        ("tool_choice", {"type": "any"}, ("tool_choice",), "messages.0.content"),
    ],
)
def test_a_parameter_that_keys_the_cache_is_named(field, value, parameters, address):
    result = found(lambda body: body.update({field: value}))
    assert (result.kind, result.parameters, result.address) == ("parameter", parameters, address)


def test_without_tools_a_parameter_of_their_level_shows_at_the_system_prompt():
    body = {**BODY, "tools": []}
    result = found(lambda body: body.update(thinking={"type": "disabled"}), body=body)
    assert (result.parameters, result.address) == (("thinking",), "system.0")


def test_another_model_is_named_and_its_other_defaults_are_not():
    result = found(lambda body: body.update(model="claude-sonnet-4-5", speed="fast"))
    assert (result.kind, result.parameters) == ("parameter", ("model",))


# -- causes ---------------------------------------------------------------------------------------


def cause(view, seconds, *, cache=None, **more):
    cache = cache or PromptCache()
    return cause_of(view, cache.predict(view, at(seconds)), **more)


def test_a_request_that_reads_all_there_is_has_no_miss():
    cache = PromptCache()
    served(cache, prompt("a b", 1), 0)
    assert cause(prompt("a b c", 2), 10, cache=cache) is None
    assert cause(prompt("a b c", 2), 10, cache=cache, read_tokens=2_000) is None


def test_less_was_read_than_was_there_so_it_is_the_providers():
    cache = PromptCache()
    served(cache, prompt("a b", 1), 0)
    miss = cause(prompt("a b c", 2), 10, cache=cache, read_tokens=0)
    assert miss == CacheMiss(cause="provider", missed_tokens=2_000)
    assert miss.name == "provider"


@pytest.mark.parametrize(
    ("view", "seconds", "wanted"),
    [
        (prompt("a b c", 2), 400, "ttl"),
        (prompt("a b"), 10, "not_marked"),
        (prompt("x y", 1, min_cacheable_tokens=9_999), 10, "too_short"),
        (prompt("x y", 1), 10, "cold"),
        (prompt(["a", "b", *(f"c{n}" for n in range(25))], 26), 10, "lookback"),
        (prompt("a x", 1, lineage_id="L"), 10, "message"),
        (prompt("a b", 1, lineage_id="L", model="claude-sonnet-4-5"), 10, "model"),
        (prompt("a b c", 2), 0.5, "concurrency"),
    ],
)
def test_every_miss_has_a_cause(view, seconds, wanted):
    cache = PromptCache()
    served(cache, prompt("a b", 1, lineage_id=view.lineage_id), 0)
    miss = cause(view, seconds, cache=cache)
    assert miss is not None
    assert miss.cause == wanted
    assert miss.missed_tokens > 0


def changed(kind: Any, level: Any, address: str, block: int, **more: Any) -> PrefixChange:
    return PrefixChange(kind=kind, level=level, address=address, block=block, **more)


@pytest.mark.parametrize(
    ("change_", "cause_", "name", "missed"),
    [
        (changed("value", "system", "system.0", 1), "system", "system", 2_000),
        (changed("value", "tools", "tools.0", 0), "tools", "tools", 3_000),
        (changed("value", "messages", "messages.4.content", 2), "message", "message 4", 1_000),
        (
            changed("parameter", "tools", "tools.0", 0, parameters=("effort", "thinking")),
            "parameters",
            "parameters effort,thinking",
            3_000,
        ),
        (
            changed("parameter", "tools", "tools.0", 0, parameters=("model",)),
            "model",
            "model model",
            3_000,
        ),
    ],
)
def test_a_diff_gives_a_cold_request_its_place(change_, cause_, name, missed):
    miss = cause(prompt("a b c", 2), 0, change=change_)
    assert miss is not None
    assert (miss.cause, miss.name, miss.missed_tokens) == (cause_, name, missed)
