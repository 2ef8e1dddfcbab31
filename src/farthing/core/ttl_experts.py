"""For how long a prefix should be written: experts whose cost on every gap is known afterwards.

Theory of operation. When a request comes, the gap since the one before it is known, and with it
what *every* lifetime would have cost here: a full-information problem, no exploration needed. Each
class of lineages has a table of what each expert would have paid so far, in tokens at the base
input price; who is cheapest is followed. A decision is made per epoch (a mostly cold write), so an
observation is an epoch: when one opens, all earlier costs of its class fade by ``DECAY``.

The experts: nothing is written; 5 m; 1 h; 5 m for the large cold write and 1 h for what later
requests add (``5m_then_1h``); 5 m with one to three keep-alive pings per pause. Pings are not sent
by anybody here; their columns say what they would have been worth.

``5m_then_1h`` rests on a documented rule (API facts 2.4, as of 2026-10): a breakpoint for 1 h
behind a read is billed for the new tokens only, and its entry is the whole prefix. Nobody has shown
that the provider keeps the older part for the hour. So its cost has two columns, if the rule holds
and if not; answers decide between them (``ttl_tables``).

The traces chose the memory: a pause of 5 to 60 minutes follows about one request in forty, so a
table that faded per gap would only ever see the last loop; per epoch it sees ten decisions or so.

Rules of this file: no money, only tokens times the model's own multipliers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Self, get_args

import msgspec

from farthing.core.prefix import LIFETIMES
from farthing.pricing import Rates

__all__ = ["DECAY", "EXPERTS", "Expert", "Multipliers", "Step", "TtlTable"]

Expert = Literal[
    "none", "5m", "1h", "5m_then_1h", "5m_then_1h_failing", "5m_1_ping", "5m_2_pings", "5m_3_pings"
]
EXPERTS: Final[tuple[Expert, ...]] = get_args(Expert)

#: per epoch: the last ten or so decide
DECAY: Final = 0.9
#: per gap: how often a pause follows is a rare event, and wants a longer memory
_GAP_DECAY: Final = 0.99

_5M: Final = LIFETIMES["5m"].total_seconds()
_1H: Final = LIFETIMES["1h"].total_seconds()
#: between keep-alive pings: a lifetime less what a late one may take
_PING_EVERY: Final = _5M - 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Multipliers:
    """Rates in units of the model's base input price."""

    read: float
    write_5m: float
    write_1h: float

    @classmethod
    def of(cls, rates: Rates) -> Self:
        """From a card's rates; a model whose input is free has no economics: all ones."""
        if not rates.uncached:
            return cls(read=1.0, write_5m=1.0, write_1h=1.0)
        return cls(
            read=rates.cache_read / rates.uncached,
            write_5m=rates.cache_write_5m / rates.uncached,
            write_1h=rates.cache_write_1h / rates.uncached,
        )

    @property
    def least_reuse(self) -> float:
        """The probability of a reuse from which on a 5 m write pays: 21.7 % at r = 0.1."""
        return (self.write_5m - 1) / (self.write_5m - self.read) if self.write_5m > 1 else 0.0

    def tops_up(self, *, added: float, covered: float, pause: float) -> bool:
        """Does 1 h for the tokens of this request pay, if a pause follows this likely?

        ``covered``: tokens that would otherwise be written again after the pause.
        """
        premium = (self.write_1h - self.write_5m) * added
        return premium < pause * (self.write_5m - self.read) * covered


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One request as every expert sees it."""

    #: since the prefix was last presented; None: never before
    gap_seconds: float | None
    #: tokens presented before, and all tokens
    shared: float
    total: float
    #: of the shared ones, those that are kept whatever is done with the rest: a head with its own
    head: float = 0.0
    #: tokens that a top-up had covered for an hour before this request
    topped: float = 0.0
    #: this request tops up
    tops_up: bool = False


class TtlTable(msgspec.Struct, kw_only=True):
    """What each expert would have paid in one class, faded; and how often pauses came."""

    costs: dict[str, float] = {}
    gaps: float = 0.0
    #: decayed counts: gaps of 5 to 60 minutes, all gaps
    pauses: float = 0.0
    chances: float = 0.0
    #: decayed counts: new prefixes presented again within the hour, all new prefixes
    returned: float = 0.0
    opened: float = 0.0

    def open_epoch(self) -> None:
        """A new decision in this class: earlier costs count less."""
        for name in self.costs:
            self.costs[name] *= DECAY

    def record(self, step: Step, prices: Multipliers) -> None:
        """Every expert pays for this request."""
        for name, cost in _costs(step, prices).items():
            self.costs[name] = self.costs.get(name, 0.0) + cost
        if step.gap_seconds is not None:
            self.gaps += 1
            self.pauses = self.pauses * _GAP_DECAY + (_5M <= step.gap_seconds < _1H)
            self.chances = self.chances * _GAP_DECAY + 1

    def record_new(self, *, returned: bool) -> None:
        """Was a new prefix presented again?"""
        self.returned = self.returned * _GAP_DECAY + returned
        self.opened = self.opened * _GAP_DECAY + 1

    def record_late(self) -> None:
        """One that had counted as not returned was presented again after all."""
        self.returned = min(self.opened, self.returned + 1)

    def add(self, other: TtlTable) -> None:
        """Experience of another process."""
        for name, cost in other.costs.items():
            self.costs[name] = self.costs.get(name, 0.0) + cost
        self.gaps += other.gaps
        self.pauses += other.pauses
        self.chances += other.chances
        self.returned += other.returned
        self.opened += other.opened


def _costs(step: Step, prices: Multipliers) -> dict[Expert, float]:
    gap = float("inf") if step.gap_seconds is None else step.gap_seconds
    added, total = step.total - step.shared, step.total
    read = prices.read * step.shared
    pings = 0 if gap < _5M else int((gap - _5M) // _PING_EVERY) + 1 if gap < _1H else 1 << 30

    def warm(write: float) -> float:
        return read + write * added

    def pinged(most: int) -> float:
        paid = 0.0 if step.gap_seconds is None else min(pings, most) * read
        return paid + (warm(prices.write_5m) if pings <= most else cold)

    cold = prices.write_5m * total
    last = prices.write_1h if step.tops_up else prices.write_5m
    upgraded = warm(last) if gap < _5M else cold
    if _5M <= gap < _1H and step.topped:
        kept = min(step.topped, step.shared)
        upgraded = prices.read * kept + last * (total - kept)
    return {
        "none": prices.read * step.head + total - step.head,
        "5m": warm(prices.write_5m) if gap < _5M else cold,
        "1h": warm(prices.write_1h) if gap < _1H else prices.write_1h * total,
        "5m_then_1h": upgraded,
        "5m_then_1h_failing": warm(last) if gap < _5M else cold,
        "5m_1_ping": pinged(1),
        "5m_2_pings": pinged(2),
        "5m_3_pings": pinged(3),
    }
