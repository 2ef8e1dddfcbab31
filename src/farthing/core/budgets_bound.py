"""What one call asks of its budgets: its worst case by all that is known, and how to ask for less.

The worst case of a call is the price of one pass over its prompt, at the dearest rate that the
marks really sent allow, and ``max_tokens`` of output. The prompt is bounded by its bytes or, where
an answer has counted its beginning, by that count and the bytes behind it.

One answer with server tools may take several passes. ``passes`` of a budget declares how many are
held; undeclared, ``strict`` holds what the provider allows and ``ample`` one.

A call can be made to fit by less ``max_tokens``, down to what the budget calls useful; with a note
that tells the model to come to an end, down to ``NOTE_TOKENS``. The note stands behind the last
block of the last message, so behind every mark, and leaves the prompt's cached part as it is. With
thinking of a fixed length, ``max_tokens`` stays above it: an answer that is never valid saves
nothing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from farthing.core.budgets import Budget
from farthing.core.hold import FRAME_TOKENS, WorstCase
from farthing.errors import RequestError
from farthing.wire import json
from farthing.wire.apply import apply
from farthing.wire.edits import Edit, InsertBlock, SetTopLevel
from farthing.wire.request import Request

__all__ = ["NOTE_TOKENS", "CallBound", "clamped", "rewritten"]

#: the least ``max_tokens`` of a call that is told to come to an end
NOTE_TOKENS: Final = 256

_NOTE: Final = (
    "<farthing-note>Automatic notice: the budget of this work is nearly spent. Finish with what is "
    "known now: give the result so far in a few sentences, and say what is missing. Do not start "
    "anything new.</farthing-note>"
)
_NOTE_BLOCK: Final = json.encode({"type": "text", "text": _NOTE})
_MARK: Final = b"cache_control"
#: fields with which the provider adds nothing to a prompt but the frames of its messages
_PLAIN: Final = frozenset(
    """
    cache_control max_tokens messages metadata model service_tier stop_sequences stream system
    temperature top_k top_p
    """.split()
)
_PLAIN_FRAME_TOKENS: Final = 512


class _Thinking(msgspec.Struct, frozen=True):
    budget_tokens: int = 0


_thinking_decoder = msgspec.json.Decoder(_Thinking)


class CallBound(msgspec.Struct, frozen=True, kw_only=True):
    """A call, as a budget sees it."""

    worst: WorstCase
    prompt_tokens: int
    output_tokens: int
    is_marked: bool
    #: ``max_tokens`` must stay above this
    thinking_tokens: int

    @classmethod
    def of(
        cls, request: Request, worst: WorstCase, known_tokens: int | None, *, client_bytes: int
    ) -> CallBound:
        """The bound of what is sent; ``known_tokens`` bounds its prompt by what was counted.

        ``client_bytes``: of the body that ``worst`` was found for, which marks may have grown.
        """
        prompt = worst.prompt_tokens
        # Not where media were weighed, or the context is the bound.
        is_by_bytes = prompt == FRAME_TOKENS + client_bytes
        if is_by_bytes and worst.is_single_pass and request.names <= _PLAIN:
            prompt = client_bytes + _PLAIN_FRAME_TOKENS
        if known_tokens is not None and worst.is_single_pass:
            prompt = min(prompt, known_tokens)
        return cls(
            worst=worst,
            prompt_tokens=prompt,
            output_tokens=worst.output_tokens,
            is_marked=_MARK in request.body,
            thinking_tokens=_thinking_tokens(request),
        )

    @property
    def one_pass_pico(self) -> int:
        """The worst case of one pass."""
        return self._pico(self.output_tokens)

    def asked_of(self, budget: Budget) -> int:
        """What a budget is asked for."""
        if self.worst.is_single_pass:
            return self.one_pass_pico
        passes = budget.passes
        if passes is None:
            return self.worst.high_pico if budget.mode == "strict" else self.one_pass_pico
        return min(self.worst.high_pico, self.one_pass_pico * passes)

    def output_within(self, room_pico: int) -> int:
        """The most ``max_tokens`` that fits; 0 where none does, or several passes may follow."""
        if not self.worst.is_single_pass:
            return 0
        low, high = 0, self.output_tokens
        while low < high:  # rates depend on the prompt alone, so the price grows with the output
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._pico(middle) <= room_pico else (low, middle - 1)
        return low if self._pico(low) <= room_pico else 0

    def with_output(self, output_tokens: int) -> CallBound:
        """The same call with less ``max_tokens``."""
        return msgspec.structs.replace(self, output_tokens=output_tokens)

    def with_note(self) -> CallBound:
        """The same call with the note."""
        return msgspec.structs.replace(self, prompt_tokens=self.prompt_tokens + len(_NOTE_BLOCK))

    def _pico(self, output_tokens: int) -> int:
        return self.worst.one_pass(
            prompt_tokens=self.prompt_tokens,
            output_tokens=output_tokens,
            is_marked=self.is_marked,
        )


def clamped(bound: CallBound, room_pico: int, least: int) -> CallBound | None:
    """The call with so much ``max_tokens`` as fits; None where that is less than is useful."""
    fits = bound.output_within(room_pico)
    return bound.with_output(fits) if fits - bound.thinking_tokens >= least else None


def rewritten(request: Request, output_tokens: int, *, with_note: bool) -> bytes | None:
    """The body of a call that was made to fit; None where it cannot be written."""
    edits: list[Edit] = [SetTopLevel("max_tokens", b"%d" % output_tokens)]
    try:
        if with_note:
            last = request.messages[-1]
            if last.role != "user":
                return None
            address = f"messages.{last.index}.content.{len(last.blocks)}"
            edits.append(InsertBlock(address, _NOTE_BLOCK))
        return apply(request, edits)
    except (RequestError, IndexError):
        return None


def _thinking_tokens(request: Request) -> int:
    raw = request.field("thinking")
    if raw is None:
        return 0
    try:
        return max(0, _thinking_decoder.decode(raw).budget_tokens)
    except msgspec.MsgspecError:
        return 0
