"""Histories of agents, written turn by turn, as the bytes that a client would send."""

from __future__ import annotations

import json
from typing import Any

from farthing.core.loop_guard import LoopGuard
from farthing.core.loop_values import LoopDecision
from farthing.wire.request import Request

__all__ = ["History", "long_text", "verdicts"]


class History:
    """Turns behind one question."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = [{"role": "user", "content": "do it"}]

    def calls(
        self,
        *calls: tuple[str, dict[str, Any], str],
        fails: bool = False,
        text: str | None = None,
    ) -> History:
        """One turn of calls; ``text`` is what somebody writes beside the results."""
        number = len(self.messages)
        uses, results = [], []
        for place, (tool, arguments, result) in enumerate(calls):
            use_id = f"toolu_{number}_{place}"
            uses.append({"type": "tool_use", "id": use_id, "name": tool, "input": arguments})
            back = {"type": "tool_result", "tool_use_id": use_id, "content": result}
            results.append({**back, "is_error": True} if fails else back)
        written = [] if text is None else [{"type": "text", "text": text}]
        self.messages.append({"role": "assistant", "content": uses})
        self.messages.append({"role": "user", "content": [*results, *written]})
        return self

    def call(self, tool: str, result: str, *, fails: bool = False, **arguments: Any) -> History:
        """One turn with one call."""
        return self.calls((tool, arguments, result), fails=fails)

    def says(self, text: str, reply: str | None = "continue") -> History:
        """One turn without calls."""
        self.messages.append({"role": "assistant", "content": [{"type": "text", "text": text}]})
        if reply is not None:
            self.messages.append({"role": "user", "content": reply})
        return self

    def request(self, *, after: Request | None = None) -> Request:
        body = {"model": "claude-opus-5-5", "messages": self.messages}
        return Request.parse(json.dumps(body, ensure_ascii=False).encode(), after=after)


def long_text(word: str) -> str:
    """A result that says something: other words for another word."""
    return " ".join(f"{word}{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")


def verdicts(history: History, guard: LoopGuard | None = None) -> list[LoopDecision]:
    """What is said to each request that led to this history, the last one included."""
    guard = guard or LoopGuard()
    messages = history.request().messages
    ends = [at for at, message in enumerate(messages) if message.role == "assistant"]
    return [guard.check(messages[:end]) for end in [*ends, len(messages)]]
