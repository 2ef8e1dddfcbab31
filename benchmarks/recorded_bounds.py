"""What recorded calls alone say the next call must have read, and could have read at most.

From the recording only, whatever a model predicts: the calls before, their ages, and what their
usage says was cached. A call that read less than it must is a *break* (the client changed something
the transcript hides); one that read more than it could is a *revival* (somebody outside the
recording kept the entry warm, or the provider kept it beyond its lifetime).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from benchmarks.recorded_calls import Call
from benchmarks.recorded_views import LAST_TURN_THINKING, cached_end, head_key
from farthing.core.hazard import FULL_RATIO
from farthing.core.prefix import LIFETIMES

__all__ = ["Bounds", "RecordedBounds"]

#: positions of blocks are measured by reads that stopped there; they differ by a few tokens
SLACK_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Bounds:
    """Tokens that the recorded calls before leave to be read."""

    least: float
    most: float

    def is_break(self, read: int) -> bool:
        """Less was read than was alive and, as far as one can see, unchanged."""
        return read < self.least

    def is_revival(self, read: int) -> bool:
        """More was read than any recorded call had left alive."""
        return read > self.most


class RecordedBounds:
    """Follows recorded calls in the order of their starts."""

    def __init__(self) -> None:
        self._conversations: dict[str, Call] = {}
        self._sessions: dict[tuple[str, str], datetime] = {}
        self._heads: dict[tuple[object, ...], datetime] = {}

    def next(self, call: Call) -> Bounds:
        """The bounds of this call; it counts as recorded from now on."""
        session = (call.row.session_id, call.model)
        before = self._conversations.get(call.row.id)
        bounds = Bounds(self._least(before, call), self._most(session, call))
        self._conversations[call.row.id] = call
        self._sessions[session] = self._heads[head_key(call)] = call.began_at
        return bounds

    def _least(self, before: Call | None, call: Call) -> float:
        """Inside the lifetime of the call before, what that one had cached.

        Where the history shrank, or the model dropped thinking, of that the hidden prefix only:
        tools and system stand before all of it.
        """
        if before is None or before.model != call.model or not _alive(before.began_at, call):
            return 0.0
        drops_thinking = call.model.startswith(LAST_TURN_THINKING) and call.follows_end
        if call.usage.prompt < before.usage.prompt or drops_thinking:
            return FULL_RATIO * min(call.row.hidden_tokens, cached_end(before.usage))
        return FULL_RATIO * cached_end(before.usage)

    def _most(self, session: tuple[str, str], call: Call) -> float:
        """All of it where a call of the session is alive; the hidden prefix where a head is."""
        if session in self._sessions and _alive(self._sessions[session], call):
            return float(call.usage.prompt)
        touched = self._heads.get(head_key(call))
        if touched is not None and _alive(touched, call):
            return 1.05 * call.row.hidden_tokens + SLACK_TOKENS
        return float(SLACK_TOKENS)


def _alive(touched_at: datetime, call: Call) -> bool:
    return call.began_at - touched_at < LIFETIMES[call.row.ttl]
