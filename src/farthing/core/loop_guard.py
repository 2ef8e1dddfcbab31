"""Does this request's own history end in a loop? The same history always gets the same verdict.

Theory of operation
-------------------
A *turn* is an assistant message and what answered it; its signature is its calls' tools, canonical
arguments and normalised results (``farthing.core.loop_signatures``). Turn by turn two things are
counted:

- for each cycle length up to ``max_cycle_len``, how many turns in a row equal the one that many
  steps before: ``(repeats - 1) × length`` of them are ``repeats`` copies (exact cycles, monologues
  and repeated errors);
- how many turns in a row were *stale*: no call had a result that its tool had not shown before, nor
  one unlike the last ones (SimHash), and none changed anything it had not tried before. What says
  little (an empty answer, ``ok``) tells nothing, so there new arguments count as something new.

What is not a loop: whoever edits between two test runs changes something; pages of a list are new
results; a retry that works ends the row; and what somebody else says for the first time starts
everything anew. Turns that wait (``sleep 30``, a tool named or declared so) take the turns around
them out of both tests and into a budget of polls that showed the same.

A finding's ``percent`` says how far beyond its limit it is. Where it first reaches what the ladder
asks for, a note is due at the end of that turn: as the count is a function of the messages up to
there, every later turn finds the same note at the same place, and the prompt cache holds.

``LoopGuard`` remembers what it read of a history, like ``BlockMemo``, and goes on where the next
request differs. Messages are told by identity (``Request.parse(after=…)`` shares them), else by
their blocks' bytes. So one guard serves one lineage, and losing it costs time, never a verdict.

Interface: ``LoopGuard(policy, ladder, key=…).check(request.messages)`` → ``LoopDecision``;
``farthing.core.loop_watch`` keeps those of many lineages in bounded memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from farthing.core.loop_ladder import LoopLadder, note_text
from farthing.core.loop_signatures import CallView, is_near, is_same_result
from farthing.core.loop_turns import Turn, read_turn, shared_messages
from farthing.core.loop_values import (
    TOKENS_PER_BYTE,
    LoopCall,
    LoopDecision,
    LoopFinding,
    LoopKind,
    LoopNote,
    LoopPolicy,
)
from farthing.wire.blocks import Message

__all__ = ["LoopGuard"]

#: so many earlier calls are asked whether they showed the same, and the same almost
_LOOK_BACK: Final = 8
_NEAR_BACK: Final = 4
_MOST_EVIDENCE: Final = 24
_AT_LIMIT: Final = 100


class LoopGuard:
    """Reads the history of one lineage, and goes on where it grew."""

    __slots__ = ("_key", "_ladder", "_messages", "_policy", "_seen", "_turns", "_words")

    def __init__(
        self,
        policy: LoopPolicy | None = None,
        ladder: LoopLadder | None = None,
        *,
        key: bytes = b"",
    ) -> None:
        self._policy = policy or LoopPolicy()
        self._ladder = ladder or LoopLadder()
        self._key = key
        self._messages: list[Message] = []
        self._turns: list[Turn] = []
        #: what calls of a tool have shown, and which arguments were tried; the oldest first
        self._seen: dict[object, list[CallView]] = {}
        #: what was written → the turn in which it was written first
        self._words: dict[bytes, int] = {}

    def check(self, messages: Sequence[Message]) -> LoopDecision:
        """The verdict on a request with these messages."""
        self._rewind(shared_messages(self._messages, messages), messages)
        at = self._turns[-1].end if self._turns else 0
        self._messages[at:] = messages[at:]
        while at < len(messages) and (turn := self._read(at)) is not None:
            self._count(turn)
            self._turns.append(turn)
            at = turn.end
        return self._decide()

    def _read(self, at: int) -> Turn | None:
        return read_turn(self._messages, at, poll_tools=self._policy.poll_tools, key=self._key)

    def _rewind(self, kept: int, messages: Sequence[Message]) -> None:
        """Forget turns that this history does not have, or that were not over."""
        is_cut = kept == len(messages) or messages[kept].role == "assistant"
        del self._messages[kept:]
        while self._turns and self._turns[-1].end + (not is_cut) > kept:
            turn = self._turns.pop()
            for call in reversed(turn.calls):
                for place in call.places:
                    self._seen[place].pop()
            for words in turn.words:
                if self._words.get(words) == len(self._turns):
                    del self._words[words]

    # -- counting --------------------------------------------------------------------------------

    def _count(self, turn: Turn) -> None:
        number, longest = len(self._turns), self._policy.max_cycle_len
        last = self._turns[-1] if self._turns and not self._turns[-1].is_barrier else None
        turn.notes = self._turns[-1].notes if self._turns else ()
        turn.runs = [0] * longest
        length = 1
        while last is not None and length <= longest and number >= length:
            other = self._turns[-length]
            if other.is_barrier:
                break
            if _is_same_turn(other, turn):
                turn.runs[length - 1] = last.runs[length - 1] + 1
            length += 1
        is_new = self._remember(turn)
        turn.stale = 0 if is_new else 1 + (last.stale if last else 0)
        turn.polls = turn.waits + (last.polls if last and not is_new else 0)
        turn.is_barrier = self._hear(turn, number)
        if not turn.is_barrier:
            turn.finding = self._find(turn)
        before = 0 if last is None or last.finding is None else last.finding.percent
        if turn.finding is not None and self._ladder.is_note_due(before, turn.finding.percent):
            turn.notes += self._noted(turn, turn.finding)

    def _remember(self, turn: Turn) -> bool:
        """Did a call of this turn show or change something for the first time?"""
        is_new = False
        for call in turn.calls:
            is_new = self._is_new(call) or is_new
            for place in call.places:
                self._seen.setdefault(place, []).append(call)
        return is_new

    def _is_new(self, call: CallView) -> bool:
        tried = self._seen.get(call.arguments_key, [])[-_LOOK_BACK:]
        if not (tried or call.is_error) and (call.changes or call.says_little):
            return True
        alike = tried + self._seen.get(call.sketch, [])[-_LOOK_BACK:]
        if any(is_same_result(call, other) for other in reversed(alike)):
            return False
        latest = self._seen.get(call.tool, [])[-_NEAR_BACK:]
        is_alike = any(is_near(call, other) for other in reversed(latest))
        call.is_another_alike = is_alike and not tried
        return not is_alike

    def _hear(self, turn: Turn, number: int) -> bool:
        """Did somebody write something in this turn that was not written before?"""
        is_new = False
        for words in turn.words:
            is_new = self._words.setdefault(words, number) == number or is_new
        return is_new

    # -- finding ---------------------------------------------------------------------------------

    def _find(self, turn: Turn) -> LoopFinding | None:
        once = self._policy.repeats - 1
        found = [
            self._cycle(turn, length)
            for length, run in enumerate(turn.runs, start=1)
            if run >= once * length
        ]
        if turn.stale >= self._policy.no_progress_turns:
            found.append(self._staleness(turn))
        best: LoopFinding | None = None
        for finding in found:
            if finding is not None and (best is None or finding.percent > best.percent):
                best = finding
        return best

    def _cycle(self, turn: Turn, length: int) -> LoopFinding | None:
        policy = self._policy
        copies = turn.runs[length - 1] // length + 1
        latest = self._latest(turn, length)
        if any(each.waits for each in latest):
            return self._polling(turn)
        kind = _kind_of(latest)
        limit = policy.repeats
        if kind == "errors" and any(call.is_transient for each in latest for call in each.calls):
            limit = max(limit, policy.transient_repeats)
        if copies < limit:
            return None
        whole = self._latest(turn, copies * length)
        return _finding(kind, copies, whole, latest, 100 * copies // limit)

    def _staleness(self, turn: Turn) -> LoopFinding | None:
        limit = self._policy.no_progress_turns
        if turn.polls:
            return self._polling(turn)
        latest = self._latest(turn, turn.stale)
        kind: LoopKind = "errors" if all(each.are_errors for each in latest) else "no_progress"
        finding = _finding(kind, turn.stale, latest, (), 100 * turn.stale // limit)
        is_vague = all(call.is_another_alike for each in latest for call in each.calls)
        return replace(finding, is_vague=True) if is_vague else finding

    def _polling(self, turn: Turn) -> LoopFinding | None:
        stretch = self._latest(turn, turn.stale)
        tokens = _tokens(stretch)
        percent = max(
            100 * turn.polls // self._policy.max_polls, 100 * tokens // self._policy.max_poll_tokens
        )
        if percent < _AT_LIMIT:
            return None
        return _finding("polling", turn.polls, stretch, (), percent)

    def _latest(self, turn: Turn, count: int) -> list[Turn]:
        """This turn, which is not on the list yet, and those before it."""
        return [*self._turns[len(self._turns) + 1 - count :], turn]

    def _noted(self, turn: Turn, finding: LoopFinding) -> tuple[LoopNote, ...]:
        places = [
            LoopNote(message=index, blocks=len(message.blocks), text=note_text(finding))
            for index, message in enumerate(self._messages[turn.first : turn.end], turn.first)
            if message.role == "user"
        ]
        return tuple(places[-1:])

    def _decide(self) -> LoopDecision:
        if not self._turns:
            return LoopDecision(action="pass", finding=None)
        last = self._turns[-1]
        finding = last.finding if last.end == len(self._messages) else None
        return LoopDecision(action=self._ladder.action(finding), finding=finding, notes=last.notes)


def _is_same_turn(one: Turn, other: Turn) -> bool:
    return one.key == other.key and all(
        is_same_result(a, b) for a, b in zip(one.calls, other.calls, strict=True)
    )


def _finding(
    kind: LoopKind,
    repeats: int,
    whole: Sequence[Turn],
    copy: Sequence[Turn],
    percent: int,
) -> LoopFinding:
    """``whole``: all that repeats; ``copy``: one copy of it, the first of which was no waste."""
    wasted = whole[len(copy) :]
    shown = copy or whole[-1:]
    calls = [call for each in shown for call in each.calls]
    return LoopFinding(
        kind=kind,
        repeats=repeats,
        cycle=tuple(_digest(each) for each in shown),
        since=whole[0].first,
        wasted_turns=len(wasted),
        wasted_tokens=_tokens(wasted),
        percent=percent,
        evidence=tuple(_evidence(call) for call in calls[-_MOST_EVIDENCE:]),
    )


def _evidence(call: CallView) -> LoopCall:
    return LoopCall(
        tool=call.tool,
        address=call.address,
        result_bytes=len(call.content),
        is_error=call.is_error,
        digest=call.arguments_key.hex(),
    )


def _kind_of(latest: list[Turn]) -> LoopKind:
    if all(each.are_errors for each in latest):
        return "errors"
    if all(not call.tool for each in latest for call in each.calls):
        return "monologue"
    return "exact_cycle"


def _tokens(turns: Sequence[Turn]) -> int:
    return round(TOKENS_PER_BYTE * sum(turn.size for turn in turns))


def _digest(turn: Turn) -> str:
    return "+".join(call.arguments_key.hex()[:16] for call in turn.calls)
