"""From the marks that the cache engine chose to proposals of levers, and to edits.

Theory of operation. One choice of marks is the work of two levers, so it is taken apart: ``marks``
adds breakpoints, each with the lifetime that the client's own leave it; ``ttl`` then changes
lifetimes. The edits follow from which of them were accepted together, so they are made from the
final marks, by ``remarked``. ``auto`` asks for the provider's automatic breakpoint where nothing is
marked and ``marks`` may not act.

What a lever expects. ``marks`` and ``auto`` speak a price for one more request within the
lifetime: what it will read instead of paying in full. Lifetimes, and heads that only other
conversations read, were weighed by the cache engine over the gaps it has seen, which is more than
one request: their worth is never set below what they cost now, and the governor judges them by what
they measurably did.

Rules of the provider that are kept here (API facts 2.1, 2.4; ``wire.validity`` has them all, and a
test compares): at most four marks, 1 h before 5 m, only on blocks that carry one, the automatic
mark not in contradiction with its block's own. Members of a mark that we do not know stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from farthing.core.breakpoints import MOST
from farthing.core.cache_values import CacheChoice
from farthing.core.plan import Proposal, expected_pico
from farthing.core.prefix import Mark, PrefixView, Ttl
from farthing.core.prompt_cache import PromptCache
from farthing.pricing.cards import RateCard
from farthing.wire import json
from farthing.wire.blocks import Block
from farthing.wire.edits import Edit, SetField, SetTopLevel
from farthing.wire.rendering import is_deferred, is_markable
from farthing.wire.request import Request

__all__ = ["MarkAsk", "can_carry", "marks_in_order", "proposals", "remarked"]

_MARK: Final = "cache_control"
_EPHEMERAL: Final = b'{"type":"ephemeral"}'
#: kinds on which a mark of ours may stand; a client's may stand on others
_KINDS: Final = frozenset(
    {"tool", "text", "image", "document", "tool_use", "tool_result", "search_result"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkAsk:
    """One request with the marks that were chosen for it."""

    request: Request
    #: with the client's marks
    view: PrefixView
    choice: CacheChoice
    #: levers that may act
    levers: AbstractSet[str]
    cache: PromptCache
    card: RateCard
    now: datetime

    @property
    def asks_automatic(self) -> bool:
        """May ``cache.auto`` act? Only where nothing is marked, and no mark of ours may be."""
        is_bare = not self.view.marks and self.request.member(_MARK) is None
        return is_bare and "cache.auto" in self.levers and "cache.marks" not in self.levers

    @property
    def automatic(self) -> int | None:
        """The block of the automatic mark: the client's, or what ``cache.auto`` would ask for."""
        if self.request.field(_MARK) is None and not self.asks_automatic:
            return None
        blocks = self.request.blocks
        return next((i for i in range(len(blocks) - 1, -1, -1) if is_markable(blocks[i])), None)


def can_carry(block: Block) -> bool:
    """May a mark of ours stand here? Messages of the system's own are left to who writes them."""
    if block.kind not in _KINDS or is_deferred(block) or block.role == "system":
        return False
    return block.kind != "text" or bool(block.text)


def marks_in_order(marks: Sequence[Mark]) -> tuple[Mark, ...]:
    """Whatever stands before a mark for an hour is for an hour too; it is billed as such anyway."""
    found: list[Mark] = []
    is_hour = False
    for mark in sorted(marks, key=lambda each: each.index, reverse=True):
        is_hour = is_hour or mark.ttl == "1h"
        found.append(Mark(index=mark.index, ttl="1h") if is_hour else mark)
    return tuple(reversed(found))


# -- proposals ------------------------------------------------------------------------------------


def proposals(ask: MarkAsk) -> tuple[Proposal, ...]:
    """What ``cache.auto``, ``cache.marks`` and ``cache.ttl`` suggest for this request."""
    view, worth = ask.view, _Worth(ask)
    found: list[Proposal] = []
    if marks_in_order(view.marks) != view.marks:
        return ()  # the API refuses it, and that answer is the client's to see
    added = _added(ask) if "cache.marks" in ask.levers else ()
    name, marks = "cache.marks", _fitted(view.marks, added)
    if ask.asks_automatic:
        name, marks = "cache.auto", _automatic(ask)
    if marks != view.marks:
        shape = _with_marks(marks)
        found.append(Proposal(lever=name, shape=shape, later_pico=worth.later(view, shape(view))))
        view = shape(view)
    target: Mapping[int, Ttl] = {chosen.index: chosen.ttl for chosen in ask.choice.marks}
    lifetimes = _with_lifetimes(target)
    may_change = "cache.ttl" in ask.levers and not _has_inner_mark(ask)
    if may_change and lifetimes(view).marks != view.marks:
        later = worth.later(view, lifetimes(view))
        found.append(Proposal(lever="cache.ttl", shape=lifetimes, later_pico=later))
    return tuple(found)


def _added(ask: MarkAsk) -> tuple[int, ...]:
    clients = {mark.index for mark in ask.view.marks}
    return tuple(each.index for each in ask.choice.marks if each.index not in clients)


def _fitted(clients: Sequence[Mark], added: Sequence[int]) -> tuple[Mark, ...]:
    """The client's marks, and ours with the lifetime that those leave them."""
    return marks_in_order([*clients, *(Mark(index=index) for index in added)])


def _automatic(ask: MarkAsk) -> tuple[Mark, ...]:
    mark = None if ask.automatic is None else Mark(index=ask.automatic)
    return (mark,) if mark is not None and ask.view.is_cacheable(mark) else ()


def _with_marks(marks: tuple[Mark, ...]) -> Callable[[PrefixView], PrefixView]:
    return lambda view: replace(view, marks=marks)


def _with_lifetimes(target: Mapping[int, Ttl]) -> Callable[[PrefixView], PrefixView]:
    def shape(view: PrefixView) -> PrefixView:
        wanted = [Mark(index=m.index, ttl=target.get(m.index, m.ttl)) for m in view.marks]
        return replace(view, marks=marks_in_order(wanted))

    return shape


def _has_inner_mark(ask: MarkAsk) -> bool:
    """A mark on a block inside a tool result is not ours to rewrite."""
    blocks = ask.request.blocks
    own = (blocks[m.index] for m in ask.view.marks if m.index != ask.automatic)
    return any(block.get(_MARK) is None for block in own)


class _Worth:
    """What a change of marks is expected to be worth beyond this call."""

    def __init__(self, ask: MarkAsk) -> None:
        self._ask = ask
        self._rates = ask.card.rates_for(ask.view.total_tokens)

    def later(self, before: PrefixView, after: PrefixView) -> float:
        """The next request's gain, and never less than this one's loss: see the top."""
        lost = self._now(after) - self._now(before)
        return max(self._next(before) - self._next(after), lost + 1.0)

    def _now(self, view: PrefixView) -> float:
        return expected_pico(view, self._ask.cache, self._ask.card, self._ask.now)

    def _next(self, view: PrefixView) -> float:
        """The same prompt once more within the lifetime."""
        ends = (view.positions[mark.index] for mark in view.marks if view.is_cacheable(mark))
        read = max(ends, default=0)
        return self._rates.cache_read * read + self._rates.uncached * (view.total_tokens - read)


# -- edits ----------------------------------------------------------------------------------------


def remarked(ask: MarkAsk) -> Callable[[Sequence[Mark]], Sequence[Edit] | None]:
    """``plan.Remark`` of this request."""
    clients = {mark.index: mark.ttl for mark in ask.view.marks}
    automatic = ask.automatic
    blocks = ask.request.blocks

    def edits(marks: Sequence[Mark]) -> Sequence[Edit] | None:
        if len(marks) > MOST or tuple(marks) != marks_in_order(marks):
            return None
        found: list[Edit] = []
        for mark in marks:
            if clients.get(mark.index) == mark.ttl:
                continue
            block, is_new = blocks[mark.index], mark.index not in clients
            is_automatic = mark.index == automatic
            if is_automatic:
                found.append(SetTopLevel(_MARK, _with_ttl(ask.request.field(_MARK), mark.ttl)))
            own = block.get(_MARK)
            if own is not None or (is_new and not is_automatic and can_carry(block)):
                found.append(SetField(block.address, _MARK, _with_ttl(own, mark.ttl)))
            elif not is_automatic:
                return None
        return found

    return edits


def _with_ttl(raw: bytes | None, ttl: Ttl) -> bytes:
    """A mark with this lifetime; its other members as they stand."""
    given = _EPHEMERAL if raw is None or raw == b"null" else raw
    kept = [given[m.key_start : m.end] for m in json.members(given) if m.name != "ttl"]
    if ttl == "1h":
        kept.append(b'"ttl":"1h"')
    return b"{%b}" % b",".join(kept)
