"""What one process remembers for its guard against loops: histories read, costs, what was told.

Theory of operation. Verdicts are functions of the history (``farthing.core.loop_guard``); what is
kept here makes them cheap and says what they cost. Of each conversation the guard that read it, and
what its latest calls cost: the turns of a loop are the latest of them, so their sum is the money
that went in vain. Where the terms of a conversation differ from today's rules, a second guard says
where its notes stand.

Rules of this file: losing any of it costs time and figures, never a verdict; memory is bounded in
conversations and in the bytes of their histories, the least recently used goes first.

Interface: ``LoopWatch(rules).continued(lineage_id, request)``, ``verdict``, ``notes``, ``spent``,
``wasted``, ``is_news``.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from farthing.core.alert_rules import LoopFact
from farthing.core.loop_guard import LoopGuard
from farthing.core.loop_speeds import Speeds
from farthing.core.loop_terms import LoopRules, LoopTerms
from farthing.core.loop_trees import TaskTrees
from farthing.core.loop_values import LoopDecision, LoopFinding, LoopNote
from farthing.wire.blocks import Message
from farthing.wire.request import Request

__all__ = ["LoopWatch"]

#: costs of the latest calls of a conversation
_COSTS: Final = 256
#: a history holds its messages' bytes, and its blocks their own slices of them
_PER_BODY_BYTE: Final = 3


@dataclass(slots=True)
class _Watched:
    guard: LoopGuard | None = None
    #: what the guard has read last, for the next request begins alike
    request: Request | None = None
    #: where its notes stand, if by other terms than today's
    noted: LoopGuard | None = None
    size_bytes: int = 0
    costs: deque[int] = field(default_factory=lambda: deque(maxlen=_COSTS))


class LoopWatch:
    """Watches at most ``capacity`` conversations whose histories have ``most_bytes`` together."""

    def __init__(
        self,
        rules: LoopRules | None = None,
        *,
        key: bytes = b"",
        capacity: int = 4_096,
        most_bytes: int = 96 * 1024 * 1024,
    ) -> None:
        self.rules = rules or LoopRules()
        self.terms = self.rules.terms
        self.least_messages = self.rules.least_messages
        self.trees = TaskTrees(capacity=capacity)
        self.speeds = Speeds(
            patience=self.rules.patience, cap_pico=self.rules.minute_pico, capacity=capacity
        )
        self._key = key
        self._capacity = capacity
        self._most_bytes = most_bytes
        self._watched: OrderedDict[str, _Watched] = OrderedDict()
        #: of these some have a guard, in the order in which they were read
        self._read: OrderedDict[str, None] = OrderedDict()
        #: what alerts have not heard yet, where somebody listens
        self.is_heard = False
        self._facts: list[LoopFact] = []
        self._told: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._watched)

    def continued(self, lineage_id: str, request: Request) -> Request:
        """The same request, parsed only behind what the last one of its conversation had."""
        watched = self._one(lineage_id)
        if watched.request is not None and not request.is_placed:
            request = Request.parse(request.body, after=watched.request)
        watched.request = request
        return request

    def verdict(
        self, lineage_id: str, messages: Sequence[Message], size_bytes: int
    ) -> LoopDecision:
        """What today's rules say of this history; ``size_bytes``: of the body it came in."""
        watched = self._one(lineage_id)
        if watched.guard is None:
            watched.guard = LoopGuard(self.rules.policy, self.rules.ladder, key=self._key)
        self._weigh(lineage_id, watched, _PER_BODY_BYTE * size_bytes)
        return watched.guard.check(messages)

    def notes(
        self,
        lineage_id: str,
        messages: Sequence[Message],
        terms: LoopTerms,
        decision: LoopDecision,
    ) -> tuple[LoopNote, ...]:
        """The notes of a conversation with these terms; ``decision``: today's verdict on it."""
        rules, found = self.rules, decision.notes
        if terms.note is None:
            return ()
        if terms.note != rules.ladder.note or terms.policy != rules.policy:
            watched = self._one(lineage_id)
            if watched.noted is None:
                watched.noted = LoopGuard(terms.policy, terms.ladder, key=self._key)
            found = watched.noted.check(messages).notes
        return tuple(note for note in found if note.message >= terms.since)

    def spent(self, lineage_id: str, pico: int) -> None:
        """A call of this conversation has cost so much."""
        self._one(lineage_id).costs.append(pico)

    def wasted(self, lineage_id: str, finding: LoopFinding) -> int | None:
        """What the turns of a loop behind its first copy cost, as far as this process saw them."""
        costs = self._one(lineage_id).costs
        seen = min(finding.wasted_turns, len(costs))
        return sum(list(costs)[-seen:]) if seen else None

    def is_news(self, subject: str, kind: str, step: str) -> bool:
        """Has this not been told before?"""
        thing = (subject, kind, step)
        if thing in self._told:
            return False
        self._told[thing] = None
        if len(self._told) > self._capacity:
            self._told.popitem(last=False)
        return True

    def tell(self, fact: LoopFact) -> None:
        """Something that alerts may want to hear."""
        if self.is_heard and len(self._facts) < self._capacity:
            self._facts.append(fact)

    def take(self) -> list[LoopFact]:
        """What was told since the last time."""
        facts, self._facts = self._facts, []
        return facts

    # -- memory ----------------------------------------------------------------------------------

    def _one(self, lineage_id: str) -> _Watched:
        watched = self._watched.get(lineage_id)
        if watched is not None:
            self._watched.move_to_end(lineage_id)
            return watched
        if len(self._watched) >= self._capacity:
            gone, oldest = self._watched.popitem(last=False)
            self._read.pop(gone, None)
            self.size_bytes -= oldest.size_bytes
        watched = self._watched[lineage_id] = _Watched()
        return watched

    def _weigh(self, lineage_id: str, watched: _Watched, size_bytes: int) -> None:
        """It is as large as this now; others are unread until all fit again."""
        self.size_bytes += size_bytes - watched.size_bytes
        watched.size_bytes = size_bytes
        self._read[lineage_id] = None
        self._read.move_to_end(lineage_id)
        while self.size_bytes > self._most_bytes and len(self._read) > 1:
            oldest, _ = self._read.popitem(last=False)
            other = self._watched[oldest]
            self.size_bytes -= other.size_bytes
            other.guard, other.noted, other.request, other.size_bytes = None, None, None, 0
