"""One stretch of a thread: the messages of a history that only grows, and the calls made on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
from msgspec import Raw

from farthing.traces.blocks import content_blocks
from farthing.traces.format import Message
from farthing.wire.usage import Usage

__all__ = ["CLEARED", "Answer", "Entry", "Stretch", "without_results"]

#: what the client leaves where it clears an old tool result
CLEARED: Final = b'"[Old tool result content cleared]"'


@dataclass(slots=True)
class Entry:
    """A message in the making: one transcript line per content block."""

    role: str
    contents: list[Raw] = field(default_factory=list)

    def message(self) -> Message:
        """The message, its blocks in one list; a lone string stays a string."""
        if len(self.contents) == 1:
            return Message(role=self.role, content=self.contents[0])
        parts = [part for part in map(_list_body, self.contents) if part]
        return Message(role=self.role, content=Raw(b"[" + b",".join(parts) + b"]"))


@dataclass(slots=True)
class Answer:
    """An assistant message as an API call; repeated lines are laid over one another."""

    entry: Entry
    message_id: str
    prompt_messages: int
    model: str | None
    asked_at: float | None
    done_at: float | None
    request_id: str | None = None
    stop_reason: str | None = None
    usage: bytes = b""
    counts: Usage | None = None

    @property
    def output_tokens(self) -> int:
        """What the best line so far knew; -1 before any did."""
        return self.counts.output if self.counts else -1


@dataclass(slots=True)
class Stretch:
    """Messages in order, and the calls whose answers are among them."""

    kind: str
    entries: list[Entry] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    ended_by: str | None = None

    def said_by_user(self, content: Raw) -> Entry:
        """Add a user line; several in a row are one message."""
        if not self.entries or self.entries[-1].role != "user":
            self.entries.append(Entry("user"))
        self.entries[-1].contents.append(content)
        return self.entries[-1]

    @property
    def position_of_last_answer(self) -> int:
        """The index of the newest answer's message; -1 before the first."""
        return self.answers[-1].prompt_messages if self.answers else -1

    def position(self, entry: Entry) -> int | None:
        """Where an entry stands, looked for from the end."""
        for index in range(len(self.entries) - 1, -1, -1):
            if self.entries[index] is entry:
                return index
        return None


def without_results(entries: Iterable[Entry], tool_use_ids: frozenset[str]) -> list[Entry]:
    """The same history after the client cleared these tool results."""
    return [
        replace(entry, contents=[_cleared(content, tool_use_ids) for content in entry.contents])
        if entry.role == "user"
        else entry
        for entry in entries
    ]


def _cleared(content: Raw, tool_use_ids: frozenset[str]) -> Raw:
    blocks = content_blocks(content)
    if not any(block.tool_use_id in tool_use_ids for block in blocks):
        return content
    parts: list[dict[str, Raw]] = msgspec.json.decode(content, type=list[dict[str, Raw]])
    for block, members in zip(blocks, parts, strict=True):
        if block.tool_use_id in tool_use_ids:
            members["content"] = Raw(CLEARED)
    return Raw(msgspec.json.encode(parts))


def _list_body(content: Raw) -> bytes:
    """What stands between the brackets of a list of blocks; a string as one text block."""
    raw = bytes(content).strip()
    if raw.startswith(b"["):
        return raw[1:-1].strip()
    return b'{"type":"text","text":' + raw + b"}"
