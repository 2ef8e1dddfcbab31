"""``safe``: the cache engine as a policy, fed with nothing but what came before each turn.

Theory of operation. A turn is what a request would be: its digests, the client's marks, which
blocks may carry one. The engine's answer is its marks. What the answer of a turn showed (usage,
stop reason) reaches the engine when a later turn starts after that answer began, not before, so
requests in parallel do not learn from one another.
"""

from __future__ import annotations

from collections import deque
from datetime import date
from functools import cache
from typing import Final

from farthing.core.cache_engine import CacheEngine
from farthing.core.cache_values import CacheAsk
from farthing.core.prefix import PrefixView
from farthing.lab.replay.sending import Sending
from farthing.lab.replay.turns import Turn
from farthing.pricing import Rates, find_card, traits
from farthing.wire.usage import Usage

__all__ = ["Safe"]

#: for models without a card: the multipliers of most models
_USUAL: Final = Rates(
    uncached=1_000_000,
    cache_write_5m=1_250_000,
    cache_write_1h=2_000_000,
    cache_read=100_000,
    output=5_000_000,
)


class Safe:
    """Breakpoints and lifetimes by the engine; exact levers only."""

    name: Final = "safe"

    def __init__(self) -> None:
        self.engine = CacheEngine()
        #: answers whose first byte no turn has come after
        self.unheard: deque[tuple[Turn, Usage]] = deque()

    def begin(self) -> Safe:
        """One that has learned nothing yet: each replay starts with its own."""
        return Safe()

    def plan(self, turn: Turn) -> Sending:
        """The engine's choice for this turn."""
        self._learn(turn)
        ask = CacheAsk(
            view=_view(turn),
            rates=_rates(turn),
            markable=lambda index: turn.recording.pieces[turn.kept[index]].is_markable,
            kind="subagent" if turn.recording.conversation.agent_id else "main",
        )
        choice = self.engine.choose(ask, turn.began_at)
        return Sending(marks=tuple(chosen.mark for chosen in choice.marks))

    def observe(self, turn: Turn, usage: Usage) -> None:
        """What the turn was billed; known from its first byte on."""
        self.unheard.append((turn, usage))

    def _learn(self, turn: Turn) -> None:
        waiting = [pair for pair in self.unheard if pair[0].first_byte_at > turn.began_at]
        for answered, usage in self.unheard:
            if answered.first_byte_at <= turn.began_at:
                self.engine.observed(
                    _view(answered), usage=usage, stop_reason=_stop_reason(answered)
                )
        self.unheard = deque(waiting)


def _view(turn: Turn) -> PrefixView:
    return PrefixView(
        scope=turn.recording.scope,
        model=turn.model,
        digests=turn.digests,
        positions=turn.positions,
        total_tokens=turn.prompt_tokens,
        marks=turn.recorded_marks,
        min_cacheable_tokens=_min_cacheable_tokens(turn.model),
        tools_end=turn.tools_end,
        system_end=turn.system_end,
        lineage_id=turn.recording.conversation.thread_id,
    )


@cache
def _min_cacheable_tokens(model: str) -> int:
    known = traits(model)
    return known.min_cacheable_tokens if known else 0


def _rates(turn: Turn) -> Rates:
    latest = find_card(turn.model, on=date.max)
    card = (find_card(turn.model, on=turn.day) if turn.day else None) or latest
    return _USUAL if card is None else card.rates_for(turn.prompt_tokens)


def _stop_reason(turn: Turn) -> str:
    """As recorded, else as the answer shows, which stands behind the request in the recording."""
    recording = turn.recording
    call = recording.conversation.calls[turn.index]
    if call.stop_reason is not None:
        return call.stop_reason
    ends, first = recording.ends, min(call.prompt_messages, len(recording.ends) - 2)
    answer = recording.pieces[ends[first] : ends[first + 1]]
    return "tool_use" if any(piece.kind == "tool_use" for piece in answer) else "end_turn"
