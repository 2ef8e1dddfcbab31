"""When a prompt cache pays on a model: uses, hit rates, pings; exact fractions, no clock.

Theory of operation. The unit is one uncached pass over the prefix. A write costs w (1.25 for five
minutes, 2 for an hour), a read r (0.1 to 0.025, by model). For n passes while the entry lives,
caching costs w + (n − 1)·r and not caching costs n. Keeping a five-minute entry warm costs r per
ping (a request with ``max_tokens: 0``); letting it die costs w once more. API facts sections 1.6
and 2.8, and the lever notes on the read price.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Final

from farthing.pricing.cards import RateCard

__all__ = ["PINGS_PER_HOUR", "BreakEven", "TtlBreakEven", "break_even"]

#: an entry lives 300 s from the start of a request; a ping every 285 s leaves it 15 s to arrive
_PING_SECONDS: Final = 285
#: pings that keep a five-minute entry alive for an hour
PINGS_PER_HOUR: Final = ceil(3600 / _PING_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class TtlBreakEven:
    """When writing with one TTL is cheaper than not caching, if every later use is a hit."""

    #: what the write costs, in uncached passes
    write: Fraction
    #: reads after the write at which both cost the same
    reads: Fraction
    #: first number of uses, the write included, at which caching is cheaper
    uses: int
    #: share of uses that must be hits, where every miss writes again
    hit_rate: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """Whether and when caching a prefix pays on one rate card."""

    read: Fraction
    five_minutes: TtlBreakEven
    one_hour: TtlBreakEven
    #: pings that together cost no more than the rewrite they avoid
    pings: int
    #: how long those pings keep the entry alive, in minutes
    ping_minutes: Fraction
    #: the shortest prefix this model caches; None: not known
    min_tokens: int | None
    prefix_tokens: int | None

    @property
    def too_short(self) -> bool:
        """Whether this prefix is silently not cached, so that nothing here can pay."""
        if self.prefix_tokens is None or self.min_tokens is None:
            return False
        return self.prefix_tokens < self.min_tokens

    @property
    def pings_per_hour(self) -> int:
        """Pings per hour that still pay; ``PINGS_PER_HOUR`` would cover the whole hour."""
        return min(self.pings, PINGS_PER_HOUR)

    @property
    def hour_is_covered(self) -> bool:
        """Whether the pings that pay keep a five-minute entry alive for an hour."""
        return self.pings >= PINGS_PER_HOUR

    @property
    def hour_by_pings(self) -> Fraction:
        """What an hour of pings costs on top of a five-minute write."""
        return PINGS_PER_HOUR * self.read

    @property
    def hour_by_ttl(self) -> Fraction:
        """What an hour's write costs on top of a five-minute write."""
        return self.one_hour.write - self.five_minutes.write

    @property
    def pings_beat_ttl(self) -> bool:
        """Whether an idle hour is cheaper bridged by pings than by a one-hour write."""
        return self.hour_by_pings < self.hour_by_ttl


def break_even(
    card: RateCard, *, prefix_tokens: int | None = None, min_tokens: int | None = None
) -> BreakEven | None:
    """When caching pays on this card; None where reading is not cheaper than sending again."""
    rates = card.rates_for(prefix_tokens or 0)
    if rates.cache_read >= rates.uncached:
        return None
    read = Fraction(rates.cache_read, rates.uncached)
    w5 = Fraction(rates.cache_write_5m, rates.uncached)
    w1 = Fraction(rates.cache_write_1h, rates.uncached)
    pings = floor((w5 - read) / read) if read else PINGS_PER_HOUR
    return BreakEven(
        read=read,
        five_minutes=_ttl(w5, read),
        one_hour=_ttl(w1, read),
        pings=max(pings, 0),
        ping_minutes=Fraction((max(pings, 0) + 1) * _PING_SECONDS, 60),
        min_tokens=min_tokens,
        prefix_tokens=prefix_tokens,
    )


def _ttl(write: Fraction, read: Fraction) -> TtlBreakEven:
    reads = max((write - 1) / (1 - read), Fraction(0))
    return TtlBreakEven(
        write=write,
        reads=reads,
        uses=floor(reads) + 2,  # one write, then the first whole number of reads beyond the tie
        hit_rate=max((write - 1) / (write - read), Fraction(0)),
    )
