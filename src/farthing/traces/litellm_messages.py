"""Prompts and answers that went through LiteLLM, in the Messages format.

A log holds what the caller sent: the Messages format on the native route, the chat format (system
and tool roles, ``tool_calls``) on the other. Native content is passed on; chat content is carried
over block by block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec import Raw

from farthing.traces.format import Message

__all__ = ["Prompt", "parse_answer", "parse_prompt"]

_NOTHING: Final = Raw(b'""')


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """System, tools and messages of one request."""

    system: Raw
    tools: Raw
    messages: tuple[Message, ...]


def parse_prompt(messages: object, body: Mapping[str, Any]) -> Prompt:
    """The request as far as the log has it; redacted or absent messages make an empty prompt."""
    listed = [item for item in _items(messages) if isinstance(item, dict)]
    system = body.get("system")
    systems = [item.get("content") for item in listed if item.get("role") in _SYSTEM_ROLES]
    if system is None and systems:
        system = systems[0] if len(systems) == 1 else [_text_block(part) for part in systems]
    tools = [_tool(tool) for tool in _items(body.get("tools")) if isinstance(tool, dict)]
    said = [item for item in listed if item.get("role") not in _SYSTEM_ROLES]
    return Prompt(
        system=_raw(system) if system else _NOTHING,
        tools=_raw(tools),
        messages=tuple(_merged([_message(item) for item in said])),
    )


def parse_answer(response: Mapping[str, Any]) -> Message | None:
    """The answer's content, from either format; None if the log left it out."""
    content = response.get("content")
    if isinstance(content, list):
        return Message(role="assistant", content=_raw(content))
    first = next(iter(_items(response.get("choices"))), None)
    message = first.get("message") if isinstance(first, dict) else None
    if not isinstance(message, dict):
        return None
    return Message(role="assistant", content=_raw(_blocks(message)))


_SYSTEM_ROLES: Final = frozenset({"system", "developer"})


def _message(item: dict[str, Any]) -> tuple[str, list[Any]]:
    role = item.get("role")
    if role == "tool":
        result = {
            "type": "tool_result",
            "tool_use_id": item.get("tool_call_id"),
            "content": item.get("content"),
        }
        return "user", [result]
    return ("assistant" if role == "assistant" else "user"), _blocks(item)


def _blocks(item: dict[str, Any]) -> list[Any]:
    content = item.get("content")
    blocks: list[Any] = []
    if isinstance(content, str) and content:
        blocks.append({"type": "text", "text": content})
    else:
        blocks.extend(_block(part) for part in _items(content))
    blocks.extend(_tool_use(call) for call in _items(item.get("tool_calls")))
    return blocks


def _block(part: Any) -> Any:
    if isinstance(part, dict) and part.get("type") == "image_url":
        url = part.get("image_url")
        address = url.get("url") if isinstance(url, dict) else url
        return {"type": "image", "source": {"type": "url", "url": address}}
    return part


def _tool_use(call: Any) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    function = function if isinstance(function, dict) else {}
    arguments = function.get("arguments")
    try:
        given = msgspec.json.decode(arguments) if isinstance(arguments, str) else arguments
    except (msgspec.MsgspecError, UnicodeDecodeError):
        given = arguments
    identity = call.get("id") if isinstance(call, dict) else None
    return {"type": "tool_use", "id": identity, "name": function.get("name"), "input": given or {}}


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    function = tool.get("function")
    if not isinstance(function, dict):
        return tool
    return {
        "name": function.get("name"),
        "description": function.get("description", ""),
        "input_schema": function.get("parameters", {}),
    }


def _merged(messages: Sequence[tuple[str, list[Any]]]) -> list[Message]:
    """Several in a row of one role are one message, as the API reads them."""
    merged: list[tuple[str, list[Any]]] = []
    for role, blocks in messages:
        if merged and merged[-1][0] == role:
            merged[-1][1].extend(blocks)
        else:
            merged.append((role, list(blocks)))
    return [Message(role=role, content=_raw(blocks)) for role, blocks in merged]


def _text_block(part: object) -> dict[str, Any]:
    return {"type": "text", "text": part if isinstance(part, str) else ""}


def _raw(value: object) -> Raw:
    return Raw(msgspec.json.encode(value))


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
