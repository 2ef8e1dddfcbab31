"""From traces to turns in the order of time: what every policy is replayed on.

Theory of operation. Requests, sizes and times of a replay are those of the recording; a policy only
moves breakpoints. What the recording shows of *hidden* changes is put into the requests themselves,
so that it hits every policy alike:

- a **rewrite**: the prompt became smaller than its history. Its content behind what was still read
  becomes another one, in every replay;
- a **break**: inside the lifetime, nothing visible changed, and yet less was read than was cached.
  The same, unless ``breaks="remove"``: a break that merely vanishes in replay is nobody's saving.

A call that *more* was read for than any recorded call wrote (another session kept the prefix warm)
is not imitated: in a replay a prefix is warm only if a replayed call warmed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import blake2b
from typing import Final, Literal

import msgspec

from farthing.core.hazard import FULL_RATIO
from farthing.core.prefix import LIFETIMES, Ttl
from farthing.errors import UpstreamError
from farthing.lab.replay.layout import Layout, Positions
from farthing.lab.replay.marks import recorded_marks, recorded_ttl
from farthing.lab.replay.pieces import THINKING, Piece, read_pieces
from farthing.lab.replay.turns import Recording, Turn
from farthing.pricing import traits
from farthing.traces.format import Call, Conversation, is_billed, is_given
from farthing.traces.instants import parse_instant, utc_day
from farthing.wire.usage import Usage, parse_usage

__all__ = ["Breaks", "read_turns"]

Breaks = Literal["inject", "remove"]

#: A response is announced at most this long after its request; only its end is recorded.
_FIRST_BYTE_WITHIN: Final = timedelta(seconds=2)

#: For conversations without times: when the first one starts, how far they and their calls are
#: apart. Invented, so neither an expiry nor a warm start may follow from them.
_UNDATED_START: Final = 1_767_225_600.0
_UNDATED_GAP: Final = 86_400.0
_UNTIMED_CALL: Final = 10.0

#: A prompt this much smaller than its history was rewritten; less is an estimate that was off.
_REWRITE_RATIO: Final = 0.98
_REWRITE_TOKENS: Final = 256

#: A recorded output count below this share of the visible text is a snapshot of a stream.
_SNAPSHOT_RATIO: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recorded:
    """One billed call with its usage read and its times known or made up."""

    call: Call
    index: int
    began_at: float
    done_at: float | None
    usage: Usage | None


def read_turns(
    conversations: Iterable[Conversation], *, breaks: Breaks = "inject", model: str | None = None
) -> list[Turn]:
    """The billed calls of all conversations in the order of time, on their model or another one."""
    known: Positions = {}
    turns = [
        turn
        for number, conversation in enumerate(conversations)
        for turn in _Reader(conversation, number, known, breaks, model).turns()
    ]
    return sorted(turns, key=lambda turn: turn.began_at)


class _Reader:
    """The turns of one conversation."""

    def __init__(
        self,
        conversation: Conversation,
        number: int,
        known: Positions,
        breaks: Breaks,
        model: str | None,
    ) -> None:
        pieces, ends = read_pieces(conversation)
        self._recording = Recording(
            conversation=conversation,
            pieces=pieces,
            ends=ends,
            scope=conversation.user_key or "default",
        )
        self._known = known
        self._breaks = breaks
        self._model = model
        self._layouts: dict[str, Layout] = {}
        self._calls = list(_billed_calls(conversation, number))
        self._is_dated = parse_instant(conversation.started_at) is not None
        self._ttl = recorded_ttl(conversation, [call.usage for call in self._calls if call.usage])

    def turns(self) -> Iterator[Turn]:
        """In the order of the conversation."""
        before: _Recorded | None = None
        for call in self._calls:
            yield self._turn(call, before)
            before = call

    def _turn(self, call: _Recorded, before: _Recorded | None) -> Turn:
        recording = self._recording
        model = self._model or call.call.model or recording.conversation.model or "unknown"
        layout = self._layout(model)
        kept = _kept(recording, call.call.prompt_messages, model)
        is_break = self._imitate(layout, call, before, kept)
        prefix = layout.grow(kept, call.usage.prompt if call.usage else None)
        marks = recorded_marks(recording.conversation, recording.pieces, kept, self._ttl)
        output, is_estimated = _output(recording, call)
        levels = [recording.pieces[at].level for at in kept[: recording.ends[0]]]
        began_at = _instant(call.began_at)
        return Turn(
            recording=recording,
            index=call.index,
            model=model,
            began_at=began_at,
            first_byte_at=_first_byte_at(began_at, call.done_at),
            day=utc_day(call.began_at) if self._is_dated else None,
            kept=kept,
            digests=prefix.digests,
            positions=prefix.positions,
            tools_end=levels.count("tools"),
            system_end=len(levels),
            recorded_marks=marks,
            recorded=call.usage,
            output_tokens=output,
            is_output_estimated=is_estimated,
            altered=layout.altered,
            is_break=is_break,
        )

    def _layout(self, model: str) -> Layout:
        if model not in self._layouts:
            seed = blake2b(f"{self._recording.scope}\n{model}".encode(), digest_size=16).digest()
            self._layouts[model] = Layout(self._recording.pieces, seed, self._known)
        return self._layouts[model]

    def _imitate(
        self, layout: Layout, call: _Recorded, before: _Recorded | None, kept: Sequence[int]
    ) -> bool:
        """Change what the client must have changed; True if nothing visible explains it."""
        if call.usage is None or not layout.positions or not layout.extends(kept):
            return False
        boundary = _boundary(layout.positions, call.usage.cache_read)
        if call.usage.prompt < _REWRITE_RATIO * layout.positions[-1] - _REWRITE_TOKENS:
            layout.alter(min(boundary, len(layout.positions) - 1), resize=True)
            return False
        if before is None or not _is_break(call, before, self._ttl):
            return False
        if self._breaks == "inject" and boundary < len(layout.positions):
            layout.alter(boundary, resize=False)
        return self._breaks == "inject"


def _is_break(call: _Recorded, before: _Recorded, ttl: Ttl | None) -> bool:
    """Did this call read clearly less than the one before had left, inside the lifetime?"""
    now, then = call.usage, before.usage
    if ttl is None or now is None or then is None or call.call.model != before.call.model:
        return False
    age = timedelta(seconds=call.began_at - before.began_at)
    cached = min(then.prompt - then.uncached, now.prompt)
    return age < LIFETIMES[ttl] and now.cache_read < FULL_RATIO * cached


def _boundary(positions: Sequence[int], read_tokens: int) -> int:
    """The first block that was not read: positions are shares, so a read near one ended there."""
    reach = read_tokens + max(64, read_tokens // 50)
    return next((at for at, end in enumerate(positions) if end > reach), len(positions))


def _billed_calls(conversation: Conversation, number: int) -> Iterator[_Recorded]:
    started_at = parse_instant(conversation.started_at)
    start = _UNDATED_START + number * _UNDATED_GAP if started_at is None else started_at
    last = start - _UNTIMED_CALL
    for index, call in enumerate(conversation.calls):
        if not is_billed(call) or not call.prompt_messages:
            continue
        began_at = last + _UNTIMED_CALL if call.at is None else start + call.at
        done_at = None if call.done_at is None else start + call.done_at
        last = began_at if done_at is None else max(began_at, done_at)
        usage = _usage(call)
        yield _Recorded(call=call, index=index, began_at=began_at, done_at=done_at, usage=usage)


def _usage(call: Call) -> Usage | None:
    """The provider's counts; None where there are none, or no length of the prompt."""
    if not is_given(call.usage):
        return None
    try:
        usage = parse_usage(bytes(call.usage))
    except UpstreamError:
        return None
    return msgspec.structs.replace(usage, iterations=()) if usage.prompt else None


@cache
def _keeps_all_thinking(model: str) -> bool:
    known = traits(model)
    return known is None or known.keeps_all_thinking


def _kept(recording: Recording, messages: int, model: str) -> Sequence[int]:
    """The pieces in the prompt: earlier thinking is dropped where the model does so (facts 6.4)."""
    everything = range(recording.ends[min(messages, len(recording.ends) - 1)])
    if _keeps_all_thinking(model):
        return everything
    pieces = recording.pieces
    last = next((pieces[at].message for at in reversed(everything) if _is_spoken(pieces[at])), 0)
    return [
        at for at in everything if pieces[at].kind not in THINKING or pieces[at].message >= last
    ]


def _is_spoken(piece: Piece) -> bool:
    return piece.role == "user" and piece.kind != "tool_result"


def _output(recording: Recording, call: _Recorded) -> tuple[int, bool]:
    """Output tokens: the recorded count, unless more than twice as much is visible."""
    ends, first = recording.ends, call.call.prompt_messages
    counted = call.usage.output if call.usage else 0
    if first + 1 >= len(ends):
        return counted, False
    answer = recording.pieces[ends[first] : ends[first + 1]]
    visible = round(sum(piece.weight for piece in answer if piece.role == "assistant"))
    if counted >= _SNAPSHOT_RATIO * visible:
        return counted, False
    return visible, True


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _first_byte_at(began_at: datetime, done_at: float | None) -> datetime:
    latest = began_at + _FIRST_BYTE_WITHIN
    if done_at is None:
        return latest
    return max(began_at, min(latest, _instant(done_at)))
