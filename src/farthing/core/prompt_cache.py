"""The provider's prompt cache, as a model: what a request will read and write, and what it did.

Theory of operation. The provider keeps one entry per breakpoint that was written, under a
cumulative hash of everything up to it. ``predict`` looks a request up among the entries we believe
in; ``begin`` does the same for a request that is leaving now, and books what its start changes
(a read refreshes, a write is in flight); ``observe`` books what its answer tells: the first byte
makes the writes readable, and the usage corrects whatever we believed wrongly.

The rules of this file and its siblings (API facts 2.2 to 2.7, documentation as of 2026-10):

- only breakpoints write, and only where the prefix is long enough;
- a lookup tests 20 positions per breakpoint, the breakpoint included (``prompt_cache_lookup``);
- life is counted from the *start* of the last request that wrote or read an entry; alive iff
  age < TTL; a read keeps the shorter entries of its path warm too;
- an entry is readable from the first byte of the response that wrote it;
- nothing is shared between scopes or models; what else keys an entry is in the digest;
- the answer is right and we are wrong (``prompt_cache_learning``).
"""

from __future__ import annotations

from datetime import datetime

from farthing.core.hazard import FULL_RATIO, BreakHazard, ExpectedUsage, expect
from farthing.core.prefix import PrefixView
from farthing.core.prompt_cache_forecast import Forecast, Hit, bill
from farthing.core.prompt_cache_learning import CacheCorrection, correct
from farthing.core.prompt_cache_lookup import anchored, explain, find
from farthing.core.prompt_cache_paths import RecentPaths
from farthing.core.prompt_cache_store import EntryStore, written
from farthing.core.survival import SurvivalRates
from farthing.wire.usage import Usage

__all__ = ["PromptCache"]


class PromptCache:
    """Everything we believe the provider holds. Memory is bounded by ``entries`` and ``paths``."""

    def __init__(self, *, entries: int = 50_000, paths: int = 64) -> None:
        self._store = EntryStore(capacity=entries)
        self._paths = RecentPaths(capacity=paths)
        self.hazard = BreakHazard()
        self.survival = SurvivalRates()

    def __len__(self) -> int:
        return len(self._store)

    def anchored(self, view: PrefixView) -> PrefixView:
        """The view with estimated positions corrected by what answers have measured."""
        return anchored(view, self._store.shelf(view))

    def predict(self, view: PrefixView, now: datetime) -> Forecast:
        """What would be read and written if this request started now. Changes nothing."""
        shelf = self._store.shelf(view)
        finding = find(view, shelf, self.survival, now)
        usage, writes = bill(view, finding.hit)
        return Forecast(
            usage=usage,
            hit=finding.hit,
            shortfall=explain(view, finding, shelf, self._paths, now),
            writes=writes,
            expired=finding.expired,
            hidden_writes=view.server_tools and bool(view.marks),
        )

    def expect(self, view: PrefixView, forecast: Forecast, now: datetime) -> ExpectedUsage:
        """The forecast in expectation: learned breaks and survivals weighed in."""
        return expect(view, forecast, now, hazard=self.hazard, survival=self.survival)

    def begin(self, view: PrefixView, now: datetime) -> Forecast:
        """This request starts now: what it reads stays warm, what it writes is in flight."""
        forecast = self.predict(view, now)
        self._book(view, forecast, now)
        return forecast

    def observe(
        self,
        view: PrefixView,
        forecast: Forecast,
        *,
        began_at: datetime,
        first_byte_at: datetime,
        usage: Usage | None = None,
    ) -> CacheCorrection | None:
        """The answer to a request that began with ``forecast``; None if it left no usage.

        The first byte publishes the writes. A usage that disagrees corrects the entries of this
        path: see ``CacheCorrection``.
        """
        for index in forecast.writes:
            entry = self._store.shelf(view).entries.get(view.digests[index])
            if entry is not None:
                entry.publish(first_byte_at)
        if usage is None:
            return None
        correction = correct(
            self._store, view, forecast, usage, began_at=began_at, first_byte_at=first_byte_at
        )
        self.hazard.record(forecast, correction, began_at)
        self._learn_survival(view, forecast, correction)
        return correction

    def _learn_survival(
        self, view: PrefixView, forecast: Forecast, correction: CacheCorrection
    ) -> None:
        """Each expired entry this request tested was there iff the read went that far."""
        if correction.kind in ("not_cached", "several_passes"):
            return
        for entry in forecast.expired:
            survived = correction.read_tokens >= FULL_RATIO * entry.tokens
            self.survival.record(view, entry, survived=survived)

    def _book(self, view: PrefixView, forecast: Forecast, now: datetime) -> None:
        if forecast.hit:
            self._refresh(view, forecast.hit, now)
        for mark in view.marks:
            if mark.index in forecast.writes:
                entry = written(view, mark.index, mark.ttl, now)
                self._store.put(view, mark.index, entry, now=now)
        self._paths.add(view, forecast.hit)

    def _refresh(self, view: PrefixView, hit: Hit, now: datetime) -> None:
        shelf = self._store.shelf(view)
        if view.digests[hit.block] not in shelf.entries:  # written by the provider on its own
            entry = written(view, hit.block, hit.ttl, now, tokens=hit.tokens)
            entry.publish(now)
            self._store.put(view, hit.block, entry, now=now)
        elif hit.is_presumed:
            shelf.entries[view.digests[hit.block]].touch(view, now)
        shelf.refresh(view, hit.block, now)
