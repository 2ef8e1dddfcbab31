"""Agents that call tools turn by turn, through the real SDK, with histories that grow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import anthropic

__all__ = ["MODEL", "Agent", "Turn", "long_text"]

MODEL: Final = "claude-sonnet-4-6"

#: a tool's name, its arguments, and what comes back
Turn = tuple[str, dict[str, Any], str]


def long_text(seed: str, words: int = 330) -> str:
    """About 500 tokens that say something; other words for another seed."""
    return " ".join(f"{seed}{number:x}" for number in range(words))


@dataclass
class Agent:
    """Sends its whole history, then makes the next call of its script; marks its newest block."""

    client: anthropic.Anthropic
    headers: dict[str, str] = field(default_factory=dict)
    messages: list[dict[str, Any]] = field(default_factory=list)
    #: the headers of each answer
    heard: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.messages = [{"role": "user", "content": "Mend the build. " + long_text("task", 2_000)}]

    def ask(self) -> None:
        """One request with the history as it is."""
        answer = self.client.messages.with_raw_response.create(
            model=MODEL,
            max_tokens=200,
            system="You mend builds.",
            tools=[{"name": "read_file", "input_schema": {"type": "object"}}],
            messages=self.messages,  # type: ignore[arg-type]  # written out by hand
            extra_headers=self.headers,
        )
        self.heard.append({name.lower(): value for name, value in answer.headers.items()})

    def acted(self, tool: str, arguments: dict[str, Any], result: str) -> None:
        """What the agent did with the answer, and what came back."""
        use_id = f"toolu_{len(self.messages):06d}"
        use = {"type": "tool_use", "id": use_id, "name": tool, "input": arguments}
        back = {
            "type": "tool_result",
            "tool_use_id": use_id,
            "content": result,
            "cache_control": {"type": "ephemeral"},
        }
        for message in self.messages[1:]:
            for block in message["content"]:
                block.pop("cache_control", None)
        self.messages += [
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [back]},
        ]

    def run(self, turns: Iterable[Turn]) -> None:
        """Ask, act, ask …"""
        for turn in turns:
            self.ask()
            self.acted(*turn)

    @property
    def turns(self) -> int:
        """How many it has made."""
        return len(self.messages) // 2
