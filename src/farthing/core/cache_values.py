"""What goes into the cache engine and what comes out: plain values (see ``cache_engine``)."""

from __future__ import annotations

from dataclasses import dataclass

from farthing.core.breakpoints import Markable, Why
from farthing.core.cache_lineages import Standing
from farthing.core.prefix import Mark, PrefixView, Ttl
from farthing.core.prefix_tree import KnownPath
from farthing.core.ttl_experts import Multipliers
from farthing.pricing import Rates

__all__ = ["CacheAsk", "CacheCase", "CacheChoice", "CachePin", "ChosenMark"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePin:
    """The lifetimes chosen for a lineage; None: nothing of it is written by us."""

    head: Ttl | None
    tail: Ttl | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheAsk:
    """A request that is about to leave."""

    #: with the client's marks, the automatic one included
    view: PrefixView
    #: effective rates of a request of this size
    rates: Rates
    #: may the block at this index carry a mark
    markable: Markable
    #: what kind of client, from the request alone
    kind: str = ""
    #: what is on record for the lineage; None also if nothing of it can be read any more
    pin: CachePin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenMark:
    """A breakpoint, and why it stands there."""

    index: int
    ttl: Ttl
    why: Why

    @property
    def mark(self) -> Mark:
        """As the prompt-cache model reads it."""
        return Mark(index=self.index, ttl=self.ttl)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheChoice:
    """How a request should be marked."""

    #: ascending; the client's are all among them
    marks: tuple[ChosenMark, ...]
    pin: CachePin
    #: most of the prompt is written by this request: the pin may be a new one
    is_epoch: bool
    #: 1 h for what a 5 m lineage adds
    tops_up: bool = False
    #: 10⁻¹² USD against the marks of the client; an expectation, never booked
    expected_saving: float = 0.0
    #: an entry that no breakpoint of this request finds
    unreached_block: int | None = None
    #: useful content of this length would make the head cacheable, and pay
    padding_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheCase:
    """One request with all that the engine knows about it."""

    ask: CacheAsk
    prices: Multipliers
    path: KnownPath
    standing: Standing
    #: blocks at which the lineage left entries that this request shares
    entries: tuple[int, ...]
    #: probability that a pause of 5 to 60 minutes follows
    pause: float
    #: probability that a top-up holds
    upgrade: float
    #: the lineage is on record, but this process has not seen it
    is_resumed: bool
