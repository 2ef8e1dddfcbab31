"""Valid conversations as plain Python lists, for the properties of the library's functions."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from farthing.pricing import traits
from farthing.wire.request import Request
from farthing.wire.validity import Violation, check

MODEL = "claude-opus-5-5"

Message = dict[str, Any]
words = st.sampled_from(["ok", "Fix the bug.", "x" * 40, "word " * 60, "über ✓ 漢字"])
results = st.one_of(words, words.map(lambda text: [{"type": "text", "text": text}]))


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def call(id_: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": "read", "input": {"path": id_}}


def result(id_: str, content: Any = "done") -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id_, "content": content}


def user(content: Any) -> Message:
    return {"role": "user", "content": content}


def assistant(content: Any) -> Message:
    return {"role": "assistant", "content": content}


@st.composite
def tool_steps(draw: st.DrawFn, number: int) -> list[Message]:
    """An answer that calls tools, and the results, in as many messages as clients make of them."""
    ids = [f"t{number}_{i}" for i in range(draw(st.integers(1, 3)))]
    said = draw(st.lists(words.map(text), max_size=1))
    thought = draw(
        st.lists(st.just({"type": "thinking", "thinking": "", "signature": "s"}), max_size=1)
    )
    answer = [*thought, *said, *map(call, ids)]
    cut = draw(st.integers(0, len(answer) - 1))
    answers = [assistant(answer[:cut]), assistant(answer[cut:])] if cut else [assistant(answer)]
    found = [result(id_, draw(results)) for id_ in ids]
    replies = [user([one]) for one in found] if draw(st.booleans()) else [user(found)]
    return [*answers, *replies]


@st.composite
def talks(draw: st.DrawFn) -> list[Message]:
    """A valid conversation that begins and ends with the user."""
    messages = [user(draw(words))]
    for number in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(["tools", "tools", "answer", "system", "searched", "again"]))
        if kind == "tools":
            messages += draw(tool_steps(number))
        elif kind == "answer":
            messages += [assistant(draw(words)), user([text(draw(words))])]
        elif kind == "again":
            messages += [user(draw(words))]
        elif kind == "system":
            messages += [{"role": "system", "content": "Be brief."}, assistant("ok"), user("go")]
        else:
            id_ = f"srvtoolu_{number}"
            asked = {"type": "server_tool_use", "id": id_, "name": "web_search", "input": {}}
            answered = {"type": "web_search_tool_result", "tool_use_id": id_, "content": []}
            messages += [assistant([asked]), assistant([answered, text("Found.")]), user("thanks")]
    return messages


def request_of(messages: list[Message], **more: Any) -> dict[str, Any]:
    tool = {"name": "read", "input_schema": {"type": "object"}}
    search = {"type": "web_search_20250305", "name": "web_search"}
    return {
        "model": MODEL,
        "max_tokens": 1000,
        "tools": [tool, search],
        "messages": messages,
        **more,
    }


def violations(request: dict[str, Any]) -> tuple[Violation, ...]:
    return check(Request.parse(json.dumps(request).encode()), traits(MODEL))
