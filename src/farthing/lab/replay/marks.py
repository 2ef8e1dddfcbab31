"""The breakpoints a recorded client set: as the trace names them, else as its usage betrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from farthing.core.prefix import Mark, Ttl
from farthing.lab.replay.pieces import Piece
from farthing.traces.format import Conversation
from farthing.wire.usage import Usage

__all__ = ["recorded_marks", "recorded_ttl"]

#: The provider takes no more (API facts 2.1).
_MOST: Final = 4


def recorded_ttl(conversation: Conversation, usages: Sequence[Usage]) -> Ttl | None:
    """The lifetime the client asked for; None: nothing shows that it used the prompt cache."""
    if conversation.ttl is not None:
        return "1h" if conversation.ttl == "1h" else "5m"
    if any(usage.cache_write_1h for usage in usages):
        return "1h"
    # Reads alone show nothing: other providers cache on their own, and report reads only.
    is_asked = any(usage.cache_write_5m for usage in usages)
    return "5m" if is_asked or conversation.markers else None


def recorded_marks(
    conversation: Conversation, pieces: Sequence[Piece], kept: Sequence[int], ttl: Ttl | None
) -> tuple[Mark, ...]:
    """The marks on a request of the kept pieces."""
    if ttl is None or not kept:
        return ()
    if conversation.markers:
        shown = [pieces[at] for at in kept]
        found = (_resolve(address, shown) for address in conversation.markers)
        places = {at for at in found if at is not None}
    else:
        places = set(_agent_marks(pieces, kept))
    markable = [at for at in sorted(places) if pieces[kept[at]].is_markable]
    return tuple(Mark(index=at, ttl=ttl) for at in markable[-_MOST:])


def _agent_marks(pieces: Sequence[Piece], kept: Sequence[int]) -> Iterator[int]:
    """What coding agents mark: the ends of the prefix, the last two messages.

    Client 2.1.197 marks the last message only (recorded in 2026-11); those of the recorded traces
    must have marked two: turns of 20 to 27 new blocks in two messages read everything.
    """
    prefix = 0
    while prefix < len(kept) and pieces[kept[prefix]].message < 0:
        prefix += 1
    yield from range(0 if prefix and pieces[0].hidden else max(0, prefix - 1), prefix)
    for at in range(len(kept) - 2, prefix - 1, -1):
        piece = pieces[kept[at]]
        if piece.role == "assistant" and piece.is_markable:
            yield at
            break
    yield len(kept) - 1


def _resolve(address: str, pieces: Sequence[Piece]) -> int | None:
    """The place of a block address (docs/trace-format.md); negative numbers count from the end."""
    level, *words = [part for part in address.split(".") if part != "content"]
    numbers = [int(word) for word in words if word.lstrip("-").isdigit()]
    places = [at for at, piece in enumerate(pieces) if piece.level == level]
    if level == "messages" and numbers:
        last = pieces[-1].message
        message = numbers[0] if numbers[0] >= 0 else last + 1 + numbers[0]
        places = [at for at in places if pieces[at].message == message]
        numbers = numbers[1:]
    number = numbers[0] if numbers else -1
    return places[number] if -len(places) <= number < len(places) else None
