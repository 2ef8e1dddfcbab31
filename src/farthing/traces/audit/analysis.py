"""The audit: conversations in, one after the other; sums and rankings out.

Theory of operation. Nothing of a conversation is kept but numbers: sums by day, project, model and
session, rankings of pieces by name, and for each thread what its last call left in the prompt cache
(a few numbers per conversation). Money in sums is exact; every estimate (what a piece, a miss or a
habit cost) is a float in a field that says so, because the provider bills prompts, not parts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Final

from farthing.pricing.catalog import Catalog
from farthing.traces.audit.counted import CountedCall, PriceList, count_calls
from farthing.traces.audit.habits import (
    is_unattended,
    pauses,
    repeated_reads,
    serial_turns,
)
from farthing.traces.audit.lifetime import Life, lives
from farthing.traces.audit.misses import Cause, Expected, find_misses
from farthing.traces.audit.pieces import PREFIX, Piece, cut
from farthing.traces.audit.shared import SharedPrefixes
from farthing.traces.audit.tally import Ranking, Share, Tally, bill_of
from farthing.traces.audit.ttl import TtlChoice
from farthing.traces.claude_code import PROGRESS_SOURCE, SOURCE
from farthing.traces.format import Conversation
from farthing.wire.usage import Usage

__all__ = ["DIMENSIONS", "LARGE_RESULT_TOKENS", "LONG_PAUSE_SECONDS", "Audit", "Pauses"]

DIMENSIONS: Final = ("day", "project", "model", "session")

#: a result this long is worth asking whether all of it was needed
LARGE_RESULT_TOKENS: Final = 8_000
#: from here on a pause is listed as long
LONG_PAUSE_SECONDS: Final = 300.0


@dataclass(slots=True)
class Pauses:
    """Long gaps between calls of one thread."""

    up_to_hour: int = 0
    up_to_day: int = 0
    longer: int = 0

    def add(self, seconds: float) -> None:
        """One more gap; short ones are not counted."""
        if seconds >= 86_400:
            self.longer += 1
        elif seconds >= 3_600:
            self.up_to_day += 1
        elif seconds >= LONG_PAUSE_SECONDS:
            self.up_to_hour += 1


@dataclass(slots=True)
class Audit:
    """Running result; ``document`` and ``advice`` read it when all is in."""

    catalog: Catalog
    since: date | None = None
    total: Tally = field(default_factory=Tally)
    groups: dict[str, dict[str, Tally]] = field(
        default_factory=lambda: {name: {} for name in DIMENSIONS}
    )
    #: sub-agent calls that only a session's progress records show; not in any sum
    progress_only: Tally = field(default_factory=Tally)
    replayed_calls: int = 0
    #: made by a client that a subscription may pay for
    claude_code_calls: int = 0
    conversations: int = 0
    first_at: float | None = None
    last_at: float | None = None
    #: (kind, tool) -> what it took
    origins: Ranking[tuple[str, str]] = field(default_factory=Ranking)
    #: name -> what it took
    names: Ranking[str] = field(default_factory=Ranking)
    misses: Ranking[str] = field(default_factory=Ranking)
    repeated: Ranking[str] = field(default_factory=Ranking)
    serial: Ranking[str] = field(default_factory=Ranking)
    #: (project, tool) -> what its definition took
    offered_tools: Ranking[tuple[str, str]] = field(default_factory=Ranking)
    used_tools: set[tuple[str, str]] = field(default_factory=set)
    pauses: Pauses = field(default_factory=Pauses)
    large_results: Share = field(default_factory=Share)
    unattended: Tally = field(default_factory=Tally)
    ttl: TtlChoice = field(default_factory=TtlChoice)
    #: what first writes would have added for clients that do not cache, 10⁻¹² USD
    caching_premium_pico: float = 0.0
    #: billed calls whose visible answer is far longer than the output that was recorded
    partial_output_calls: int = 0
    _prices: PriceList = field(init=False)
    _left: dict[str, Expected] = field(default_factory=dict)
    _shared: SharedPrefixes = field(default_factory=SharedPrefixes)

    def __post_init__(self) -> None:
        self._prices = PriceList(self.catalog)

    def add(self, conversation: Conversation) -> None:
        """Take one conversation."""
        calls = count_calls(conversation, self._prices, self.since)
        if conversation.source == PROGRESS_SOURCE:
            self._add_progress(calls)
            return
        self.replayed_calls += sum(call.call.replayed for call in calls)
        if any(call.billed or call.call.late_output_tokens for call in calls):
            self.conversations += any(call.billed for call in calls)
            for call in calls:
                self._sum(conversation, call)
            self._study(conversation, calls)

    def _add_progress(self, calls: list[CountedCall]) -> None:
        for call in calls:
            if call.billed:
                self.progress_only.add(call.usage, bill_of(call.cost))

    def _sum(self, conversation: Conversation, call: CountedCall) -> None:
        if call.call.late_output_tokens:
            self._sum_late_output(conversation, call)
        if not call.billed:
            return
        bill = bill_of(call.cost)
        self.total.add(call.usage, bill)
        self.claude_code_calls += conversation.source == SOURCE
        for tally in self._tallies(conversation, call):
            tally.add(call.usage, bill)
        if call.at is not None:
            self.first_at = call.at if self.first_at is None else min(self.first_at, call.at)
            self.last_at = call.at if self.last_at is None else max(self.last_at, call.at)

    def _sum_late_output(self, conversation: Conversation, call: CountedCall) -> None:
        if self.since is not None and (call.day is None or call.day < self.since):
            return
        tokens = call.call.late_output_tokens
        late = Usage(output=tokens)
        cost = None if call.card is None else self._prices.price(late, call.card, call.day)
        bill = bill_of(cost)
        self.total.add_late_output(tokens, bill)
        for tally in self._tallies(conversation, call):
            tally.add_late_output(tokens, bill)

    def _tallies(self, conversation: Conversation, call: CountedCall) -> list[Tally]:
        keys = {
            "day": call.day.isoformat() if call.day else "unknown",
            "project": conversation.project or conversation.source,
            "model": call.model,
            "session": conversation.session_id or conversation.thread_id,
        }
        return [self.groups[name].setdefault(key, Tally()) for name, key in keys.items()]

    def _study(self, conversation: Conversation, calls: list[CountedCall]) -> None:
        pieces = cut(conversation)
        found = lives(pieces, calls)
        self._rank(conversation, found)
        self.partial_output_calls += _partial_outputs(pieces, calls)
        before = self._left.get(conversation.thread_id)
        for seconds, index in pauses(calls, before.at if before else None):
            if calls[index].billed:
                self.pauses.add(seconds)
        self._find_misses(conversation, calls, pieces, before)
        for serial in serial_turns(conversation, pieces, calls):
            self.serial.share(serial.tool).add(0, serial.call.prompt, serial.estimated_pico or 0.0)
        for name, life in repeated_reads(found):
            _add_life(self.repeated.share(name), life)
        if is_unattended(conversation) and calls[0].billed:
            self.unattended.add(calls[0].usage, bill_of(calls[0].cost))

    def _rank(self, conversation: Conversation, found: list[Life]) -> None:
        group = conversation.project or conversation.source
        for life in found:
            piece = life.piece
            if piece.kind == "tool call" and piece.tool:
                self.used_tools.add((group, piece.tool))
            if not life.calls or not life.token_turns:
                continue
            _add_life(self.origins.share((piece.kind, piece.tool or "")), life)
            if piece.kind == "tool definition" and piece.tool:
                _add_life(self.offered_tools.share((group, piece.tool)), life)
            elif piece.kind in ("tool result", "image", "document", "system", PREFIX):
                _add_life(self.names.share(piece.name), life)
            if piece.kind == "tool result" and piece.tokens > LARGE_RESULT_TOKENS:
                over = 1 - LARGE_RESULT_TOKENS / piece.tokens
                self.large_results.add(
                    piece.tokens, life.token_turns * over, life.estimated_pico * over
                )

    def _find_misses(
        self,
        conversation: Conversation,
        calls: list[CountedCall],
        pieces: list[Piece],
        before: Expected | None,
    ) -> None:
        prefix = sum(p.tokens for p in pieces if p.kind in (PREFIX, "system", "tool definition"))
        before = before or self._shared.before(conversation, calls, prefix)
        misses, left = find_misses(
            calls,
            before,
            rewritten=conversation.segment.startswith("after"),
            prefix_tokens=prefix,
            ttl=conversation.ttl,
        )
        for miss in misses:
            share = self.misses.share(miss.cause.value)
            share.add(miss.tokens, miss.tokens, miss.estimated_pico or 0.0)
            for tally in (self.total, *self._tallies(conversation, miss.call)):
                tally.missed_pico += miss.estimated_pico or 0.0
        if any(miss.cause is Cause.NOT_ASKED for miss in misses):
            self.caching_premium_pico += _first_writes_pico(calls, before)
        self.ttl.add(calls, misses, before)
        if left is not None:
            self._left[conversation.thread_id] = left


def _add_life(share: Share, life: Life) -> None:
    share.add(life.piece.tokens, life.token_turns, life.estimated_pico)


def _first_writes_pico(calls: list[CountedCall], before: Expected | None) -> float:
    """What writing each new token once for five minutes costs above sending it uncached."""
    premium, sent = 0.0, before.prompt if before else 0
    for call in calls:
        if call.billed and call.rates is not None:
            surcharge = call.rates.cache_write_5m - call.rates.uncached
            premium += max(0, call.prompt - sent) * surcharge
        sent = call.prompt or sent
    return premium


def _partial_outputs(pieces: list[Piece], calls: list[CountedCall]) -> int:
    """Calls whose answer, as the next prompt carries it, cannot be what was recorded as output."""
    visible: dict[int, float] = {}
    for piece in pieces:
        if piece.kind in ("assistant text", "tool call", "thinking"):
            made_by = piece.entered - 1
            visible[made_by] = visible.get(made_by, 0.0) + piece.estimated_tokens
    return sum(
        call.billed
        and call.usage is not None
        and visible.get(index, 0) > 3 * call.usage.output + 30
        for index, call in enumerate(calls)
    )
