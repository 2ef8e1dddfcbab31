"""Running sums of the audit: exact counts and exact money, and rankings that stay small."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from farthing.pricing.money import Cost, PicoUsd
from farthing.wire.usage import Usage

__all__ = ["TOKEN_FIELDS", "Bill", "Key", "Ranking", "Share", "Tally", "bill_of"]

Key = TypeVar("Key", bound=Hashable)

#: component and amount in 10⁻¹² USD
Bill = tuple[tuple[str, int], ...]

TOKEN_FIELDS: Final = ("uncached", "cache_write_5m", "cache_write_1h", "cache_read", "output")


def bill_of(cost: Cost | None) -> Bill | None:
    """The components that cost something: read once, added to several sums."""
    if cost is None:
        return None
    return tuple((name, amount) for name, amount in cost.components if amount)


@dataclass(slots=True)
class Tally:
    """Calls, tokens and dollars of one group; what has no price adds tokens only."""

    calls: int = 0
    unpriced_calls: int = 0
    uncounted_calls: int = 0
    uncached: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    cache_read: int = 0
    output: int = 0
    web_search_requests: int = 0
    unpriced_tokens: int = 0
    cost: dict[str, int] = field(default_factory=dict)
    #: what cache misses cost above reads, 10⁻¹² USD; an estimate
    missed_pico: float = 0.0

    @property
    def prompt(self) -> int:
        """All input tokens."""
        return self.uncached + self.cache_write_5m + self.cache_write_1h + self.cache_read

    @property
    def total(self) -> PicoUsd:
        """The dollars of all that has a price."""
        return PicoUsd(sum(self.cost.values()))

    def add(self, usage: Usage | None, bill: Bill | None) -> None:
        """One billed call."""
        self.calls += 1
        if usage is None:
            self.uncounted_calls += 1
            return
        self.uncached += usage.uncached
        self.cache_write_5m += usage.cache_write_5m
        self.cache_write_1h += usage.cache_write_1h
        self.cache_read += usage.cache_read
        self.output += usage.output
        self.web_search_requests += usage.web_search_requests
        if bill is None:
            self.unpriced_calls += 1
            self.unpriced_tokens += usage.prompt + usage.output
        else:
            self._add_bill(bill)

    def add_late_output(self, tokens: int, bill: Bill | None) -> None:
        """Output tokens of a call counted before, which only a later copy knew."""
        self.output += tokens
        if bill is None:
            self.unpriced_tokens += tokens
        else:
            self._add_bill(bill)

    def _add_bill(self, bill: Bill) -> None:
        for name, amount in bill:
            self.cost[name] = self.cost.get(name, 0) + amount


@dataclass(slots=True)
class Share:
    """What one named thing took: how often, how large, how many token-turns, what it cost."""

    times: int = 0
    tokens: float = 0.0
    #: tokens × calls that carried them
    token_turns: float = 0.0
    #: 10⁻¹² USD; an estimate: the provider bills prompts, not their parts
    estimated_pico: float = 0.0

    def add(self, tokens: float, token_turns: float, estimated_pico: float) -> None:
        """One more of it."""
        self.times += 1
        self.tokens += tokens
        self.token_turns += token_turns
        self.estimated_pico += estimated_pico


class Ranking(Generic[Key]):
    """Shares by key, forgetting the smallest when there are too many.

    What grows: nothing beyond ``2 × keep`` entries. A key that is dropped and comes back starts
    again from zero, so only the tail is approximate; the top of a heavy-tailed list is not.
    """

    def __init__(self, keep: int = 5_000) -> None:
        self._shares: dict[Key, Share] = {}
        self._keep = keep
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._shares)

    def __iter__(self) -> Iterator[tuple[Key, Share]]:
        return iter(self._shares.items())

    def share(self, key: Key) -> Share:
        """The share of this key, new if it has none."""
        share = self._shares.get(key)
        if share is None:
            if len(self._shares) >= 2 * self._keep:
                self._prune()
            share = self._shares[key] = Share()
        return share

    def top(self, count: int | None = None) -> list[tuple[Key, Share]]:
        """The dearest first; then the largest, then by name, so that the order never varies."""
        ranked = sorted(self._shares.items(), key=lambda item: (*_weight(item[1]), str(item[0])))
        return ranked[:count]

    def _prune(self) -> None:
        kept = self.top(self._keep)
        self.dropped += len(self._shares) - len(kept)
        self._shares = dict(kept)


def _weight(share: Share) -> tuple[float, float]:
    return -share.estimated_pico, -share.token_turns
