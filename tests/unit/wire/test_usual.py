from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.errors import RequestError
from farthing.wire.json import raw_members
from farthing.wire.request import Request
from farthing.wire.usual import Usual, read_usual
from tests.unit.wire.spelling import bodies, spelled

MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}
IMAGE = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
CALL = {"type": "tool_use", "id": "t", "name": "f", "input": {"type": "image"}}
TOOL = {"name": "f", "description": "d", "input_schema": {"type": "object"}}


def said(**fields: Any) -> bytes:
    body = {"model": "claude-opus-5-5", "messages": [{"role": "user", "content": "hi"}]}
    return json.dumps(body | fields).encode()


def turn(*content: dict[str, Any]) -> bytes:
    return said(messages=[{"role": "user", "content": list(content)}])


def result(*content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "t", "content": list(content)}


def test_an_agents_request_says_who_is_asked_and_how_much():
    body = said(
        max_tokens=7,
        stream=True,
        system=[{"type": "text", "text": "s", "cache_control": MARK | {"scope": "global"}}],
        tools=[TOOL | {"type": "custom", "strict": True, "cache_control": MARK}],
        metadata={"user_id": "u", "other": 1},
        cache_control=MARK | {"ttl": "5m"},
        thinking={"type": "enabled", "budget_tokens": 1024},
        temperature=1,
        messages=[
            {"role": "system", "content": "s"},
            {"role": "user", "content": [{"text": "hi", "type": "text", "citations": None}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "so", "signature": "s"},
                    {"type": "redacted_thinking", "data": "d"},
                    CALL | {"caller": {"type": "direct"}},
                ],
            },
            {
                "role": "user",
                "content": [result({"type": "text", "text": "r"}) | {"is_error": True}],
            },
        ],
    )

    assert read_usual(body) == Usual("claude-opus-5-5", 7, True, "u", 4, False)


def test_what_is_not_said_is_not_known():
    assert read_usual(said()) == Usual("claude-opus-5-5", None, False, None, 1, False)


@pytest.mark.parametrize(
    "name",
    [
        "compaction",
        "container",
        "context_management",
        "fallbacks",
        "mcp_servers",
        "speed",
        "thread",
    ],
)
@pytest.mark.parametrize("value", [None, {}, "x"])
def test_a_rare_field_is_told_whatever_it_holds(name: str, value: object):
    usual = read_usual(said(**{name: value}))

    assert usual is not None
    assert usual.has_rare_fields


@pytest.mark.parametrize(
    "body",
    [
        turn(IMAGE),
        turn(result(IMAGE)),
        turn({"type": "document", "source": {"type": "file", "file_id": "f"}}),
        turn({"type": "search_result", "source": "s", "title": "t", "content": []}),
        turn({"type": "text", "text": "a", "source": {}}),
        turn({"type": "text", "text": "a", "cache_control": HOUR}),
        turn({"type": "text", "text": "a", "citations": [{"type": "page_location"}]}),
        turn(result({"type": "text", "text": "a", "cache_control": HOUR})),
        turn({"type": "text", "text": "a"}).replace(b'"text", ', b'"text", "type": "image", '),
        turn({"type": "text", "text": "a"}).replace(b'"type"', b'"type": "image", "type"'),
        turn(IMAGE).replace(b"image", rb"\u0069mage"),
        turn({"type": "container_upload", "file_id": "f"}),
        turn({"type": "block_of_tomorrow"}),
        turn({"text": "no type"}),
        said(system=[{"type": "text", "text": "s", "cache_control": HOUR}]),
        said(system=[IMAGE]),
        said(tools=[TOOL | {"cache_control": HOUR}]),
        said(tools=[TOOL | {"type": "bash_20250124"}]),
        said(tools=[{"type": "web_search_20250305", "name": "web_search"}]),
        said(tools=[TOOL | {"defer_loading": True}]),
        said(cache_control=HOUR),
        said(messages=[{"role": "oracle", "content": "s"}]),
        turn(CALL | {"caller": {"type": "code_execution_20260120", "tool_id": "t"}}),
        said(messages=None),
        said(model=None),
        said(model=7),
        said(max_tokens=1.0),
        said(max_tokens=-1),
        said(max_tokens=10**18),
        said(metadata={"user_id": 7}),
        said(field_of_tomorrow=1),
        said()[:-1],
        b"[]",
        b'{"model":"\xff","messages":[]}',
        b'{"model":"m","messages":[],"tool_choice":' + b"[" * 100_000,
    ],
)
def test_any_other_shape_is_not_known(body: bytes):
    assert read_usual(body) is None


@given(bodies().flatmap(spelled))
def test_it_says_what_the_fields_say(body: bytes):
    request, plain = Request.parse(body), Request(body, raw_members(body), None)

    assert (request.model, request.max_tokens) == (plain.model, plain.max_tokens)
    assert (request.stream, request.user_id) == (plain.stream, plain.user_id)
    assert (request.message_count, request.names) == (plain.message_count, plain.names)
    assert request.fields == plain.fields


@given(
    st.dictionaries(
        st.sampled_from(["max_tokens", "stream", "metadata", "system", "tools", "speed", "thread"]),
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.text(max_size=3),
            st.just([]),
            st.dictionaries(st.just("user_id"), st.one_of(st.none(), st.text(), st.integers())),
        ),
    )
)
def test_fields_of_any_kind_are_read_alike(fields: dict[str, Any]):
    body = said(**fields)
    request, plain = Request.parse(body), Request(body, raw_members(body), None)

    assert (request.max_tokens, request.stream) == (plain.max_tokens, plain.stream)
    assert (request.user_id, request.names) == (plain.user_id, plain.names)


def test_of_a_name_given_twice_the_last_counts():
    body = said().replace(
        b'{"model"', b'{"model": "first", "max_tokens": 1, "max_tokens": 2, "model"', 1
    )
    request = Request.parse(body)

    assert request.usual is not None
    assert (request.model, request.max_tokens) == ("claude-opus-5-5", 2)


def test_a_body_that_is_no_text_is_refused_whatever_its_shape():
    with pytest.raises(RequestError, match="UTF-8"):
        Request.parse(said().replace(b"hi", b"\xff"))


@given(st.binary(max_size=40))
def test_it_never_raises(body: bytes):
    read_usual(body)


def test_of_the_next_turn_it_is_known_as_well():
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]
    first = Request.parse(said(messages=turns))
    assert first.message_spans
    body = said(messages=[*turns, {"role": "user", "content": "go on"}])

    assert Request.parse(body, after=first).usual == Request.parse(body).usual
    assert Request.parse(body, after=first).message_count == 3
    assert Request.parse(body.replace(b"go on", b"\\u0001"), after=first).usual is not None
    again = said(messages=[*turns, {"role": "user", "content": [IMAGE]}])
    assert Request.parse(again, after=first).usual is None
