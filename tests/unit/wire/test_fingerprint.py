from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.errors import RequestError
from farthing.wire.apply import apply
from farthing.wire.canonical import normal, rendered
from farthing.wire.edits import mark
from farthing.wire.fingerprint import Fingerprint, fingerprint, stored_digest
from farthing.wire.models import ModelTraits
from farthing.wire.request import Request
from tests.unit.wire.spelling import bodies, spelled

TRAITS = ModelTraits(id="claude-opus-5-5", default_effort="medium", default_thinking="always")
CONFIG_LAST = ModelTraits(id="m", renders_config_first=False)
LAST_TURN_ONLY = ModelTraits(id="m", keeps_all_thinking=False)

BASE: dict[str, Any] = {
    "model": "claude-opus-5-5",
    "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
    "system": [{"type": "text", "text": "s"}],
    "messages": [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"b": 1, "a": 2}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "r"}]},
    ],
}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}}


def of(value: dict[str, Any], traits: ModelTraits = TRAITS) -> Fingerprint:
    return fingerprint(Request.parse(json.dumps(value).encode()), traits)


def survivors(changed: dict[str, Any], traits: ModelTraits = TRAITS) -> tuple[bool, bool, bool]:
    """Do the ends of tools, system and messages keep their digests when BASE changes?"""
    one, other = of(BASE, traits), of(changed, traits)
    tools, system = len(changed["tools"]), len(changed["system"])
    pairs = ((1, tools), (2, tools + system), (5, len(other.digests)))
    return tuple(one.digests[a - 1] == other.digests[b - 1] for a, b in pairs)  # type: ignore[return-value]


KEPT = (True, True, True)
MESSAGES_LOST = (True, True, False)
SYSTEM_LOST = (True, False, False)
ALL_LOST = (False, False, False)
WEB_SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
DEFERRED = {"name": "later", "input_schema": {}, "defer_loading": True}
CITED = {"type": "document", "source": {}, "citations": {"enabled": True}}
EXTRA = [{"role": "user", "content": [{"type": "text", "text": "x"}]}]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"model": "claude-opus-5"}, ALL_LOST),
        ({"tools": [BASE["tools"][0] | {"description": "e"}]}, ALL_LOST),
        ({"tools": [*BASE["tools"], {"name": "g"}]}, ALL_LOST),
        ({"tools": [*BASE["tools"], WEB_SEARCH]}, SYSTEM_LOST),
        ({"tools": [*BASE["tools"], DEFERRED]}, KEPT),
        ({"tools": [DEFERRED, *BASE["tools"]]}, KEPT),
        ({"messages": [*BASE["messages"][:2], {"role": "user", "content": [CITED]}]}, SYSTEM_LOST),
        ({"speed": "fast"}, SYSTEM_LOST),
        ({"system": [{"type": "text", "text": "t"}]}, SYSTEM_LOST),
        ({"tool_choice": {"type": "any"}}, MESSAGES_LOST),
        ({"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, MESSAGES_LOST),
        ({"messages": [*BASE["messages"], {"role": "user", "content": [IMAGE]}]}, MESSAGES_LOST),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, ALL_LOST),
        ({"output_config": {"effort": "high"}}, ALL_LOST),
        ({"output_config": {"task_budget": {"type": "tokens", "total": 20000}}}, ALL_LOST),
        ({"output_config": {"format": {"type": "json_schema"}}}, ALL_LOST),
        ({"mcp_servers": [{"name": "x"}]}, ALL_LOST),
        # what is not rendered does not count
        ({"max_tokens": 9, "stream": True, "metadata": {"user_id": "u"}}, KEPT),
        ({"stop_sequences": ["x"], "temperature": 1, "service_tier": "auto"}, KEPT),
        # a default written out is a default
        ({"speed": "standard", "tool_choice": {"type": "auto"}}, KEPT),
        ({"tool_choice": {"disable_parallel_tool_use": False, "type": "auto"}}, KEPT),
        ({"tool_choice": {"type": "tool", "name": "f"}}, MESSAGES_LOST),
        ({"output_config": {"effort": "medium"}, "thinking": {"type": "adaptive"}}, KEPT),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, KEPT),
        ({"thinking": None, "output_config": None, "speed": None}, KEPT),
    ],
)  # fmt: skip
def test_what_a_change_loses(change: dict[str, Any], expected: tuple[bool, bool, bool]):
    assert survivors(BASE | change) == expected


@pytest.mark.parametrize(
    "change", [{"thinking": {"type": "adaptive"}}, {"output_config": {"effort": "low"}}]
)
def test_a_model_that_renders_its_configuration_late_loses_messages_only(change: dict[str, Any]):
    assert survivors(BASE | change, CONFIG_LAST) == MESSAGES_LOST


def test_an_image_inside_a_tool_result_counts_as_an_image():
    content = [{"type": "tool_result", "tool_use_id": "t", "content": [IMAGE]}]
    changed = BASE | {"messages": [*BASE["messages"][:2], {"role": "user", "content": content}]}

    assert of(changed).key.images
    assert survivors(changed) == MESSAGES_LOST


@pytest.mark.parametrize(
    "block",
    [
        {"type": "tool_result", "content": "an image"},
        {"type": "tool_result", "content": [{"type": "text", "text": "image"}, {"image": 1}]},
        {"type": "document", "citations": {"enabled": False}},
        {"type": "document", "citations": True},
        {"type": "text", "text": "x", "citations": []},
    ],
)
def test_words_do_not_make_an_image_or_a_citation(block: dict[str, Any]):
    key = of({"messages": [{"role": "user", "content": [block]}]}).key

    assert (key.images, key.citations) == (False, False)


def test_key_order_inside_a_tool_input_matters_and_the_order_of_block_members_does_not():
    tool_use = BASE["messages"][1]["content"][0]
    reordered = dict(reversed(tool_use.items()))
    shuffled = tool_use | {"input": {"a": 2, "b": 1}}

    assert survivors(_with_tool_use(reordered)) == KEPT
    assert survivors(_with_tool_use(shuffled)) == MESSAGES_LOST


def _with_tool_use(block: dict[str, Any]) -> dict[str, Any]:
    messages = list(BASE["messages"])
    messages[1] = {"role": "assistant", "content": [block]}
    return BASE | {"messages": messages}


def test_marks_do_not_count_wherever_they_stand():
    inner = {"type": "text", "text": "r", "cache_control": {"type": "ephemeral"}}
    source = {"type": "content", "content": [inner]}
    marked = [
        {"type": "tool_result", "content": [inner], "cache_control": {"ttl": "1h"}},
        {"type": "document", "source": source},
    ]  # fmt: skip
    plain = json.loads(json.dumps(marked).replace(', "cache_control": {"type": "ephemeral"}', ""))
    del plain[0]["cache_control"]

    digests = [of({"messages": [{"role": "user", "content": c}]}).digests for c in (marked, plain)]
    assert digests[0] == digests[1]


def test_string_content_equals_the_one_block_list_it_stands_for():
    listed = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]

    assert survivors(BASE | {"messages": [*listed, *BASE["messages"][1:]]}) == KEPT


def test_the_same_words_in_another_role_are_other_words():
    def said_by(role: str) -> bytes:
        second = {"role": role, "content": "b"}
        return of({"messages": [{"role": "user", "content": "a"}, second]}).digests[-1]

    assert len({said_by(role) for role in ("user", "assistant", "system")}) == 3


def test_the_attribution_line_of_claude_code_is_not_rendered():
    def with_version(version: str) -> Fingerprint:
        line = f"x-anthropic-billing-header: cc_version={version};"
        return of(BASE | {"system": [{"type": "text", "text": line}, *BASE["system"]]})

    one, other = with_version("1"), with_version("2")
    assert one.digests == other.digests
    assert one.unrendered == {1}
    assert one.digests[-1] == of(BASE).digests[-1]


def test_a_rewind_that_brings_thinking_back_is_seen_from_the_last_fingerprint():
    thinking = {"type": "thinking", "thinking": "x", "signature": "s"}
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    loop = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [thinking, call]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]},
    ]
    first = Request.parse(json.dumps({"messages": [*loop, *EXTRA]}).encode())
    last = fingerprint(first, LAST_TURN_ONLY)
    rewound = Request.parse(json.dumps({"messages": loop}).encode(), after=first)

    resumed = fingerprint(rewound, LAST_TURN_ONLY, after=last)
    assert resumed == fingerprint(rewound, LAST_TURN_ONLY)


def test_thinking_is_stripped_where_the_model_keeps_the_last_turn_only():
    thinking = {"type": "thinking", "thinking": "x", "signature": "s"}
    turn = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [thinking, {"type": "tool_use", "id": "t", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]},
    ]
    open_loop = of({"messages": turn}, LAST_TURN_ONLY)
    closed = of({"messages": [*turn, *EXTRA]}, LAST_TURN_ONLY)
    kept = of({"messages": [*turn, *EXTRA]}, TRAITS)

    assert open_loop.unrendered == frozenset()
    assert closed.unrendered == {1}
    assert closed.digests[0] == open_loop.digests[0]
    assert closed.digests[1] == closed.digests[0]
    assert closed.digests[2] != open_loop.digests[2]
    assert kept.unrendered == frozenset()


def test_lost_levels_name_the_parameters_that_differ():
    changed = BASE | {"speed": "fast", "tool_choice": {"type": "any"}, "thinking": {"type": "x"}}

    assert of(BASE).key.lost_levels(of(changed).key, TRAITS) == {
        "thinking": "tools",
        "speed": "system",
        "tool_choice": "messages",
    }
    assert of(BASE).key.lost_levels(of(changed).key, CONFIG_LAST)["thinking"] == "messages"


def test_nesting_beyond_what_can_be_read_is_a_request_error():
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]

    with pytest.raises(RequestError, match="too deeply"):
        normal(b"[" * 100_000 + b"]" * 100_000)
    with pytest.raises(RequestError, match="too deeply"):
        rendered({"a": nested})


def test_inner_content_that_is_no_block_is_left_alone():
    block = {"type": "tool_result", "content": ["cache_control"]}

    assert rendered(dict(block)) == b'{"content":["cache_control"],"type":"tool_result"}'


def test_a_stored_digest_needs_the_key_of_the_installation():
    digest = of(BASE).digests[-1]

    assert len(stored_digest(digest, b"one")) == 16
    assert stored_digest(digest, b"one") != stored_digest(digest, b"two")


# -- properties ----------------------------------------------------------------------------------


@given(bodies().flatmap(lambda value: st.tuples(spelled(value), spelled(value))))
def test_spelling_does_not_change_a_fingerprint(spellings: tuple[bytes, bytes]):
    one, other = (fingerprint(Request.parse(raw), TRAITS) for raw in spellings)

    assert one.digests == other.digests
    assert one.key == other.key


@given(bodies(), st.data())
def test_placing_marks_does_not_change_a_fingerprint(value: dict[str, Any], data: st.DataObject):
    request = Request.parse(json.dumps(value).encode())
    if not request.blocks:
        return
    chosen = data.draw(st.sets(st.sampled_from(range(len(request.blocks))), max_size=4))
    body = apply(request, [mark(request.blocks[index].address) for index in chosen])

    assert fingerprint(Request.parse(body), TRAITS).digests == fingerprint(request, TRAITS).digests


@given(
    bodies(), bodies(), st.integers(0, 4), st.sampled_from([TRAITS, CONFIG_LAST, LAST_TURN_ONLY])
)
def test_going_on_from_the_last_fingerprint_gives_the_same(
    one: dict[str, Any], other: dict[str, Any], keep: int, traits: ModelTraits
):
    grown = one | {"messages": one["messages"][:keep] + other["messages"]}
    first = Request.parse(json.dumps(one).encode())
    last = fingerprint(first, traits)
    body = json.dumps(grown).encode()
    second = Request.parse(body, after=first)
    resumed = fingerprint(second, traits, after=last)

    assert resumed == fingerprint(second, traits)
    assert resumed.digests == fingerprint(Request.parse(body), traits).digests


@given(bodies())
def test_a_longer_conversation_begins_with_the_digests_of_the_shorter(value: dict[str, Any]):
    shorter, longer = of(value), of(value | {"messages": value["messages"] + EXTRA})

    assert longer.digests[: len(shorter.digests)] == shorter.digests
