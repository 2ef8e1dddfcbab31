"""Whatever a client sends, it gets an HTTP answer of the API's form; nothing falls over."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from farthing.lab.emulator import Emulator, HttpRequest, Settings

HEADERS = {
    "x-api-key": "k",
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "context-management-2025-06-27,compact-2026-01-12,compact-2026-09-04,"
    "message-threads-2026-08-12",
}
MARK = {"type": "ephemeral", "ttl": "5m"}
GOOD: dict[str, Any] = {
    "model": "claude-opus-5-5",
    "max_tokens": 100,
    "system": [{"type": "text", "text": "s", "cache_control": MARK}],
    "tools": [{"name": "t", "input_schema": {"type": "object", "required": ["a"]}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "hi"},
                {"type": "image", "source": {"type": "base64", "data": "aaaa"}},
                {"type": "document", "source": {"type": "text", "data": "x"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "", "signature": "abc"},
                {"type": "tool_use", "id": "a", "name": "t", "input": {"a": 1}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": []}]},
    ],
    "thinking": {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}},
    "output_config": {"effort": "low", "format": {"schema": {"type": "object"}}},
    "tool_choice": {"type": "auto"},
    "stop_sequences": ["x"],
    "stream": True,
    "cache_control": MARK,
    "diagnostics": {"previous_message_id": None},
    "context_management": {
        "edits": [
            {"type": "clear_thinking_20251015", "keep": {"type": "thinking_turns", "value": 1}},
            {"type": "clear_tool_uses_20250919", "trigger": {"value": 1}, "exclude_tools": []},
        ]
    },
    "speed": "fast",
    "inference_geo": "us",
}
LEAVES: Any = st.sampled_from(
    [None, True, 0, -1, 1.5, "", "x", [], [1], {}, {"type": []}, "\ud800"]
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: Any = ()
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
    return [at, *(found for key, child in inner for found in places(child, (*at, key)))]


def put(value: Any, at: tuple[Any, ...], junk: Any) -> Any:
    if not at:
        return junk
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = put(copy[at[0]], at[1:], junk)
    return copy


def answered(body: bytes, path: str) -> None:
    http_request = HttpRequest(method="POST", path=path, headers=HEADERS, body=body)
    reply = Emulator(Settings(accept_foreign_thinking=True)).handle(http_request)
    assert reply.status in (200, 400, 404)
    text = reply.body()
    if reply.status != 200:
        error = json.loads(text)
        assert error["type"] == "error"
        assert error["error"]["message"]


@given(
    place=st.sampled_from([at for at in places(GOOD) if at]),
    junk=LEAVES,
    path=st.sampled_from(["/v1/messages", "/v1/messages/count_tokens"]),
)
def test_junk_in_any_place_of_a_request_is_answered(place: Any, junk: Any, path: str) -> None:
    answered(json.dumps(put(GOOD, place, junk)).encode(), path)


@given(body=st.binary(max_size=200))
def test_junk_bytes_are_answered(body: bytes) -> None:
    answered(body, "/v1/messages")
