"""Small recordings for the tests: conversations whose usage is written by hand."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from farthing.traces.format import Call, Conversation, Message

MODEL = "claude-opus-4-5"
START = "2026-02-02T09:00:00+00:00"


def raw(value: Any) -> Raw:
    return Raw(msgspec.json.encode(value))


def usage(read: int, written: int, *, uncached: int = 0, output: int = 50) -> Raw:
    return raw(
        {
            "input_tokens": uncached,
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": written,
                "ephemeral_1h_input_tokens": 0,
            },
            "output_tokens": output,
        }
    )


def conversation(
    *calls: tuple[float, Raw], name: str = "talk", model: str = MODEL, **fields: Any
) -> Conversation:
    """A talk of questions and answers; each call is (seconds after the start, usage)."""
    messages = []
    for turn in range(len(calls)):
        messages.append(Message(role="user", content=raw(f"{name} question {turn} " * 200)))
        messages.append(Message(role="assistant", content=raw(f"{name} answer {turn}")))
    return Conversation(
        **{
            "id": f"{name}#0",
            "source": "test",
            "model": model,
            "started_at": START,
            "system": raw("the same long system prompt " * 1000),
            "messages": messages,
            "calls": [
                Call(prompt_messages=2 * turn + 1, at=at, done_at=at + 3, usage=counted)
                for turn, (at, counted) in enumerate(calls)
            ],
            "ttl": "5m",
        }
        | fields
    )
