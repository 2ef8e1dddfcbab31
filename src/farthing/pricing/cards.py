"""Rate cards: the dated, immutable prices of a model.

Theory of operation. A card says what one token of each kind costs on one model from one day on. A
new price is a new card with a later ``valid_from``; a card that was released is never edited, so
that a bill computed from stored token counts and a card id can be recomputed for ever. A card may
have *bands*: the total prompt of a request selects one, and that band then prices the whole
request, its output included (Haiku 5.5 since 2026-10-07, API facts section 1.1; the long-context
surcharge of Sonnet 4, 4.5 and, until 2026-03-13, of the 4.6 generation had the same shape).

Multipliers (batch, data residency, fast mode) are exact fractions, and a card refuses rates on
which any stack of its own multipliers would leave a fraction of 10⁻¹² USD per token. So pricing
multiplies integers and never rounds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import date
from fractions import Fraction
from itertools import product
from typing import Final, NewType

__all__ = [
    "ONE",
    "Band",
    "Multiplier",
    "RateCard",
    "RateCardId",
    "Rates",
    "Source",
    "card_digest",
    "set_digest",
]

#: ``claude-opus-5-5@2026-09-22``: stored beside every price, so that a row can be recomputed
RateCardId = NewType("RateCardId", str)

#: a factor on all token rates; exact
Multiplier = Fraction

ONE: Final = Fraction(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Prices per token in 10⁻¹² USD: 4 $/Mtok is 4,000,000."""

    uncached: int
    cache_write_5m: int
    cache_write_1h: int
    cache_read: int
    output: int

    def __post_init__(self) -> None:
        for name, rate in self.items:
            if rate < 0:
                raise ValueError(f"a rate is never negative: {name} = {rate}")

    @property
    def items(self) -> tuple[tuple[str, int], ...]:
        """Name and rate of each kind of token."""
        return tuple((kind.name, getattr(self, kind.name)) for kind in fields(self))

    def scaled(self, factor: Multiplier) -> Rates:
        """These rates times a factor; ``ValueError`` where that leaves a fraction."""
        if factor is ONE or factor == ONE:
            return self
        scaled: dict[str, int] = {}
        for name, rate in self.items:
            value = rate * factor
            if value.denominator != 1:
                raise ValueError(
                    f"{name} = {rate} × {factor} is finer than 10⁻¹² USD per token; "
                    "round the price to 0.00002 $/Mtok"
                )
            scaled[name] = value.numerator
        return Rates(**scaled)


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """The rates of every request whose total prompt is at most ``up_to`` tokens (None: any)."""

    up_to: int | None
    rates: Rates


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a price was read, and when."""

    name: str
    url: str
    read_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCard:
    """All that turns the usage of one model, from one day on, into money."""

    model: str
    valid_from: date
    #: ascending; the last one has no upper end
    bands: tuple[Band, ...]
    #: None: this model has no batch price
    batch: Multiplier | None = None
    #: factor per ``inference_geo``; what is not here is not surcharged or not offered
    geo: tuple[tuple[str, Multiplier], ...] = ()
    #: None: this model is not served in fast mode
    fast: Multiplier | None = None
    #: per search, in 10⁻¹² USD; never scaled by a multiplier
    web_search: int | None = None
    sources: tuple[Source, ...] = ()
    #: ``model@valid_from``; made once, for it stands beside every price
    id: RateCardId = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", RateCardId(f"{self.model}@{self.valid_from.isoformat()}"))
        ends = [band.up_to for band in self.bands]
        if not ends or ends[-1] is not None or None in ends[:-1]:
            raise ValueError("the last band, and only that one, has no `up_to`")
        inner = [end for end in ends if end is not None]
        if inner != sorted(set(inner)) or any(end <= 0 for end in inner):
            raise ValueError(f"bands ascend by `up_to`; these do not: {inner}")
        for factor in self.factors:
            if factor < 0:
                raise ValueError(f"a multiplier is never negative: {factor}")
            for band in self.bands:
                band.rates.scaled(factor)

    @property
    def factors(self) -> frozenset[Multiplier]:
        """Every product of multipliers that a request on this card can meet."""
        batch = {ONE, self.batch or ONE}
        fast = {ONE, self.fast or ONE}
        geo = {ONE} | {factor for _, factor in self.geo}
        return frozenset(a * b * c for a, b, c in product(batch, fast, geo))

    def rates_for(self, prompt_tokens: int) -> Rates:
        """The rates of a request with this total prompt: uncached, written and read together."""
        if len(self.bands) == 1:
            return self.bands[0].rates
        fits = (b.rates for b in self.bands if b.up_to is None or prompt_tokens <= b.up_to)
        return next(fits)  # the last band has no upper end: __post_init__ saw to it

    @property
    def read_multiplier(self) -> Fraction:
        """What a cache read costs, in units of an uncached token (0 where tokens are free)."""
        rates = self.bands[0].rates
        return Fraction(rates.cache_read, rates.uncached or 1)


def card_digest(card: RateCard) -> str:
    """What a released card is pinned by: 16 hex digits over everything that prices with it.

    Sources are left out: reading the same price again is not another price.
    """
    parts: list[str] = [card.id]
    for band in card.bands:
        rates = ",".join(f"{name}={rate}" for name, rate in band.rates.items)
        parts.append(f"up_to={band.up_to},{rates}")
    parts.append(f"batch={card.batch}")
    parts.extend(f"geo.{name}={factor}" for name, factor in sorted(card.geo))
    parts.append(f"fast={card.fast}")
    parts.append(f"web_search={card.web_search}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def set_digest(cards: Iterable[RateCard]) -> str:
    """What a whole catalogue is pinned by: the digests of its cards, in the order of their ids."""
    lines = sorted(f"{card.id} {card_digest(card)}" for card in cards)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
