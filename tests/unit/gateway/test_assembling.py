"""A stream spells out the message that a plain answer would have been."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from farthing.gateway.assembling import MessageAssembler
from farthing.wire.sse import encode_event


def stream(*events: dict[str, Any]) -> bytes:
    return b"".join(encode_event(event["type"], json.dumps(event).encode()) for event in events)


STREAM = stream(
    {"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 3}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking"}},
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "thinking_delta", "thinking": "hm"},
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "signature_delta", "signature": "Eo8"},
    },
    {"type": "content_block_stop", "index": 0},
    {"type": "ping"},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hé"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "new_delta", "x": 1}},
    {
        "type": "content_block_delta",
        "index": 1,
        "delta": {"type": "citations_delta", "citation": {"url": "u"}},
    },
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "t", "name": "read", "input": {}},
    },
    {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "input_json_delta", "partial_json": '{"p":'},
    },
    {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "input_json_delta", "partial_json": "1}"},
    },
    {"type": "content_block_stop", "index": 2},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use"},
        "usage": {"output_tokens": 9},
    },
    {"type": "message_stop"},
)
MESSAGE = {
    "id": "msg_1",
    "usage": {"input_tokens": 3, "output_tokens": 9},
    "stop_reason": "tool_use",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "Eo8"},
        {"type": "text", "text": "Hé", "citations": [{"url": "u"}]},
        {"type": "tool_use", "id": "t", "name": "read", "input": {"p": 1}},
    ],
}


@given(size=st.integers(1, 300))
def test_the_message_is_whole_however_the_stream_is_cut(size):
    assembler = MessageAssembler()

    for at in range(0, len(STREAM), size):
        assembler.feed(STREAM[at : at + size])

    assert assembler.is_complete
    assert assembler.message == MESSAGE


def test_a_stream_cut_short_gives_what_came():
    assembler = MessageAssembler()

    assembler.feed(STREAM[:600])

    assert not assembler.is_complete
    assert assembler.message["content"][0]["type"] == "thinking"


def test_an_event_that_makes_no_sense_is_left_out():
    assembler = MessageAssembler()

    assembler.feed(stream({"type": "content_block_delta", "index": 7, "delta": {"type": "x"}}))
    assembler.feed(b"event: message_start\ndata: [broken\n\n")

    assert assembler.message == {"content": []}


def test_what_cannot_be_read_is_a_gap_and_no_error():
    assembler = MessageAssembler()
    head, tail = STREAM[: STREAM.index(b"event: ping")], STREAM[STREAM.index(b"event: ping") :]
    deep = b"[" * 100_000
    for data in (b"\xff", b'{"index":0,"delta":{"type":"text_delta","text":"\xff"}}', deep):
        assembler.feed(head + encode_event("content_block_delta", data) + tail)

    assert assembler.is_complete
    assert assembler.message["content"][1]["text"].endswith("Hé")


def test_a_long_text_is_put_together_once():
    """Else each piece would copy all before it: here 80 GB instead of 2 MB."""
    assembler = MessageAssembler()
    piece = {"type": "content_block_delta", "index": 0}
    piece["delta"] = {"type": "text_delta", "text": "twenty letters, more"}
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}}
    assembler.feed(stream(start))
    pieces = stream(*[piece] * 1000)
    for _ in range(100):
        assembler.feed(pieces)

    assert len(assembler.message["content"][0]["text"]) == 2_000_000
