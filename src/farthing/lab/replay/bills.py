"""What a replay cost: tokens, dollars by component, misses by cause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Final

from farthing.lab.replay.simulation import Cause, Replayed
from farthing.lab.replay.turns import Turn
from farthing.pricing import Catalog, Cost, RateCard, Rates
from farthing.wire.usage import Usage

__all__ = ["COMPONENTS", "Bill", "Miss", "Prices"]

#: in the order of a bill
COMPONENTS: Final = ("uncached", "cache_read", "cache_write_5m", "cache_write_1h", "output")

#: The day of calls whose time is not recorded, and of models that came later than the recording.
_TODAYS_LIST: Final = date.max


class Prices:
    """Rates of a turn: those of the day it was recorded on, else the newest list price."""

    def __init__(self, catalog: Catalog, *, on: date | None = None) -> None:
        self._catalog = catalog
        self._on = on
        self._cards: dict[tuple[str, date | None], RateCard | None] = {}

    def rates(self, turn: Turn, usage: Usage) -> Rates | None:
        """What its tokens cost; None: the model is unpriced."""
        day = self._on or turn.day
        key = turn.model, day
        if key not in self._cards:
            found = self._catalog.find(turn.model, on=day or _TODAYS_LIST)
            # a model that did not exist on the recorded day, asked for with --price-as
            self._cards[key] = found or self._catalog.find(turn.model, on=_TODAYS_LIST)
        card = self._cards[key]
        return None if card is None else card.rates_for(usage.prompt)


@dataclass(slots=True)
class Miss:
    """All misses of one cause."""

    calls: int = 0
    tokens: int = 0
    #: what they cost above reading the same tokens, in 10⁻¹² USD
    extra: int = 0


@dataclass(slots=True)
class _Amounts:
    """One number per component."""

    uncached: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0

    def add(self, usage: Usage, rates: Rates | None = None) -> None:
        """Add the tokens, or what they cost."""
        for name in COMPONENTS:
            rate = 1 if rates is None else getattr(rates, name)
            setattr(self, name, getattr(self, name) + getattr(usage, name) * rate)


@dataclass(slots=True)
class Bill:
    """A running sum over calls; standard tier, as the recorded traffic."""

    calls: int = 0
    unpriced_calls: int = 0
    estimated_outputs: int = 0
    _tokens: _Amounts = field(default_factory=_Amounts)
    _costs: _Amounts = field(default_factory=_Amounts)
    misses: dict[Cause, Miss] = field(default_factory=dict)

    @property
    def tokens(self) -> Mapping[str, int]:
        """Token counts by component."""
        return {part.name: getattr(self._tokens, part.name) for part in fields(_Amounts)}

    @property
    def prompt_tokens(self) -> int:
        """All input tokens."""
        return sum(self.tokens.values()) - self._tokens.output

    @property
    def cost(self) -> Cost | None:
        """What the priced calls cost; None: none was priced."""
        if self.calls and self.unpriced_calls == self.calls:
            return None
        return Cost(**{part.name: getattr(self._costs, part.name) for part in fields(_Amounts)})

    @property
    def input_cost(self) -> int | None:
        """Its input side in 10⁻¹² USD: what policies change and what ratios are of."""
        cost = self.cost
        return None if cost is None else cost.total - cost.output

    def add(self, replayed: Replayed, prices: Prices) -> None:
        """One more call."""
        usage = replayed.usage
        rates = prices.rates(replayed.turn, usage)
        self.calls += 1
        self.estimated_outputs += replayed.turn.is_output_estimated
        self._tokens.add(usage)
        if rates is None:
            self.unpriced_calls += 1
        else:
            self._costs.add(usage, rates)
        if replayed.cause is not None:
            self._miss(replayed, rates)

    def _miss(self, replayed: Replayed, rates: Rates | None) -> None:
        assert replayed.cause is not None
        miss = self.misses.setdefault(replayed.cause, Miss())
        usage, tokens = replayed.usage, replayed.missed_tokens
        miss.calls += 1
        miss.tokens += tokens
        fresh = usage.prompt - usage.cache_read
        if rates is not None and fresh:
            paid = (
                usage.uncached * rates.uncached
                + usage.cache_write_5m * rates.cache_write_5m
                + usage.cache_write_1h * rates.cache_write_1h
            )
            miss.extra += min(tokens, fresh) * (paid - fresh * rates.cache_read) // fresh
