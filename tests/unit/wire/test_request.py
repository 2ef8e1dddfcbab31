from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.errors import RequestError
from farthing.wire.request import Request, common_prefix
from tests.unit.wire.spelling import blocks, bodies, spelled

BODY = (
    b'{ "model": "claude-opus-5-5", "max_tokens" : 1024, "stream":true,\n'
    b'"messages": [ {"role":"user","content":"hi"} ,'
    b'{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"tool_use","id":"t","name":"f","input":{}}]},'
    b'{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"r","cache_control":{"type":"ephemeral","ttl":"1h"}}]}]}],'
    b'"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],'
    b'"tools":[{"name":"f","input_schema":{}}], "unknown_beta": 1.00 }'
)


def snapshot(request: Request) -> Any:
    return (
        request.fields,
        list(request.message_spans),
        [(b.address, b.level, b.role, b.raw, b.kind, b.digest) for b in request.blocks],
        [(m.index, m.role, m.is_string, len(m.blocks)) for m in request.messages],
    )


def test_blocks_come_in_render_order_whatever_the_order_of_the_body():
    assert [block.address for block in Request.parse(BODY).blocks] == [
        "tools.0",
        "system.0",
        "messages.0.content",
        "messages.1.content.0",
        "messages.1.content.1",
        "messages.2.content.0",
    ]


def test_each_block_says_its_kind_level_and_role():
    described = [(b.kind, b.level, b.role) for b in Request.parse(BODY).blocks]

    assert described == [
        ("tool", "tools", None),
        ("text", "system", None),
        ("text", "messages", "user"),
        ("text", "messages", "assistant"),
        ("tool_use", "messages", "assistant"),
        ("tool_result", "messages", "user"),
    ]


def test_a_digest_asked_for_first_tells_the_same_kind():
    first, second = Request.parse(BODY), Request.parse(BODY)
    digests = [block.digest for block in first.blocks]

    assert [b.kind for b in first.blocks] == [b.kind for b in second.blocks]
    assert [b.digest for b in second.blocks] == digests


def test_string_content_is_one_text_block():
    (block,) = Request.parse(BODY).messages[0].blocks

    assert (block.is_string, block.text, block.get("type")) == (True, "hi", b'"text"')
    assert Request.parse(BODY).messages[0].is_string
    assert not Request.parse(BODY).messages[1].is_string


def test_a_mark_is_read_with_its_ttl_and_promoted_from_the_last_inner_block():
    marks = {b.address: b.cache_control.ttl for b in Request.parse(BODY).blocks if b.cache_control}

    assert marks == {"system.0": "5m", "messages.2.content.0": "1h"}


@pytest.mark.parametrize(
    ("block", "ttl"),
    [
        ({"type": "text", "text": "cache_control"}, None),
        ({"type": "text", "text": "x", "cache_control": None}, None),
        ({"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": None}}, "5m"),
        ({"type": "tool_result", "content": "cache_control"}, None),
        ({"type": "tool_result", "content": [], "cache_control": {"ttl": "1h"}}, "1h"),
        ({"type": "tool_result", "content": [], "note": "cache_control"}, None),
        (
            {"type": "document", "source": {"content": [{"cache_control": {"type": "ephemeral"}}]}},
            "5m",
        ),
        ({"type": "document", "source": {"data": "cache_control"}}, None),
        ({"type": "document", "source": {"content": "cache_control"}}, None),
    ],
)
def test_where_a_mark_may_stand(block: dict[str, Any], ttl: str | None):
    body = {"messages": [{"role": "user", "content": [block]}]}
    (read,) = Request.parse(json.dumps(body).encode()).blocks

    assert (read.cache_control.ttl if read.cache_control else None) == ttl


def test_a_mark_with_an_escaped_key_is_still_a_mark():
    raw = rb'{"messages":[{"role":"user","content":[{"cache_contro\u006c":{"ttl":"1h"}}]}]}'

    assert Request.parse(raw).blocks[0].cache_control is not None


def test_top_level_fields_are_raw_slices():
    request = Request.parse(BODY)

    assert request.field("unknown_beta") == b"1.00"
    assert request.field("absent") is None
    assert (request.model, request.max_tokens, request.stream) == ("claude-opus-5-5", 1024, True)


@pytest.mark.parametrize("raw", [b"1.5", b"null", b'"5"', b"-1", b"9" * 30, b"true"])
def test_max_tokens_that_is_no_whole_number_is_none(raw: bytes):
    assert Request.parse(b'{"max_tokens":%b}' % raw).max_tokens is None


def test_a_model_that_is_no_string_is_none():
    assert Request.parse(b'{"model":3}').model is None
    assert Request.parse(b"{}").model is None


def test_of_a_field_given_twice_the_last_counts():
    assert Request.parse(b'{"model":"a","model":"b"}').model == "b"


@pytest.mark.parametrize("body", [b"{}", b'{"messages":null,"tools":null,"system":null}'])
def test_absent_segments_are_empty(body: bytes):
    request = Request.parse(body)

    assert (request.blocks, request.messages, request.message_spans) == ((), [], [])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"model":"\xff"}',
        b'{"messages":{}}',
        b'{"messages":[3]}',
        b'{"messages":[{"role":"user","content":3}]}',
        b'{"messages":[{"role":"user","content":["x"]}]}',
        b'{"tools":"x"}',
        b'{"system":[[]]}',
    ],
)
def test_an_unreadable_shape_is_a_request_error(body: bytes):
    with pytest.raises(RequestError):
        _ = Request.parse(body).blocks


def test_a_role_that_is_no_string_is_empty():
    assert Request.parse(b'{"messages":[{"role":1},{}]}').messages[0].role == ""


@pytest.mark.parametrize("address", ["tools.1", "system", "messages.9.content", "messages.0", "x"])
def test_a_missing_block_is_a_request_error(address: str):
    with pytest.raises(RequestError, match="no block"):
        Request.parse(BODY).block(address)


def test_every_block_is_found_by_its_address():
    request = Request.parse(BODY)

    assert [request.block(block.address) for block in request.blocks] == list(request.blocks)


def test_reprs_show_sizes_and_digests_only():
    request = Request.parse(BODY.replace(b'"hi"', b'"my secret"'))

    assert repr(request) == f"<Request 'claude-opus-5-5' {len(request.body)} bytes>"
    assert "secret" not in repr(list(request.blocks))
    assert "secret" not in repr(request.messages[0])


# -- the next turn -------------------------------------------------------------------------------


def next_turn(body: bytes) -> bytes:
    value = json.loads(body)
    value["messages"] += [
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": [{"type": "text", "text": "c"}]},
    ]
    return json.dumps(value, separators=(",", ":")).encode()


def test_the_next_turn_shares_every_block_that_was_there_before():
    first = Request.parse(json.dumps(json.loads(BODY), separators=(",", ":")).encode())
    count = len(first.blocks)
    second = Request.parse(next_turn(BODY), after=first)

    assert [a is b for a, b in zip(first.blocks, second.blocks, strict=False)] == [True] * count
    assert snapshot(second) == snapshot(Request.parse(second.body))


def test_a_request_does_not_keep_the_one_before_alive():
    first = Request.parse(json.dumps(json.loads(BODY), separators=(",", ":")).encode())
    assert first.blocks
    second = Request.parse(next_turn(BODY), after=first)

    values = [getattr(second, name) for name in Request.__slots__]
    assert not any(value is first or value is first.body for value in values)


def test_tools_that_changed_are_not_shared():
    first = Request.parse(BODY)
    assert first.blocks
    second = Request.parse(
        BODY.replace(b'"name":"f","input_schema"', b'"name":"g","input_schema"').replace(
            b'"s"', b'"S"'
        ),
        after=first,
    )

    assert snapshot(second) == snapshot(Request.parse(second.body))


def test_a_body_that_repeats_a_field_behind_the_shared_part_is_read_afresh():
    first = Request.parse(b'{"model":"m","messages":[{"role":"user","content":"a"}]}')
    assert first.blocks
    body = b'{"model":"m","messages":[{"role":"user","content":"a"}],"model":"n"}'

    assert Request.parse(body, after=first).model == "n"


def test_an_error_behind_the_shared_part_is_the_error_of_the_whole_body():
    first = Request.parse(b'{"messages":[{"role":"user","content":"a"}]}')
    assert first.blocks

    with pytest.raises(RequestError, match="not UTF-8 at byte 49"):
        Request.parse(b'{"messages":[{"role":"user","content":"a"}],"x":"\xff"}', after=first)
    with pytest.raises(RequestError, match="expected an object"):
        Request.parse(b'{"messages":[{"role":"user","content":"a"}]', after=first)


@pytest.mark.parametrize("before", [0, 16_380, 16_381, 16_384, 40_000])
def test_text_is_checked_across_the_pieces_that_it_is_checked_in(before):
    body = b'{"x":"%b%b"}' % (b"a" * before, "€".encode())
    assert Request.parse(body).field("x") == body[5:-1]

    broken = body.replace("€".encode(), b"\xe2\x82")
    with pytest.raises(RequestError, match=f"not UTF-8 at byte {before + 6}"):
        Request.parse(broken)


def test_of_a_field_given_twice_the_last_counts_and_both_have_a_place():
    request = Request.parse(b'{"model":"a","model":"b","n":null}')

    assert [field.name for field in request.fields] == ["model", "model", "n"]
    assert request.member("model") == request.fields[1]
    assert (request.model, request.field("n"), set(request.names)) == ("b", None, {"model", "n"})


def test_segments_never_looked_at_are_not_shared_and_still_read():
    first = Request.parse(BODY)
    second = Request.parse(BODY, after=first)

    assert snapshot(second) == snapshot(Request.parse(BODY))


@st.composite
def two_turns(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A body and one that a client might send next: grown, cut, changed or broken."""
    value = draw(bodies())
    one = draw(spelled(value))
    grown = value | {
        "messages": value["messages"][: draw(st.integers(0, 4))]
        + [{"role": "user", "content": [draw(blocks())]}] * draw(st.integers(0, 2))
    }
    other = draw(st.one_of(st.just(one), spelled(grown)))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(other)))
        other = other[:at] + draw(st.binary(max_size=3)) + other[at + draw(st.integers(0, 3)) :]
    return one, other


def outcome(body: bytes, after: Request | None) -> Any:
    try:
        return snapshot(Request.parse(body, after=after))
    except RequestError as error:
        return str(error)


@given(two_turns(), st.booleans())
def test_the_next_turn_reads_like_a_first(turns: tuple[bytes, bytes], looked: bool):
    one, other = turns
    first = Request.parse(one)
    if looked:
        outcome(one, None)
        snapshot(first)

    assert outcome(other, first) == outcome(other, None)


@given(bodies().flatmap(lambda value: st.tuples(st.just(value), spelled(value))))
def test_every_view_is_what_a_json_parser_sees(case: tuple[dict[str, Any], bytes]):
    value, raw = case
    request = Request.parse(raw)

    fields = {member.name: json.loads(raw[member.start : member.end]) for member in request.fields}
    assert fields == value
    contents = [message["content"] for message in value["messages"]]
    seen = [
        block.text if message.is_string else None
        for message in request.messages
        for block in message.blocks
    ]
    expected = [
        each if isinstance(content, str) else None
        for content in contents
        for each in ([content] if isinstance(content, str) else content)
    ]
    assert seen == expected


@given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=60))
def test_the_common_prefix_is_the_longest(shared: bytes, one: bytes, other: bytes):
    length = common_prefix(shared + one, shared + other)
    a, b = shared + one, shared + other

    assert a[:length] == b[:length]
    assert length >= len(shared)
    assert a[length : length + 1] != b[length : length + 1] or length == min(len(a), len(b))


@pytest.mark.parametrize("length", [65535, 65536, 65537, 200_000])
def test_the_common_prefix_crosses_strides(length: int):
    assert common_prefix(b"a" * length + b"b", b"a" * length + b"c") == length
    assert common_prefix(b"a" * length, b"a" * length) == length


def test_messages_of_which_only_the_places_were_asked_for_are_read_when_needed():
    first = Request.parse(BODY)
    assert first.message_spans
    second = Request.parse(BODY, after=first)

    assert snapshot(second) == snapshot(Request.parse(BODY))
