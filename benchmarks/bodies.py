"""Agent-like Messages bodies of a wanted size: a long system prompt, tools, tool calls and results.

Seeded, so that two runs measure the same bytes.
"""

from __future__ import annotations

import json
import random
from typing import Any

__all__ = ["conversation", "dump"]

_WORDS = (
    "the of request and response in cache is block for token it as stream with model on be at by "
    "this from or have an not which file one you were all path there their test can has build more"
).split()


def _prose(chance: random.Random, size: int) -> str:
    words: list[str] = []
    while sum(map(len, words)) + len(words) < size:
        words.append(chance.choice(_WORDS))
    return " ".join(words)[:size]


def _code(chance: random.Random, size: int) -> str:
    lines: list[str] = []
    while sum(map(len, lines)) + len(lines) < size:
        name, other = chance.choice(_WORDS), chance.choice(_WORDS)
        lines.append(
            f"{len(lines):5d}\t    self.{name}[\"{other}\"] = {other}({chance.random():.6f}, 'é')"
        )
    return "\n".join(lines)[:size]


def _tool(chance: random.Random, index: int) -> dict[str, Any]:
    properties = {
        f"{word}_{at}": {"type": "string", "description": _prose(chance, 80)}
        for at, word in enumerate(chance.sample(_WORDS, 5))
    }
    return {
        "name": f"Tool{index}",
        "description": _prose(chance, 600),
        "input_schema": {"type": "object", "properties": properties, "required": []},
    }


def _turn(chance: random.Random, index: int, size: int) -> list[dict[str, Any]]:
    call_id = f"toolu_{chance.getrandbits(80):020x}"
    call = {
        "type": "tool_use",
        "id": call_id,
        "name": "Tool1",
        "input": {"path": f"/src/{index}.py"},
    }
    text = {"type": "text", "text": chance.choice((_code, _prose))(chance, size)}
    result = {"type": "tool_result", "tool_use_id": call_id, "content": [text]}
    return [
        {"role": "assistant", "content": [{"type": "text", "text": _prose(chance, 120)}, call]},
        {"role": "user", "content": [result]},
    ]


def conversation(size: int, *, seed: int = 7) -> dict[str, Any]:
    """A body of about ``size`` bytes that ends in a tool result and carries no marks."""
    chance = random.Random(seed)
    small = size < 5_000
    body: dict[str, Any] = {
        "model": "claude-opus-5-5",
        "max_tokens": 1024,
        "system": [{"type": "text", "text": _prose(chance, 300 if small else 6_000)}],
        "tools": [_tool(chance, index) for index in range(1 if small else 12)],
        "messages": [{"role": "user", "content": [{"type": "text", "text": _prose(chance, 200)}]}],
    }
    length, step = len(dump(body)), 100 if small else 2_000 if size < 500_000 else 4_000
    while length < size or len(body["messages"]) < 3:
        turn = _turn(chance, len(body["messages"]), int(step * chance.uniform(0.4, 1.6)))
        body["messages"] += turn
        length += len(dump(turn))
    return body


def dump(value: Any) -> bytes:
    """As the Python SDK sends it: compact, not escaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
