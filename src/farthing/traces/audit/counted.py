"""A recorded call with its counts read and its price known, or known to be unknown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Final

import msgspec

from farthing.errors import UnpricedModelError, UpstreamError
from farthing.pricing.billing import price
from farthing.pricing.cards import RateCard, Rates
from farthing.pricing.catalog import Catalog
from farthing.pricing.money import Cost
from farthing.traces.format import Call, Conversation, is_given
from farthing.traces.instants import parse_instant, utc_day
from farthing.wire.usage import Usage, parse_usage

__all__ = ["CountedCall", "PriceList", "count_calls"]

#: used for the rate card of a call whose time is not recorded: list prices of that day
_UNDATED: Final = date.max


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedCall:
    """One call; ``usage`` None: not reported, ``cost`` None: no price."""

    call: Call
    #: seconds since the epoch when the request could be sent
    at: float | None
    day: date | None
    model: str
    usage: Usage | None
    cost: Cost | None
    card: RateCard | None
    rates: Rates | None
    #: does it count in sums
    billed: bool

    @property
    def prompt(self) -> int:
        """All input tokens; 0 where they are not known."""
        return self.usage.prompt if self.usage else 0

    @property
    def fresh_tokens(self) -> int:
        """Input tokens that were not read from the prompt cache."""
        return self.usage.prompt - self.usage.cache_read if self.usage else 0

    @property
    def fresh_pico(self) -> float:
        """What one of those cost on average, in 10⁻¹² USD."""
        if self.cost is None or self.rates is None or not self.fresh_tokens:
            return float(self.rates.uncached) if self.rates else 0.0
        cost = self.cost
        return (cost.uncached + cost.cache_write_5m + cost.cache_write_1h) / self.fresh_tokens


class PriceList:
    """Finds and remembers cards; one per run. Grows with models × days."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._cards: dict[tuple[str, date], RateCard | None] = {}
        self._factors: dict[tuple[str, str | None, str | None, str | None], Fraction] = {}

    def find(self, model: str, on: date | None) -> RateCard | None:
        """The card in force that day; None: unpriced."""
        key = model, on or _UNDATED
        if key not in self._cards:
            self._cards[key] = self._catalog.find(model, on=key[1])
        return self._cards[key]

    def price(self, usage: Usage, card: RateCard, on: date | None) -> Cost | None:
        """The exact cost, None if the card lacks something this usage needs."""
        try:
            return price(usage, card, cards=self._catalog.on(on or _UNDATED))
        except UnpricedModelError:
            return None

    def rates(self, usage: Usage, card: RateCard) -> Rates:
        """Rates per token as this call was served: band, batch, region and speed applied."""
        rates = card.rates_for(usage.prompt)
        factor = self._factor(usage, card)
        return rates if factor == 1 else rates.scaled(factor)

    def _factor(self, usage: Usage, card: RateCard) -> Fraction:
        key = card.id, usage.speed, usage.inference_geo, usage.service_tier
        if key not in self._factors:
            plain = msgspec.structs.replace(Usage(output=1), speed=key[1], inference_geo=key[2])
            cost = price(msgspec.structs.replace(plain, service_tier=key[3]), card)
            self._factors[key] = Fraction(cost.output, card.rates_for(0).output)
        return self._factors[key]


def count_calls(
    conversation: Conversation, prices: PriceList, since: date | None
) -> list[CountedCall]:
    """The conversation's calls, priced on the day each was made."""
    started_at = parse_instant(conversation.started_at)
    return [_count(call, conversation, started_at, prices, since) for call in conversation.calls]


def _count(
    call: Call,
    conversation: Conversation,
    started_at: float | None,
    prices: PriceList,
    since: date | None,
) -> CountedCall:
    at = None if started_at is None else started_at + (call.at or 0.0)
    day = utc_day(at)
    at = None if day is None else at
    model = call.model or conversation.model or "unknown"
    usage = _usage(call)
    card = prices.find(model, day) if usage else None
    cost = prices.price(usage, card, day) if usage and card else None
    billed = not call.replayed and not call.synthetic
    return CountedCall(
        call=call,
        at=at,
        day=day,
        model=model,
        usage=usage,
        cost=cost,
        card=card if cost else None,
        rates=prices.rates(usage, card) if usage and card and cost else None,
        billed=billed and (since is None or (day is not None and day >= since)),
    )


def _usage(call: Call) -> Usage | None:
    if not is_given(call.usage):
        return None
    try:
        return parse_usage(bytes(call.usage))
    except UpstreamError:
        return None
