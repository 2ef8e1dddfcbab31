"""A recorded call as a turn that can be sent again: its prefix, its time, what was billed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from farthing.core.prefix import Mark
from farthing.lab.replay.pieces import Piece
from farthing.traces.format import Conversation
from farthing.wire.usage import Usage

__all__ = ["Alteration", "Recording", "Turn"]

#: a piece whose content the client changed, and how often it had been changed by then
Alteration = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Recording:
    """One conversation with its blocks read."""

    conversation: Conversation
    pieces: Sequence[Piece]
    #: ``ends[n]``: how many pieces a request of the first n messages has
    ends: Sequence[int]
    #: who shares a prompt cache with it
    scope: str

    def __repr__(self) -> str:
        return f"Recording({self.conversation.id!r}, {len(self.pieces)} blocks)"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Turn:
    """One call: the same blocks at the same time whatever the policy; only marks differ."""

    recording: Recording
    #: which call of the conversation
    index: int
    model: str
    began_at: datetime
    first_byte_at: datetime
    #: the day that prices it; None: not recorded
    day: date | None
    #: the pieces that are in the prompt, in render order
    kept: Sequence[int]
    #: cumulative per kept piece, as in a ``PrefixView``
    digests: Sequence[bytes]
    positions: Sequence[int]
    tools_end: int
    system_end: int
    #: what the client itself marked
    recorded_marks: tuple[Mark, ...]
    #: what the provider billed, if the recording says; its output count is ``output_tokens``
    recorded: Usage | None
    output_tokens: int
    is_output_estimated: bool = False
    altered: tuple[Alteration, ...] = field(default=())
    #: less was read here than rules and transcript explain, inside the lifetime
    is_break: bool = False

    def __repr__(self) -> str:
        return f"Turn({self.id!r}, {self.model!r}, {self.prompt_tokens} tokens)"

    @property
    def id(self) -> str:
        """The conversation's id and the number of the call."""
        return f"{self.recording.conversation.id}/{self.index}"

    @property
    def prompt_tokens(self) -> int:
        """All input tokens."""
        return self.positions[-1] if self.positions else 0

    @property
    def last_markable(self) -> int | None:
        """The block the provider's automatic mode marks; thinking and empty text cannot be."""
        pieces = self.recording.pieces
        places = range(len(self.kept) - 1, -1, -1)
        return next((at for at in places if pieces[self.kept[at]].is_markable), None)
