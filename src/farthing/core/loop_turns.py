"""A history as turns: each answer with what answered it, read once.

A turn is complete when somebody answered the assistant: with results, with words, or with both. Its
counts are filled in by ``farthing.core.loop_guard``, which alone knows the turns before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from farthing.core.loop_signatures import CallView, read_call, read_words
from farthing.core.loop_values import LoopFinding, LoopNote
from farthing.wire.blocks import Block, Message

__all__ = ["Turn", "read_turn", "shared_messages"]

#: what a client adds to a user message by itself: nobody has spoken
_REMINDER: Final = b'"<system-reminder>'


@dataclass(slots=True)
class Turn:
    """One answer and what answered it, with the counts that end here."""

    first: int
    end: int
    calls: tuple[CallView, ...]
    #: tools and arguments
    key: tuple[bytes, ...]
    #: what somebody wrote, beside results
    words: tuple[bytes, ...]
    size: int
    waits: bool
    #: somebody wrote something new: nothing before counts any more
    is_barrier: bool = False
    #: per cycle length: turns in a row that equal the one so many steps before
    runs: list[int] = field(default_factory=list)
    stale: int = 0
    polls: int = 0
    finding: LoopFinding | None = None
    #: all notes up to here
    notes: tuple[LoopNote, ...] = ()

    @property
    def are_errors(self) -> bool:
        """Did every call fail?"""
        return all(call.is_error for call in self.calls)


def read_turn(
    messages: Sequence[Message], at: int, *, poll_tools: frozenset[str], key: bytes
) -> Turn | None:
    """The turn that begins at or after this message; None while nobody answered it."""
    first = _next(messages, at, is_answer=True)
    middle = _next(messages, first, is_answer=False)
    end = _next(messages, middle, is_answer=True)
    said = [block for message in messages[first:middle] for block in message.blocks]
    back = [block for message in messages[middle:end] for block in message.blocks]
    if not said or not back:
        return None
    calls = _calls(said, back, poll_tools, key)
    return Turn(
        first=first,
        end=end,
        calls=calls,
        key=tuple([call.arguments_key for call in calls]),
        words=_written(back),
        size=sum([len(block.raw) for block in said]) + sum([len(block.raw) for block in back]),
        waits=any(call.waits for call in calls),
    )


def _next(messages: Sequence[Message], at: int, *, is_answer: bool) -> int:
    """The next message that is an answer, or is none; else the end."""
    while at < len(messages) and (messages[at].role == "assistant") is not is_answer:
        at += 1
    return at


def _calls(
    said: list[Block], back: list[Block], poll_tools: frozenset[str], key: bytes
) -> tuple[CallView, ...]:
    results = {
        block.get("tool_use_id"): block
        for block in (*said, *back)
        if block.kind.endswith("tool_result")
    }
    calls = [
        read_call(block, results.get(block.get("id")), poll_tools=poll_tools, key=key)
        for block in said
        if block.kind.endswith("tool_use")
    ]
    return tuple(calls) or (read_words(said, said[0].address, key),)


def shared_messages(known: Sequence[Message], messages: Sequence[Message]) -> int:
    """How many messages both begin with; what ``parse`` shared, it shared from the start."""
    most = min(len(known), len(messages))
    kept = most
    while kept and known[kept - 1] is not messages[kept - 1]:
        kept -= 1
    while kept < most and _is_same_message(known[kept], messages[kept]):
        kept += 1
    return kept


def _is_same_message(one: Message, other: Message) -> bool:
    return (
        one.role == other.role
        and len(one.blocks) == len(other.blocks)
        and all(a is b or a.raw == b.raw for a, b in zip(one.blocks, other.blocks, strict=True))
    )


def _written(back: list[Block]) -> tuple[bytes, ...]:
    """What is no result: somebody wrote it, unless the client adds it by itself."""
    texts = [block.get("text") or b"" for block in back if block.kind == "text"]
    return tuple([text for text in texts if not text.startswith(_REMINDER)])
