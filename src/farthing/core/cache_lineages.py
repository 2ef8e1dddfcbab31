"""What is remembered of a lineage between two requests, and what of a new request is still cached.

Theory of operation. ``stand`` compares a request with the one before it in its lineage: how much
they share, how long the pause was, and so how much of the prompt can be read. Entries live from the
start of the last request that wrote or read them (API facts 2.3, documentation as of 2026-10).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from farthing.core.prefix import LIFETIMES, PrefixView, Ttl
from farthing.core.prefix_tree import KnownPath
from farthing.core.prompt_cache_paths import common_blocks

__all__ = ["FIVE_MINUTES", "ONE_HOUR", "Lineage", "Standing", "stand"]

FIVE_MINUTES: Final = LIFETIMES["5m"].total_seconds()
ONE_HOUR: Final = LIFETIMES["1h"].total_seconds()

#: A request that has to write more than this share of its prompt opens an epoch.
_EPOCH_SHARE: Final = 0.5


@dataclass(slots=True, kw_only=True)
class Lineage:
    """The last request of a lineage. Mutable: the answer adds its stop reason."""

    digests: Sequence[bytes]
    at: float
    #: pinned at the last epoch; None: nothing is written
    base: Ttl | None = None
    #: where its costs are booked until the next epoch
    classes: tuple[str, ...] = ()
    #: blocks at which it left entries, ascending
    written: tuple[int, ...] = ()
    #: The deepest entry for an hour that was topped up, and when it was last touched. For a base
    #: of 1 h what it would have been: the experts are judged on the same footing.
    topped: int | None = None
    topped_at: float = 0.0
    #: tokens that this request reads if, and only if, top-ups hold
    trial_tokens: int = 0
    stop_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A request beside what is believed to be cached of it."""

    #: since the last request of the lineage; None: there was none, or it is not remembered
    gap_seconds: float | None
    #: blocks and tokens presented before
    shared_blocks: int
    shared_tokens: int
    #: the topped-up entry that is still alive
    topped: int | None
    topped_tokens: int
    #: tokens that will be read
    warm_tokens: int
    #: the same, had the lineage been written for five minutes and topped up
    warm_tokens_5m: int
    #: tokens up to the deepest entry that the lineage left of what is presented again
    written_tokens: int
    is_epoch: bool

    @property
    def is_new(self) -> bool:
        """Was nothing of the lineage presented within the longest lifetime?"""
        return self.gap_seconds is None or self.gap_seconds >= ONE_HOUR

    @property
    def is_pause(self) -> bool:
        """Did a 5 m entry lapse, and a 1 h entry not?"""
        return self.gap_seconds is not None and FIVE_MINUTES <= self.gap_seconds < ONE_HOUR


def stand(view: PrefixView, lineage: Lineage | None, path: KnownPath, now: float) -> Standing:
    """What of this request is cached, as far as this process knows."""
    if lineage is None:
        return _first(view, path)
    shared = common_blocks(view.digests, lineage.digests)
    tokens = view.positions[shared - 1] if shared else 0
    gap = max(0.0, now - lineage.at)
    topped = lineage.topped
    if topped is not None and (topped >= shared or now - lineage.topped_at >= ONE_HOUR):
        topped = None
    topped_tokens = 0 if topped is None else view.positions[topped]
    warm_5m = tokens if gap < FIVE_MINUTES else topped_tokens
    warm = warm_5m if lineage.base != "1h" else tokens if gap < ONE_HOUR else 0
    return Standing(
        gap_seconds=gap,
        shared_blocks=shared,
        shared_tokens=tokens,
        topped=topped,
        topped_tokens=topped_tokens,
        warm_tokens=warm,
        warm_tokens_5m=warm_5m,
        written_tokens=max((view.positions[i] for i in lineage.written if i < shared), default=0),
        is_epoch=view.total_tokens - warm > _EPOCH_SHARE * view.total_tokens,
    )


def _first(view: PrefixView, path: KnownPath) -> Standing:
    """Of a new lineage, what others presented within five minutes."""
    warm = [stop.index for stop in path.stops if stop.age_seconds < FIVE_MINUTES]
    blocks = warm[-1] + 1 if warm else 0
    tokens = view.positions[warm[-1]] if warm else 0
    return Standing(
        gap_seconds=None,
        shared_blocks=blocks,
        shared_tokens=tokens,
        topped=None,
        topped_tokens=0,
        warm_tokens=tokens,
        warm_tokens_5m=tokens,
        written_tokens=tokens,
        is_epoch=True,
    )
