"""The shadow baseline: what each exchange would have cost as sent by the client, and who saved it.

Theory of operation. Beside the prompt cache that the provider keeps for what we send, a second one
is kept, in memory, for what the client sent: its marks, its lifetimes, its times, its content. The
request *as the client sent it* runs through it, and what it would have read and written is its
baseline. Several levers share one difference, so they are taken away in a fixed order
(``ABLATION_ORDER``): stage 0 is the client's request, each stage adds one lever, the last is what
was sent. The saving of a lever is the difference of two neighbouring stages, so savings add up to
baseline minus cost to the last 10⁻¹² USD, whatever the order.

A counterfactual is calibrated by what the answer shows, and never in our favour:

- the prompt's length is the provider's count;
- what it read less of a stage's path than foreseen, for reasons no request shows, every stage reads
  less of: a break that strikes us would have struck the client;
- what it read although our clock held it for dead, a stage reads as well;
- a stage that foresaw what the sent request foresaw gets what that one got;
- where no lever acted, the stage *is* the measured call: baseline == cost, exactly.

Money: baseline = cost + (price of the stage's input − price of the measured input), both exact at
the same card. So what the answer cost beyond its prompt (output, server tools, iterations) is in
both and cancels. Own costs (pings) are the caller's to subtract: ``Savings.net_pico``.

Interface: ``Shadows.begin(stages)`` → ``Shadowed``; ``Shadows.settle(shadowed, answer)`` →
``Savings``, or ``Shadows.seen`` where the answer told no usage.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Final

import msgspec

from farthing.core.levers import ABLATION_ORDER, ABLATION_VERSION
from farthing.core.prefix import PrefixView
from farthing.core.prompt_cache import PromptCache
from farthing.core.prompt_cache_forecast import Forecast, Hit, bill
from farthing.core.prompt_cache_learning import CacheCorrection
from farthing.core.prompt_cache_lookup import tested_blocks
from farthing.errors import EngineBug
from farthing.pricing.billing import price
from farthing.pricing.cards import RateCard
from farthing.pricing.money import Cost
from farthing.wire.usage import Usage

__all__ = ["AS_SENT_BY_CLIENT", "Answered", "Savings", "Shadowed", "Shadows", "Stage"]

#: the stage without any lever
AS_SENT_BY_CLIENT: Final = ""

_ORDER: Final = (AS_SENT_BY_CLIENT, *ABLATION_ORDER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The request with one lever more than the stage before; the last one is what was sent."""

    lever: str
    view: PrefixView
    #: when it would have left: a lever may make a call wait
    began_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """The exchange in one of the caches."""

    #: the lever whose cache it is
    cache: str
    #: the request there: of this lever, or of the last one before it that acted
    stage: Stage
    #: anchored: positions by what answers have measured
    view: PrefixView
    forecast: Forecast


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadowed:
    """One exchange under way, in every cache; opaque to the caller."""

    begun: tuple[_Begun, ...]
    #: what was sent
    sent: Stage

    @property
    def foreseen(self) -> Usage:
        """What the client's request was foreseen to read and write: for the calibration report."""
        return self.begun[0].forecast.usage

    @property
    def forecast(self) -> Forecast:
        """What was foreseen of what was sent."""
        return next(one.forecast for one in self.begun if one.stage is self.sent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What the answer told."""

    usage: Usage
    first_byte_at: datetime
    card: RateCard
    #: measured, by the provider's usage
    cost: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Savings:
    """One exchange: its baseline, and what each lever that acted made of it."""

    baseline_pico: int
    cost_pico: int
    #: lever → saved, in the order of ablation; negative where it cost more
    by_lever: Mapping[str, int]
    #: lever → what it was foreseen to save on this call, before it was sent
    foreseen: Mapping[str, int]
    #: tokens as the client's request would have been billed
    baseline_usage: Usage
    #: the dearest this prompt can be billed: no residual exceeds it
    bound_pico: int
    own_cost_pico: int = 0
    order: int = ABLATION_VERSION

    @property
    def saved_pico(self) -> int:
        """Baseline minus cost; may be negative."""
        return self.baseline_pico - self.cost_pico

    @property
    def net_pico(self) -> int:
        """The same, own costs subtracted."""
        return self.saved_pico - self.own_cost_pico


class Shadows:
    """One prompt cache per stage; a lever gets its own when it first acts."""

    def __init__(
        self, *, entries: int = 50_000, paths: int = 64, levers: Iterable[str] = ()
    ) -> None:
        """``levers`` are expected to act: a cache that is opened late is a copy, and takes time."""
        self._caches = {
            lever: PromptCache(entries=entries, paths=paths)
            for lever in (AS_SENT_BY_CLIENT, *levers)
        }

    def __len__(self) -> int:
        return len(self._caches)

    @property
    def sent(self) -> PromptCache:
        """The prompt cache of what is really sent: the provider's, as far as we know."""
        return self._in_order()[-1][1]

    def predict(self, view: PrefixView, now: datetime) -> Usage:
        """What the client's own request would read and write now. Changes nothing."""
        cache = self._caches[AS_SENT_BY_CLIENT]
        return cache.predict(cache.anchored(view), now).usage

    def begin(self, stages: Sequence[Stage]) -> Shadowed:
        """A call starts; ``stages`` has the client's request, then one for each lever that acts.

        A lever acts where it edits the request, moves its start, or kept its entries warm.
        """
        _check(stages)
        given = {stage.lever: stage for stage in stages}
        for lever in given.keys() - self._caches.keys():
            self._open(lever)
        begun: list[_Begun] = []
        stage = stages[0]
        for lever, cache in self._in_order():
            stage = given.get(lever, stage)
            view = cache.anchored(stage.view)
            forecast = cache.begin(view, stage.began_at)
            begun.append(_Begun(cache=lever, stage=stage, view=view, forecast=forecast))
        return Shadowed(begun=tuple(begun), sent=stages[-1])

    def kept_warm(
        self, lever: str, view: PrefixView, *, began_at: datetime, first_byte_at: datetime
    ) -> None:
        """A call of our own read this: with the lever's cache alone, the client would not have."""
        if lever not in self._caches:
            self._open(lever)
        cache = self._caches[lever]
        anchored = cache.anchored(view)
        forecast = cache.begin(anchored, began_at)
        cache.observe(anchored, forecast, began_at=began_at, first_byte_at=first_byte_at)

    def _in_order(self) -> list[tuple[str, PromptCache]]:
        return [(lever, self._caches[lever]) for lever in _ORDER if lever in self._caches]

    def _open(self, lever: str) -> None:
        """A lever acts for the first time: so far its stage was the one before."""
        before = [name for name in _ORDER[: _ORDER.index(lever)] if name in self._caches]
        self._caches[lever] = deepcopy(self._caches[before[-1]])

    def settle(self, shadowed: Shadowed, answered: Answered, *, own_cost_pico: int = 0) -> Savings:
        """The call is answered: what each stage would have been billed, and the savings."""
        sent = next(one for one in shadowed.begun if one.stage is shadowed.sent)
        correction = self._observe(sent, answered.usage, answered)
        assert correction is not None  # there was a usage
        usages: dict[str, Usage] = {}
        foreseen: dict[str, int] = {}
        for one in shadowed.begun:
            if one.stage is shadowed.sent:
                usage = answered.usage
            else:
                usage = _counterfactual(one, sent, answered.usage, correction)
            if one is not sent:
                self._observe(one, usage, answered)
            usages.setdefault(one.stage.lever, usage)
            foreseen.setdefault(one.stage.lever, _foreseen(one.forecast.usage, answered))
        amounts = {lever: _amount(usage, answered) for lever, usage in usages.items()}
        saved = {lever: amounts[before] - amounts[lever] for before, lever in pairwise(amounts)}
        return Savings(
            baseline_pico=amounts[AS_SENT_BY_CLIENT],
            cost_pico=answered.cost.total,
            by_lever=saved,
            foreseen={lever: foreseen[was] - foreseen[lever] for was, lever in pairwise(foreseen)},
            baseline_usage=usages[AS_SENT_BY_CLIENT],
            bound_pico=_bound(max(usage.prompt for usage in usages.values()), answered),
            own_cost_pico=own_cost_pico,
        )

    def seen(self, shadowed: Shadowed, first_byte_at: datetime) -> None:
        """The call was answered without a usage, or by a model without a price: nothing to compare.

        Its writes are readable all the same.
        """
        for one in shadowed.begun:
            self._caches[one.cache].observe(
                one.view,
                one.forecast,
                began_at=one.stage.began_at,
                first_byte_at=max(first_byte_at, one.stage.began_at),
            )

    def _observe(self, one: _Begun, usage: Usage, answered: Answered) -> CacheCorrection | None:
        return self._caches[one.cache].observe(
            one.view,
            one.forecast,
            began_at=one.stage.began_at,
            first_byte_at=max(answered.first_byte_at, one.stage.began_at),
            usage=usage,
        )


def _check(stages: Sequence[Stage]) -> None:
    levers = [stage.lever for stage in stages]
    if not levers or levers[0] != AS_SENT_BY_CLIENT:
        raise EngineBug("the first stage is the request as the client sent it")
    if levers != [lever for lever in _ORDER if lever in levers]:
        raise EngineBug(f"the stages {levers} are not in the order of ablation")


# -- what a stage would have been billed ----------------------------------------------------------


def _counterfactual(one: _Begun, sent: _Begun, usage: Usage, correction: CacheCorrection) -> Usage:
    """A stage's forecast at the measured length, the provider's luck shared."""
    hit = _shared_luck(one, sent, correction)
    length = usage.prompt + one.stage.view.total_tokens - sent.stage.view.total_tokens
    found, _ = bill(_measured(one.view, sent.view, hit, usage, max(0, length)), hit)
    return msgspec.structs.replace(
        usage,
        uncached=found.uncached,
        cache_write_5m=found.cache_write_5m,
        cache_write_1h=found.cache_write_1h,
        cache_read=found.cache_read,
        iterations=(),
    )


def _shared_luck(one: _Begun, sent: _Begun, correction: CacheCorrection) -> Hit | None:
    """The stage's hit, had it met the same provider."""
    hit, read = one.forecast.hit, correction.read_tokens
    if _block(hit) == _block(sent.forecast.hit) and correction.block in tested_blocks(one.view):
        return _hit(one, correction.block, read)  # it foresaw the same, so it gets the same
    if hit is not None and correction.kind == "read_less" and hit.tokens > read:
        return replace(hit, tokens=read) if read else None
    if correction.kind == "read_more" and one.forecast.expired:
        lapsed = one.forecast.expired[0]
        if min(lapsed.tokens, read) > (hit.tokens if hit else 0):
            return _hit(one, lapsed.block, min(lapsed.tokens, read))
    return hit


def _block(hit: Hit | None) -> int:
    return -1 if hit is None else hit.block


def _hit(one: _Begun, block: int, tokens: int) -> Hit:
    """An entry that was alive; how long it had lived does not matter to a bill."""
    return Hit(block=block, tokens=tokens, ttl="5m", touched_at=one.stage.began_at)


def _measured(
    view: PrefixView, sent: PrefixView, hit: Hit | None, usage: Usage, length: int
) -> PrefixView:
    """The view stretched between what is known: the hit, the last mark if it was sent, the end."""
    known = [(0, 0)]
    if hit is not None:
        known.append((view.positions[hit.block], hit.tokens))
    if view.marks and sent.marks:
        at, sent_at = view.marks[-1].index, sent.marks[-1].index
        if view.digests[at] == sent.digests[sent_at]:
            known.append((view.positions[at], usage.prompt - usage.uncached))
    known.append((view.total_tokens, length))
    points = [known[0]]
    for estimated, measured in known[1:]:
        points.append((max(estimated, points[-1][0]), max(measured, points[-1][1])))
    estimates = [estimated for estimated, _ in points]
    return replace(
        view,
        positions=[
            _stretched(position, points, bisect_left(estimates, position, lo=1))
            for position in view.positions
        ],
        total_tokens=length,
    )


def _stretched(position: int, points: Sequence[tuple[int, int]], index: int) -> int:
    """Where an estimated position lies between two measured points."""
    (left, low), (right, high) = points[index - 1], points[index]
    width = right - left
    return low + (position - left) * (high - low) // width if width else high


# -- money ----------------------------------------------------------------------------------------


def _amount(usage: Usage, answered: Answered) -> int:
    """What the call would have cost with another input side."""
    return answered.cost.total + _input(usage, answered) - _input(answered.usage, answered)


def _input(usage: Usage, answered: Answered) -> int:
    """What the counts of the prompt alone cost, as this answer was served."""
    plain = msgspec.structs.replace(
        usage, output=0, output_thinking=0, web_search_requests=0, iterations=()
    )
    return price(plain, answered.card).total


def _foreseen(usage: Usage, answered: Answered) -> int:
    """What a forecast would have been billed, served as this answer was."""
    return _input(
        msgspec.structs.replace(
            answered.usage,
            uncached=usage.uncached,
            cache_write_5m=usage.cache_write_5m,
            cache_write_1h=usage.cache_write_1h,
            cache_read=usage.cache_read,
        ),
        answered,
    )


def _bound(prompt_tokens: int, answered: Answered) -> int:
    """The dearest bill of a prompt: all of it written for an hour."""
    written = msgspec.structs.replace(
        answered.usage,
        uncached=0,
        cache_write_5m=0,
        cache_write_1h=prompt_tokens,
        cache_read=0,
    )
    return _input(written, answered)
