"""Breakpoints and lifetimes for each request: one object per process, values in, values out.

Interface, for who integrates it:

    engine = CacheEngine(seed=TtlTables.total(rows))       # rows of the ledger, or nothing
    choice = engine.choose(ask, now)                       # just before a request leaves
    engine.observed(ask.view, usage=..., stop_reason=...)  # when its answer is known
    engine.learned().dump()                                # the row of this process

    CacheAsk(view, rates, markable, kind="", pin=None)          (values: ``cache_values``)
      view      PrefixView with scope, model, lineage_id ("" if unknown) and the client's marks as
                ``marks_of(request)`` gives them, the automatic one included
      rates     effective rates of the request
      markable  may the block at this index carry a mark (thinking and empty text cannot)
      kind      what kind of client this is, from the request alone ("main", "subagent", ...)
      pin       what the ledger holds for the lineage; None also if nothing can be read any more

    CacheChoice
      marks     all marks of the request, ascending, 1 h before 5 m, at most four; each with its
                reason. Every mark of the client is among them, at its place, perhaps with another
                TTL; the automatic one too: its TTL belongs into the top-level ``cache_control``
      pin       CachePin(head, tail) to be stored; the lifetimes of ``LineagePin``
      is_epoch  most of the prompt is written by this request, so the pin may be a new one
      expected_saving   10⁻¹² USD against the request as the client sent it, an expectation
      unreached_block   an entry that no breakpoint finds, because no mark was left
      padding_tokens    useful content of this length would make the prompt cacheable, and pay

Theory of operation. A ``PrefixTree`` says what of the request was seen before; the last request of
the lineage says how long ago. If most of the prompt has to be written anew, an *epoch* opens: the
lifetime of the tail is chosen from the tables of its class (kind, and the stop reason the pause
followed) and pinned until the next epoch. Within a 5 m epoch a small request may top up: ask for
1 h for the few tokens it adds, where a pause is likely enough (``ttl_experts``). A head (marks in
tools and system) is written for as long as its own gaps, seen over all lineages, are worth.

Rules of this file: time is an argument; marks and lifetimes are not part of any digest, so nothing
chosen here changes a prefix; memory is bounded by ``lineages`` and ``blocks``.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Final

from farthing.core.breakpoints import is_reached, place
from farthing.core.cache_heads import HeadLifetimes
from farthing.core.cache_lineages import Lineage, stand
from farthing.core.cache_marks import (
    asked_tail,
    expected_saving,
    padding_tokens,
    tops_up,
    unreached_entry,
    wishes,
    with_lifetimes,
)
from farthing.core.cache_values import CacheAsk, CacheCase, CacheChoice, CachePin, ChosenMark
from farthing.core.keepalive import pings_that_pay
from farthing.core.prefix import PrefixView, Ttl
from farthing.core.prefix_tree import PrefixTree
from farthing.core.second_sightings import SecondSightings
from farthing.core.ttl_experts import Multipliers, Step
from farthing.core.ttl_tables import Advice, TtlTables
from farthing.pricing import Rates
from farthing.wire.usage import Usage

__all__ = ["CacheEngine"]

#: A read of at least this share of a topped-up entry: it was there.
_HELD_RATIO: Final = 0.9

#: Entries of a lineage that are remembered; only those near the tail are ever looked for.
_MOST_ENTRIES: Final = 32

_Key = tuple[str, str, str | bytes]


class CacheEngine:
    """The breakpoints and lifetimes of one process."""

    def __init__(
        self, seed: TtlTables | None = None, *, lineages: int = 4_096, blocks: int = 400_000
    ) -> None:
        self._advice = Advice(seed)
        self._sightings = SecondSightings(self._advice, capacity=lineages)
        self.heads = HeadLifetimes(self._advice, self._sightings, capacity=lineages)
        self._tree = PrefixTree(blocks=blocks)
        self._capacity = lineages
        self._lineages: OrderedDict[_Key, Lineage] = OrderedDict()

    def __len__(self) -> int:
        return len(self._lineages)

    @property
    def known_blocks(self) -> int:
        """Blocks in the prefix tree."""
        return len(self._tree)

    def learned(self) -> TtlTables:
        """What this process has learned on its own: its row in the ledger."""
        return self._advice.own

    def choose(self, ask: CacheAsk, now: datetime) -> CacheChoice:
        """Marks for a request that starts ``now``; counts it as sent."""
        at = now.timestamp()
        self._sightings.lapse(at)
        lineage = self._lineages.get(_key(ask.view))
        case = self._case(ask, lineage, at)
        classes = _classes(case, lineage)
        base = self._base(case, lineage, classes)
        sites = place(ask.view, wishes(case, base), ask.markable)
        would_top_up = tops_up(case, sites)
        topping = base == "5m" and would_top_up
        heads = self.heads.choose(case, [site.index for site in sites], at)
        marks = with_lifetimes(sites, heads, "1h" if topping else base)
        if not case.is_resumed:
            self._advice.record(classes, _step(case, tops_up=would_top_up), case.prices)
        self._sight(case, classes[0], at)
        pin = CachePin(head=next(iter(heads.values()), None), tail=base)
        after = _after(case, lineage, marks, tops_up=would_top_up, at=at)
        after.base, after.classes = base, classes
        self._remember(_key(ask.view), after)
        return CacheChoice(
            marks=marks,
            pin=pin,
            is_epoch=case.standing.is_epoch and not case.is_resumed,
            tops_up=topping,
            expected_saving=expected_saving(case, marks),
            unreached_block=unreached_entry(case, sites),
            padding_tokens=padding_tokens(case),
        )

    def sent(self, view: PrefixView) -> None:
        """The last request of this lineage left with other marks than were chosen: these."""
        lineage = self._lineages.get(_key(view))
        if lineage is None:
            return
        tail = [mark.ttl for mark in view.marks if mark.index >= view.system_end]
        lineage.base = tail[-1] if tail else None
        lineage.written = tuple(mark.index for mark in view.marks if view.is_cacheable(mark))
        lineage.topped = None

    def observed(
        self, view: PrefixView, *, usage: Usage | None = None, stop_reason: str | None = None
    ) -> None:
        """The answer to the last request of this lineage; either part may be unknown."""
        lineage = self._lineages.get(_key(view))
        if lineage is None:
            return
        lineage.stop_reason = stop_reason or ""
        if usage is not None and lineage.trial_tokens:
            held = usage.cache_read >= _HELD_RATIO * lineage.trial_tokens
            self._advice.record_upgrade(held=held)
            lineage.trial_tokens = 0

    def pings(self, kind: str, rates: Rates) -> int:
        """How many keep-alive pings per pause pay in this class."""
        return pings_that_pay(self._advice.known(kind), Multipliers.of(rates))

    def _case(self, ask: CacheAsk, lineage: Lineage | None, at: float) -> CacheCase:
        path = self._tree.visit(ask.view, at)
        standing = stand(ask.view, lineage, path, at)
        written = () if lineage is None else lineage.written
        return CacheCase(
            ask=ask,
            prices=Multipliers.of(ask.rates),
            path=path,
            standing=standing,
            entries=tuple(index for index in written if index < standing.shared_blocks),
            pause=self._advice.pause_probability(ask.kind),
            upgrade=self._advice.upgrade_probability,
            is_resumed=lineage is None and ask.pin is not None,
        )

    def _base(
        self, case: CacheCase, lineage: Lineage | None, classes: tuple[str, ...]
    ) -> Ttl | None:
        """The pinned lifetime, or a new one if an epoch opens."""
        if case.is_resumed:
            assert case.ask.pin is not None
            return case.ask.pin.tail
        if lineage is not None and lineage.base is not None and not case.standing.is_epoch:
            return lineage.base
        self._advice.open_epoch(classes)
        is_new = case.standing.is_new and not case.ask.view.marks
        if is_new and self._advice.is_one_shot(classes[0], case.prices):
            return None
        return self._advice.base(classes, asked_tail(case))

    def _sight(self, case: CacheCase, name: str, at: float) -> None:
        key = _key(case.ask.view)
        if not case.standing.is_new:
            self._sightings.again(key)
        elif not case.is_resumed:
            self._sightings.first(key, name, at)

    def _remember(self, key: _Key, lineage: Lineage) -> None:
        self._lineages[key] = lineage
        self._lineages.move_to_end(key)
        if len(self._lineages) > self._capacity:
            self._lineages.popitem(last=False)


def _key(view: PrefixView) -> _Key:
    """Who does not know the lineage is recognised by the first block of its messages."""
    first = min(view.system_end, len(view.digests) - 1)
    name = view.lineage_id or (view.digests[first] if view.digests else "")
    return view.scope, view.model, name


def _classes(case: CacheCase, lineage: Lineage | None) -> tuple[str, ...]:
    """Where this request's costs belong: the class of the decision in force."""
    kind = case.ask.kind
    if lineage is None:
        return (f"{kind}/first", kind)
    if case.standing.is_epoch:
        return (f"{kind}/{lineage.stop_reason}", kind)
    return lineage.classes


def _step(case: CacheCase, *, tops_up: bool) -> Step:
    view, standing = case.ask.view, case.standing
    head = view.positions[view.system_end - 1] if view.system_end else 0
    return Step(
        gap_seconds=standing.gap_seconds,
        shared=standing.shared_tokens,
        total=view.total_tokens,
        head=min(head, standing.shared_tokens),
        topped=standing.topped_tokens,
        tops_up=tops_up,
    )


def _after(
    case: CacheCase,
    lineage: Lineage | None,
    marks: tuple[ChosenMark, ...],
    *,
    tops_up: bool,
    at: float,
) -> Lineage:
    """The lineage as this request leaves it; its base and classes are the caller's."""
    standing, view = case.standing, case.ask.view
    places = {mark.index for mark in marks if view.is_cacheable(mark.mark)}
    topped = max(places, default=None) if tops_up else standing.topped
    is_5m = lineage is not None and lineage.base == "5m"
    trial = standing.topped if standing.is_pause and is_5m else None
    is_tested = trial is not None and is_reached(trial, places)
    return Lineage(
        digests=view.digests,
        at=at,
        written=tuple(sorted(places.union(case.entries))[-_MOST_ENTRIES:]),
        topped=topped,
        topped_at=at,
        trial_tokens=standing.topped_tokens if is_tested else 0,
        stop_reason="" if lineage is None else lineage.stop_reason,
    )
