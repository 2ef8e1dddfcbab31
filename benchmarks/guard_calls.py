"""The calls that the benchmark of budgets plays: who talks, what is sent, what comes back.

Everything is drawn from the dice of a run, so that a seed is a run.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from farthing.wire.usage import Usage

__all__ = [
    "MODEL",
    "START",
    "Attempt",
    "Result",
    "Talk",
    "World",
    "message_of",
    "stream_of",
    "usage_of",
]

MODEL: Final = "claude-opus-5-5"
START: Final = datetime(2026, 11, 21, 9, tzinfo=UTC)


class World:
    """The clock, which may jump."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._at = START
        self._ns = 0

    def now(self) -> datetime:
        """The wall's clock."""
        self._at += timedelta(seconds=1)
        if self._dice.random() < 0.0005:
            self._at = START + timedelta(hours=self._dice.randint(-50, 50))
        return self._at

    def monotonic_ns(self) -> int:
        """Never goes back."""
        self._ns += 1_000_000
        return self._ns


@dataclass
class Talk:
    """A conversation of the workload: its messages, and how many tokens each really has."""

    name: str
    key: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    tokens: int = 50

    def say(self, dice: random.Random, size: int) -> None:
        """The next message, of so many words."""
        role = "assistant" if len(self.messages) % 2 else "user"
        self.messages.append({"role": role, "content": f"{dice.getrandbits(64):x} " + "w " * size})
        self.tokens += 5 + int(size * dice.uniform(0.4, 1.0))


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a client sends, once or more often, and how many tokens its prompt really has."""

    talk: Talk
    body: bytes
    tokens: int
    asked: int
    is_stream: bool


@dataclass
class Result:
    """What came of one run."""

    calls: int = 0
    refused: int = 0
    cancelled: int = 0
    crashes: int = 0
    overshoot: float = 0.0
    utilisation: float = 0.0
    utilisation_true: float | None = None
    phantom_refusals: int = 0
    negative: int = 0
    unbalanced: int = 0


def usage_of(dice: random.Random, prompt: int, output: int, *, is_marked: bool) -> Usage:
    """How the provider counts: any part of a marked prompt may be read or written."""
    if not is_marked:
        return Usage(uncached=prompt, output=output)
    written = int(prompt * dice.choice((0.0, 0.2, 1.0)))
    read = int((prompt - written) * dice.choice((0.0, 0.9)))
    uncached = prompt - written - read
    return Usage(uncached=uncached, cache_write_5m=written, cache_read=read, output=output)


def message_of(usage: Usage) -> bytes:
    """A plain answer."""
    return json.dumps(
        {"id": "m", "model": MODEL, "stop_reason": "end_turn", "usage": _wire(usage)}
    ).encode()


def _wire(usage: Usage) -> dict[str, int]:
    return {
        "input_tokens": usage.uncached,
        "cache_creation_input_tokens": usage.cache_write_5m,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
    }


def stream_of(usage: Usage) -> list[bytes]:
    """A streamed answer, one chunk per event."""
    begun = _wire(usage) | {"output_tokens": 1}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "m", "model": MODEL, "usage": begun}},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": usage.output},
        },
        {"type": "message_stop"},
    ]
    return [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events]
