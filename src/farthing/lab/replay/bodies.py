"""Turns as Messages parameters: what a client of this policy would put on the wire.

Only for the replay through the emulator; the simulation needs no bodies. A block of a hidden prefix
becomes a text that names it, a changed block gets a suffix that says how often it was changed: the
recorded sizes count, not these texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Any, Final

from farthing.lab.replay.pieces import Piece, plain_value
from farthing.lab.replay.sending import Sending
from farthing.lab.replay.turns import Recording, Turn

__all__ = ["BodyWriter", "block_sizes"]

#: conversations whose decoded blocks are kept: those that are going on at the same time
_KEPT_RECORDINGS: Final = 64

_Block = dict[str, Any]


def block_sizes(turn: Turn) -> list[int]:
    """Tokens of each rendered block, in render order."""
    return [after - before for before, after in pairwise((0, *turn.positions))]


class BodyWriter:
    """Writes the parameters of turns; decodes each conversation once."""

    def __init__(self) -> None:
        self._decoded: dict[str, list[_Block]] = {}

    def write(self, turn: Turn, sending: Sending) -> dict[str, Any]:
        """The parameters of ``messages.create``."""
        recording = turn.recording
        shown = range(recording.ends[recording.conversation.calls[turn.index].prompt_messages])
        blocks = self._blocks(recording)[: len(shown)]
        for piece, count in turn.altered:
            blocks[piece] = _changed(blocks[piece], count)
        for mark in sending.marks:
            control = {"type": "ephemeral", "ttl": mark.ttl}
            blocks[turn.kept[mark.index]] |= {"cache_control": control}
        body = _assemble(recording.pieces, blocks)
        body |= {"model": turn.model, "max_tokens": max(1, turn.output_tokens)}
        if sending.automatic is not None:
            body["cache_control"] = {"type": "ephemeral", "ttl": sending.automatic}
        return body

    def _blocks(self, recording: Recording) -> list[_Block]:
        key = recording.conversation.id
        if key not in self._decoded:
            if len(self._decoded) >= _KEPT_RECORDINGS:
                del self._decoded[next(iter(self._decoded))]
            self._decoded[key] = _decode(recording)
        return [dict(block) for block in self._decoded[key]]


def _decode(recording: Recording) -> list[_Block]:
    return [
        {"type": "text", "text": piece.hidden} if piece.hidden else plain_value(piece.raw)
        for piece in recording.pieces
    ]


def _changed(block: _Block, count: int) -> _Block:
    """The block with other content of the same kind; ``Layout.alter`` chose one that can."""
    note = f" [changed {count}]"
    match block.get("type"):
        case "text":
            return {**block, "text": block["text"] + note}
        case "tool_use":
            return {**block, "input": {**block["input"], "_changed": count}}
        case "tool_result":
            return {**block, "content": _changed_result(block.get("content"), note)}
        case _:
            return {**block, "description": str(block.get("description", "")) + note}


def _changed_result(content: Any, note: str) -> Any:
    if isinstance(content, list):
        return [*content, {"type": "text", "text": note}]
    return f"{content or ''}{note}"


def _assemble(pieces: Sequence[Piece], blocks: Sequence[_Block]) -> dict[str, Any]:
    """Blocks in render order as the three lists of a body."""
    body: dict[str, Any] = {"messages": []}
    for (level, message), group in groupby(
        zip(pieces, blocks, strict=False), key=lambda pair: (pair[0].level, pair[0].message)
    ):
        members = list(group)
        values = [block for _, block in members]
        if level == "messages":
            body["messages"].append({"role": members[0][0].role, "content": values})
        else:
            assert message < 0
            body[level] = values
    return body
