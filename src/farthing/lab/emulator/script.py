"""Scripted answers: JSONL, one recorded turn a line; and rules, which answer by what is asked.

A line: ``{"conversation": "c1", "turn": 0, "content": [...], "stop_reason": "tool_use",
"output_tokens": 120, "thinking_tokens": 60, "sizes": [...], "prompt_tokens": 41000, "when": {...},
"times": 1, "fault": "status=529"}``; only ``content`` (a string or blocks) is needed. A request
with the headers ``x-emulator-conversation`` and ``x-emulator-turn`` gets that line, as often as it
asks: a rewritten history still gets the recorded next turn. Any other request gets the first line
in order that is not used up and whose ``when`` fits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from farthing.errors import ConfigError
from farthing.lab.emulator.answers import Answer, Question, matches
from farthing.lab.emulator.faults import parse_fault

__all__ = ["Script", "load_lines"]

_ANSWER = (
    "stop_reason", "stop_details", "output_tokens", "thinking_tokens", "sizes", "prompt_tokens",
)  # fmt: skip
_WHEN = (
    "contains", "system_contains", "model", "has_tools", "has_results", "turn", "header",
)  # fmt: skip
_LINE = frozenset({"conversation", "turn", "content", "when", "times", "fault", *_ANSWER})


def load_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a script (JSONL) or a rule file (a JSON list)."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read the script {str(path)!r}: {error.strerror}") from error
    try:
        if text.lstrip().startswith("["):
            return msgspec.json.decode(text, type=list[dict[str, Any]])
        decode = msgspec.json.Decoder(dict[str, Any]).decode
        return [decode(line) for line in text.splitlines() if line.strip()]
    except msgspec.DecodeError as error:
        raise ConfigError(f"the script {str(path)!r} is not valid JSON: {error}") from error


class Script:
    """Recorded turns, by name or in order; with ``endless`` lines it is a rule file."""

    def __init__(self, lines: Iterable[Mapping[str, Any]] = (), *, endless: bool = False) -> None:
        self._endless = endless
        self._answers: list[Answer] = []
        self._when: list[Mapping[str, Any]] = []
        self._left: list[int | None] = []
        self._named: dict[tuple[str, int], int] = {}
        self._turns: dict[str, int] = defaultdict(int)
        self._next: dict[tuple[str, str], int] = defaultdict(int)
        self._first = 0
        self.extend(lines)

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def unused(self) -> int:
        """Lines that still wait for their request."""
        return sum(left is not None and left > 0 for left in self._left)

    def extend(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Add lines behind those there are."""
        for line in lines:
            self._add(line)

    def find(self, question: Question) -> Answer | None:
        """The line this request is for."""
        if question.conversation is not None:
            return self._by_name(question)
        while self._first < len(self._left) and self._left[self._first] == 0:
            self._first += 1
        for at in range(self._first, len(self._answers)):
            if self._left[at] != 0 and matches(self._when[at], question):
                return self._answers[at]
        return None

    def use(self, question: Question, answer: Answer) -> None:
        """Count the line as served."""
        if answer.ticket is None:
            return
        left = self._left[answer.ticket]
        if left is not None and left > 0:
            self._left[answer.ticket] = left - 1
        if question.conversation is not None:
            self._next[question.call.account.scope, question.conversation] += 1

    def _by_name(self, question: Question) -> Answer | None:
        name = question.conversation or ""
        turn = question.turn
        if turn is None:
            turn = self._next[question.call.account.scope, name]
        at = self._named.get((name, turn))
        return None if at is None else self._answers[at]

    def _add(self, line: Mapping[str, Any]) -> None:
        if unknown := set(line) - _LINE:
            raise ConfigError(
                f"unknown member {min(unknown)!r} in a script line: see docs/emulator.md"
            )
        when = line.get("when") or {}
        if unknown := set(when) - set(_WHEN):
            raise ConfigError(f"unknown condition {min(unknown)!r}: choose from {', '.join(_WHEN)}")
        fault = str(line.get("fault", ""))
        parse_fault(fault)
        at = len(self._answers)
        name = line.get("conversation")
        if name is not None:
            turn = int(line.get("turn", self._turns[name]))
            self._turns[name] = turn + 1
            self._named[str(name), turn] = at
        members = {key: line[key] for key in _ANSWER if key in line}
        content = _content(line.get("content", ""))
        self._answers.append(Answer(content=content, fault=fault, ticket=at, **members))
        self._when.append(when)
        self._left.append(line.get("times", None if self._endless else 1))


def _content(value: Any) -> tuple[dict[str, Any], ...]:
    if isinstance(value, str):
        return ({"type": "text", "text": value},) if value else ()
    if isinstance(value, list) and all(isinstance(block, dict) for block in value):
        return tuple(value)
    raise ConfigError(
        f"a script line's content must be a string or a list of blocks, not {value!r}"
    )
