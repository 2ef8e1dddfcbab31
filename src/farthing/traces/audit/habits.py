"""Habits that cost: files read again, turns that could have been one, pauses, unattended calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import msgspec

from farthing.traces.audit.counted import CountedCall
from farthing.traces.audit.lifetime import Life
from farthing.traces.audit.pieces import Piece
from farthing.traces.blocks import content_blocks
from farthing.traces.format import Conversation

__all__ = ["Serial", "is_unattended", "pauses", "repeated_reads", "serial_turns"]

_READERS: Final = frozenset(
    {"Glob", "Grep", "LS", "NotebookRead", "Read", "WebFetch", "WebSearch", "bash", "Bash"}
)
#: shell programs that only look
_LOOKING: Final = frozenset(
    {
        "cat", "du", "file", "find", "git blame", "git diff", "git log", "git show", "git status",
        "grep", "head", "ls", "nl", "rg", "sed", "stat", "tail", "tree", "wc", "which",
    }
)  # fmt: skip
_WRITING_ARGUMENTS: Final = (b" -i", b">", b"-delete", b"-exec", b"tee ")

#: a word of an argument shorter than this is in any text
_TELLING_LENGTH: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Serial:
    """A turn whose one look needed nothing from the turn before."""

    call: CountedCall
    tool: str
    #: 10⁻¹² USD of reading the same history once more; None: unpriced
    estimated_pico: float | None


def repeated_reads(found: Sequence[Life]) -> Iterator[tuple[str, Life]]:
    """Results that brought a file unchanged into a prompt that already held it, by file name."""
    latest: dict[str, int] = {}
    for life in found:
        use = life.piece.use
        if life.piece.kind != "tool result" or use is None or not use.path:
            continue
        key = f"{use.name} {use.path} {hash(use.arguments)}"
        if latest.get(key) == life.piece.content_key:
            yield life.piece.name, life
        latest[key] = life.piece.content_key


def serial_turns(
    conversation: Conversation, pieces: Sequence[Piece], calls: Sequence[CountedCall]
) -> Iterator[Serial]:
    """Consecutive turns with one read-only tool call each, the second independent of the first."""
    by_call = _single_looks(pieces)
    for first, second in pairwise(range(len(calls))):
        look, next_look = by_call.get(first), by_call.get(second)
        if look is None or next_look is None or not calls[second].billed:
            continue
        if _depends(conversation, calls[first], calls[second], next_look):
            continue
        call = calls[second]
        usage, rates = call.usage, call.rates
        pico = None if rates is None or usage is None else float(rates.cache_read * usage.prompt)
        name = next_look.use.name if next_look.use else "unknown"
        yield Serial(call=call, tool=name, estimated_pico=pico)


def pauses(calls: Sequence[CountedCall], before: float | None) -> Iterator[tuple[float, int]]:
    """Seconds between request starts, and the index of the call after the pause."""
    last = before
    for index, call in enumerate(calls):
        if call.at is not None and last is not None and call.at > last:
            yield call.at - last, index
        last = call.at if call.at is not None else last


def is_unattended(conversation: Conversation) -> bool:
    """One call, no tools used, nobody at the keyboard: half the price as a batch row."""
    return (
        len(conversation.calls) == 1
        and conversation.interactive is not True
        and conversation.agent_id is None
        and conversation.calls[0].streamed is not True
        and conversation.calls[0].stop_reason != "tool_use"
        and not _answer_uses_tools(conversation)
    )


def _answer_uses_tools(conversation: Conversation) -> bool:
    answer = conversation.messages[conversation.calls[0].prompt_messages :][:1]
    return any(
        block.type == "tool_use" for message in answer for block in content_blocks(message.content)
    )


def _single_looks(pieces: Sequence[Piece]) -> dict[int, Piece]:
    """Call index -> its only tool call, where that only looks."""
    made: dict[int, list[Piece]] = {}
    for piece in pieces:
        if piece.kind == "tool call":
            # the answer of call k is part of the prompt from call k + 1 on
            made.setdefault(piece.entered - 1, []).append(piece)
    return {
        call: found[0] for call, found in made.items() if len(found) == 1 and _only_looks(found[0])
    }


def _only_looks(piece: Piece) -> bool:
    use = piece.use
    if use is None or use.name not in _READERS:
        return False
    if use.name.lower() != "bash":
        return True
    writes = any(mark in use.arguments for mark in _WRITING_ARGUMENTS)
    return use.program in _LOOKING and not writes


def _depends(
    conversation: Conversation, first: CountedCall, second: CountedCall, look: Piece
) -> bool:
    """Does the second look ask for something that only the first one's result named."""
    words = _argument_words(look)
    messages = conversation.messages
    known = b"".join(bytes(message.content) for message in messages[:1])
    new = messages[first.call.prompt_messages + 1 : second.call.prompt_messages]
    learned = b"".join(bytes(message.content) for message in new)
    return any(word in learned and word not in known for word in words)


def _argument_words(look: Piece) -> list[bytes]:
    """The last parts of paths and the long words of patterns: what a result could have told."""
    if look.use is None:
        return []
    try:
        members = msgspec.json.decode(look.use.arguments)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []
    values = members.values() if isinstance(members, dict) else ()
    words = (word for value in values if isinstance(value, str) for word in value.split())
    tails = (word.rstrip("/").rpartition("/")[2] for word in words)
    return [tail.encode() for tail in tails if len(tail) >= _TELLING_LENGTH]
