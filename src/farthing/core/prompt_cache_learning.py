"""What an answer's usage teaches about the entries on its path: the provider is right.

Three ways to disagree. It read *more*: an entry was alive that we held for dead or never saw, for
another client shares it; it is booked where the read ended. It read *less*: entries behind the
boundary that was read are gone, or the client changed something we cannot see; either way the next
request will not find them. It cached *nothing*: the marks were too short or did not arrive.
Token positions are estimates until an answer measures them: a read measures the hit, reads plus
writes measure the last mark.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from farthing.core.prefix import PrefixView
from farthing.core.prompt_cache_forecast import Forecast
from farthing.core.prompt_cache_lookup import tested_blocks
from farthing.core.prompt_cache_store import EntryStore, HiddenWrite, written
from farthing.wire.usage import Usage

__all__ = ["CacheCorrection", "CorrectionKind", "correct"]

CorrectionKind = Literal["confirmed", "read_more", "read_less", "not_cached", "several_passes"]

#: Positions are estimates: a read this near to the prediction is the same boundary.
_SAME_TOKENS = 64
_SAME_RATIO = 0.02

#: The same for a boundary in mid-prompt that no answer has measured yet.
_UNMEASURED_RATIO = 0.6

#: A server tool makes the provider sample again over the same prompt and add the passes up; such a
#: total measures no position. No single pass differs this much from its estimate.
_SEVERAL_PASSES_RATIO = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheCorrection:
    """How the answer's reads compare with the forecast."""

    kind: CorrectionKind
    predicted_tokens: int
    read_tokens: int
    #: the block at which the read ended, -1 for none
    block: int


def correct(
    store: EntryStore,
    view: PrefixView,
    forecast: Forecast,
    usage: Usage,
    *,
    began_at: datetime,
    first_byte_at: datetime,
) -> CacheCorrection:
    """Book what ``usage`` says about the path of ``view``; say how it differed."""
    learner = _Learner(store, view, forecast, began_at, first_byte_at)
    kind, block = learner.learn(usage)
    return CacheCorrection(
        kind=kind,
        predicted_tokens=forecast.usage.cache_read,
        read_tokens=usage.cache_read,
        block=block,
    )


@dataclass(frozen=True, slots=True)
class _Learner:
    """The arguments of ``correct``, shared by its steps."""

    store: EntryStore
    view: PrefixView
    forecast: Forecast
    began_at: datetime
    first_byte_at: datetime

    def learn(self, usage: Usage) -> tuple[CorrectionKind, int]:
        predicted_block = self.forecast.hit.block if self.forecast.hit else -1
        cached = usage.prompt - usage.uncached
        if self.view.server_tools and usage.prompt > _SEVERAL_PASSES_RATIO * self.view.total_tokens:
            return "several_passes", predicted_block
        if not cached:
            return self._forget(), -1
        kind, block = self._boundary(usage.cache_read, predicted_block)
        if block >= 0:
            self._book(block, usage.cache_read, self.began_at)
        self._measure_writes(block, cached)
        return kind, block

    def _forget(self) -> CorrectionKind:
        """Nothing was cached: what we believed of this path does not hold."""
        expected = self.forecast.usage
        if expected.uncached == expected.prompt:
            return "confirmed"
        for index in range(len(self.view.digests)):
            self.store.drop(self.view, index)
        return "not_cached"

    def _boundary(self, read: int, predicted_block: int) -> tuple[CorrectionKind, int]:
        """Where the read ended, and what that makes of the entries behind it."""
        predicted = self.forecast.usage.cache_read
        if self._is_same(read, predicted):
            return "confirmed", predicted_block
        if read > predicted:
            behind = [index for index in tested_blocks(self.view) if index >= predicted_block]
            block = self._nearest(behind, read, default=predicted_block)
            return ("read_more" if block > predicted_block else "confirmed"), block
        block = self._nearest(range(predicted_block + 1), read, default=-1) if read else -1
        for index in range(block + 1, predicted_block + 1):
            self.store.drop(self.view, index)
        return "read_less", block

    def _is_same(self, read: int, predicted: int) -> bool:
        if not read or not predicted:
            return read == predicted
        return abs(read - predicted) <= max(_SAME_TOKENS, _SAME_RATIO * predicted)

    def _nearest(self, blocks: Iterable[int], read: int, *, default: int) -> int:
        """The block whose prefix is nearest to ``read``.

        An entry that was measured at that length comes first, then one that is only estimated: a
        wrong estimate is likelier than a writer nobody saw. Only then a mere position.
        """
        entries = self.store.shelf(self.view).entries
        candidates = list(blocks)
        known = {
            index: entry
            for index in candidates
            if (entry := entries.get(self.view.digests[index])) is not None
        }
        measured = {
            index: entry.tokens
            for index, entry in known.items()
            if entry.is_measured and self._is_same(read, entry.tokens)
        }
        estimated = {
            index: entry.tokens
            for index, entry in known.items()
            if not entry.is_measured
            and index not in self.forecast.writes
            and abs(read - entry.tokens) <= _UNMEASURED_RATIO * entry.tokens
        }
        positions = {index: self.view.positions[index] for index in candidates}
        ends = measured or estimated or positions
        return min(ends, key=lambda index: abs(ends[index] - read), default=default)

    def _book(self, block: int, tokens: int, usable_at: datetime) -> None:
        """The prefix through ``block`` is alive, and this long."""
        entry = self.store.shelf(self.view).entries.get(self.view.digests[block])
        if entry is None:
            marked = [mark.ttl for mark in self.view.marks if mark.index >= block]
            ttl = marked[0] if marked else "5m"
            entry = written(self.view, block, ttl, self.began_at, tokens=tokens)
            self.store.put(self.view, block, entry, now=self.began_at)
        entry.measure(tokens)
        entry.touch(self.view, self.began_at)
        entry.publish(usable_at)

    def _measure_writes(self, block: int, cached: int) -> None:
        """Every long enough mark behind the boundary was written; the last one is measured."""
        marks = [mark for mark in self.view.marks if self.view.is_cacheable(mark)]
        entries = self.store.shelf(self.view).entries
        for mark in marks:
            if mark.index > block and self.view.digests[mark.index] not in entries:
                entry = written(self.view, mark.index, mark.ttl, self.began_at)
                entry.publish(self.first_byte_at)
                self.store.put(self.view, mark.index, entry, now=self.began_at)
        if not marks:
            return
        last = self.store.shelf(self.view).entries.get(self.view.digests[marks[-1].index])
        if last is None:
            return
        beyond = cached - self.view.positions[marks[-1].index]
        if self.view.server_tools and beyond > _SAME_TOKENS:
            last.hidden = HiddenWrite(tokens=cached, touched_at=self.began_at)
        else:
            last.measure(cached)
