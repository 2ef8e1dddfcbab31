"""Short ways to write requests, and the shape of a case: a broken one and its valid neighbour."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from farthing.wire.models import ModelTraits
from farthing.wire.request import Request
from farthing.wire.validity import Violation, check

Json = dict[str, Any]

#: a model that accepts everything, so that a case shows one rule
OPEN = ModelTraits(
    id="open",
    thinking_budget=True,
    prefill=True,
    sampling=True,
    system_messages=True,
    fast="yes",
)


def model(**facts: Any) -> ModelTraits:
    """The open model but for these facts."""
    return replace(OPEN, **facts)


def user(*content: Json | str) -> Json:
    return {"role": "user", "content": [as_block(part) for part in content]}


def assistant(*content: Json | str) -> Json:
    return {"role": "assistant", "content": [as_block(part) for part in content]}


def system(*content: Json | str) -> Json:
    return {"role": "system", "content": [as_block(part) for part in content]}


def as_block(part: Json | str) -> Json:
    return {"type": "text", "text": part} if isinstance(part, str) else part


def call(id_: str, **members: Any) -> Json:
    return {"type": "tool_use", "id": id_, "name": "read", "input": {}} | members


def result(id_: str, **members: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": id_} | members


def server_call(id_: str, name: str = "web_search") -> Json:
    return {"type": "server_tool_use", "id": id_, "name": name, "input": {}}


def server_result(id_: str, name: str = "web_search") -> Json:
    return {"type": f"{name}_tool_result", "tool_use_id": id_, "content": []}


def image(data: str = "AAAA") -> Json:
    return {"type": "image", "source": {"type": "base64", "data": data}}


def mark(ttl: str | None = None) -> Json:
    """A member ``cache_control`` for a block or a body."""
    return {"cache_control": {"type": "ephemeral"} | ({} if ttl is None else {"ttl": ttl})}


def text(words: str = "hello", **members: Any) -> Json:
    return {"type": "text", "text": words} | members


def tool(name: str = "read", **members: Any) -> Json:
    return {"name": name, "input_schema": {"type": "object"}} | members


def body(*messages: Json, without: tuple[str, ...] = (), **fields: Any) -> Json:
    """A request with these messages; one from the user if none are given."""
    whole = {"model": "open", "max_tokens": 4096, "messages": [*messages] or [user("hello")]}
    return {name: value for name, value in (whole | fields).items() if name not in without}


def parsed(request: Json) -> Request:
    return Request.parse(json.dumps(request).encode())


def violations(
    request: Json, traits: ModelTraits | None = OPEN, **options: Any
) -> tuple[Violation, ...]:
    return check(parsed(request), traits, with_advice=True, **options)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A request that breaks one rule, and a neighbour that breaks none."""

    code: str
    because: str
    broken: Json
    kept: Json
    traits: ModelTraits = OPEN
    kept_traits: ModelTraits | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    address: str | None = None

    def __str__(self) -> str:
        return f"{self.code}: {self.because}"
