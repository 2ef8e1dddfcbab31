"""Compares the ledger with the provider's usage report, and finds what unsettled rows cost; pure.

Theory of operation. Both sides are counted per bucket of time, model and kind (batch or not), in
tokens, because tokens are what the report says exactly. What the report has beyond the settled rows
is the residual. The unsettled rows of the bucket must explain it: priced, it lies between the sum
of their lower and the sum of their upper ends, or something else used the key.

A residual *determines* its rows in two cases only. One unsettled row in the bucket: the residual is
its usage. Several, and the residual is nothing: none of them cost anything. Everything else stays
an interval, and the reason says why.

Rules of this file: when in doubt nothing is determined. A bucket is left alone while the report may
lag behind it, if one of its exchanges crosses its edge (nobody says in which bucket the provider
counts it), if its answers were served at different prices, or if the price hangs on how many passes
there were.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from farthing.core.closing import closed, model_of
from farthing.core.records import ExchangeRow, Settlement
from farthing.errors import UnpricedModelError
from farthing.pricing.billing import price
from farthing.pricing.catalog import Catalog
from farthing.wire.usage import Usage
from farthing.wire.usage_report import ReportedUse

__all__ = ["COUNTS", "NOTE", "BucketKey", "Comparison", "Verdict", "bucket_of", "reconcile"]

#: on the rows that were closed so
NOTE: Final = "reconciled.usage_report"
COUNTS: Final = (
    "uncached",
    "cache_write_5m",
    "cache_write_1h",
    "cache_read",
    "output",
    "web_search_requests",
)
#: The report is some five minutes behind (API facts, section 7); three times that is safe.
_LAG: Final = timedelta(minutes=15)
_NOTHING: Final = (0,) * len(COUNTS)

_Counts = tuple[int, ...]

#: ``equal``: nothing is open. ``determined``: each open row's cost is known now. ``within``: the
#: residual fits the open rows but does not say which cost what. ``outside``: it does not fit.
#: ``left``: this cannot be said now, or not for this bucket.
Verdict = Literal["equal", "determined", "within", "outside", "left"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketKey:
    """What is compared with what."""

    starting_at: datetime
    model: str
    is_batch: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One bucket, both sides."""

    key: BucketKey
    #: tokens in the order of ``COUNTS``
    reported: _Counts
    settled: _Counts
    unsettled: tuple[str, ...]
    low_pico: int
    #: None: at least one row has no bound
    high_pico: int | None
    #: the residual's price; None: it has none, or not one only
    residual_pico: int | None
    verdict: Verdict
    why: str
    closings: tuple[Settlement, ...] = ()

    @property
    def residual(self) -> _Counts:
        """What the report has beyond the settled rows."""
        return tuple(a - b for a, b in zip(self.reported, self.settled, strict=True))


@dataclass(slots=True)
class _Bucket:
    reported: _Counts = _NOTHING
    settled: _Counts = _NOTHING
    #: how the provider says these answers were served: tier, region, speed
    served: set[tuple[str | None, str | None, str | None]] = field(default_factory=set)
    open_rows: list[tuple[ExchangeRow, Settlement]] = field(default_factory=list)
    is_under_way: bool = False
    is_recent: bool = False
    crosses_edge: bool = False

    @property
    def is_empty(self) -> bool:
        return self.reported == self.settled == _NOTHING and not self.open_rows


_Buckets = defaultdict[BucketKey, _Bucket]


def reconcile(
    uses: Iterable[ReportedUse],
    rows: Iterable[ExchangeRow],
    *,
    width: timedelta,
    prices: Catalog,
    now: datetime,
) -> list[Comparison]:
    """Every bucket of either side, oldest first."""
    buckets: _Buckets = defaultdict(_Bucket)
    for use in uses:
        _add_use(buckets, use, width, prices)
    for row in rows:
        _add_row(buckets, row, width, prices, now)
    order = sorted(buckets, key=lambda key: (key.starting_at, key.model, key.is_batch))
    return [_compared(key, buckets[key], prices) for key in order if not buckets[key].is_empty]


def bucket_of(instant: datetime, width: timedelta) -> datetime:
    """The start of the bucket an instant lies in; buckets are aligned to their width in UTC."""
    origin = datetime(2000, 1, 1, tzinfo=UTC)
    return instant - (instant - origin) % width


def _add_use(buckets: _Buckets, use: ReportedUse, width: timedelta, prices: Catalog) -> None:
    usage = use.usage
    key = BucketKey(
        starting_at=bucket_of(use.starting_at, width),
        model=_canonical(use.model, prices),
        is_batch=usage.service_tier == "batch",
    )
    bucket = buckets[key]
    bucket.reported = _plus(bucket.reported, _counts(usage))
    bucket.served.add((usage.service_tier, usage.inference_geo, usage.speed))


def _add_row(
    buckets: _Buckets, row: ExchangeRow, width: timedelta, prices: Catalog, now: datetime
) -> None:
    ending = row.settlement
    first = bucket_of(row.opened.opened_at, width)
    ended_at = now if ending is None else ending.ended_at
    for model, usage in _parts(row):
        key = BucketKey(
            starting_at=first,
            model=_canonical(model, prices),
            is_batch=row.opened.endpoint == "batch_item",
        )
        bucket = buckets[key]
        bucket.is_under_way |= ending is None
        bucket.is_recent |= now - ended_at < _LAG
        _mark_edges(buckets, key, bucket_of(ended_at, width), width)
        if ending is not None and ending.state == "unsettled":
            bucket.open_rows.append((row, ending))
        else:
            bucket.settled = _plus(bucket.settled, _counts(usage))


def _mark_edges(buckets: _Buckets, key: BucketKey, last: datetime, width: timedelta) -> None:
    """An exchange that goes on into later buckets leaves none of them certain."""
    at = key.starting_at
    while at < last:
        buckets[replace(key, starting_at=at)].crosses_edge = True
        at += width
        buckets[replace(key, starting_at=at)].crosses_edge = True


def _parts(row: ExchangeRow) -> list[tuple[str | None, Usage]]:
    """What a row was billed for, per model; of an open one, the model alone."""
    ending, model = row.settlement, model_of(row)
    if ending is None or ending.state == "unsettled":
        return [(model, Usage())] if row.opened.endpoint == "messages" else []
    usage = ending.usage
    if usage is None or (ending.cost is not None and ending.cost.total == 0):
        return []
    if not usage.iterations:
        return [(model, usage)]
    entries = [(entry.model or model, entry.usage) for entry in usage.iterations]
    # an attempt that was declined said nothing before another model took over, and is not billed
    billed = [(name, own) for name, own in entries if own.output or own is entries[-1][1]]
    return [(model, Usage(web_search_requests=usage.web_search_requests)), *billed]


def _compared(key: BucketKey, bucket: _Bucket, prices: Catalog) -> Comparison:
    highs = [ending.high_pico for _, ending in bucket.open_rows]
    bounded = [high for high in highs if high is not None]
    found = Comparison(
        key=key,
        reported=bucket.reported,
        settled=bucket.settled,
        unsettled=tuple(row.opened.exchange_id for row, _ in bucket.open_rows),
        low_pico=sum((ending.low_pico or 0) for _, ending in bucket.open_rows),
        high_pico=sum(bounded) if len(bounded) == len(highs) else None,
        residual_pico=None,
        verdict="left",
        why="",
    )
    return _judged(replace(found, residual_pico=_priced(found, bucket, prices)), bucket, prices)


def _judged(found: Comparison, bucket: _Bucket, prices: Catalog) -> Comparison:
    """What the residual says, the most certain first."""
    if bucket.is_under_way:
        return replace(found, why="an exchange is under way, or waits for the gateway's next start")
    if bucket.is_recent:
        return replace(found, why="the report may lag behind: ask again in 15 minutes")
    if found.residual == _NOTHING and not bucket.open_rows:
        return replace(found, verdict="equal", why="the same on both sides")
    if found.key.is_batch:
        return replace(found, why="batches are counted when processed, booked when read")
    if bucket.crosses_edge:
        return replace(found, why="an exchange crosses the edge of the bucket")
    if min(found.residual) < 0:
        return replace(found, verdict="outside", why="the ledger has more than the report")
    if not bucket.open_rows:
        return replace(found, verdict="outside", why="used by something else than this gateway?")
    return _explained(found, bucket, prices)


def _explained(found: Comparison, bucket: _Bucket, prices: Catalog) -> Comparison:
    """The residual against the rows that are open."""
    amount = found.residual_pico
    if amount is None:
        return replace(found, why="the residual has no price, or not one only")
    if amount < found.low_pico or (found.high_pico is not None and amount > found.high_pico):
        return replace(found, verdict="outside", why="the open rows cannot have cost that")
    if amount and len(bucket.open_rows) > 1:
        return replace(found, verdict="within", why="several rows are open")
    usage = _usage(found.residual, bucket)
    for row, ending in bucket.open_rows:
        doubt = _doubt(row, ending, usage, prices)
        if doubt is not None:
            return replace(found, verdict="within", why=doubt)
    closings = tuple(closed(row, usage, prices=prices, note=NOTE) for row, _ in bucket.open_rows)
    return replace(found, verdict="determined", why="the residual is theirs", closings=closings)


def _doubt(row: ExchangeRow, ending: Settlement, usage: Usage, prices: Catalog) -> str | None:
    """Why this usage may not be this row's after all."""
    seen = ending.usage
    if seen is not None and any(a < b for a, b in zip(_counts(usage), _counts(seen), strict=True)):
        return "the answer had said more than the residual is"
    model = model_of(row)
    card = prices.find(model, on=row.opened.opened_at) if model else None
    if card is None:
        return "its model has no price"
    first = card.bands[0].up_to
    is_one_pass = seen is not None and seen.prompt == usage.prompt
    if first is not None and usage.prompt > first and not is_one_pass:
        return "its price hangs on how many passes there were"
    return None


def _priced(found: Comparison, bucket: _Bucket, prices: Catalog) -> int | None:
    """The residual's price, where all of it has one."""
    if found.residual == _NOTHING:
        return 0
    card = prices.find(found.key.model, on=found.key.starting_at)
    if card is None or len(bucket.served) != 1 or min(found.residual) < 0:
        return None
    try:
        return price(_usage(found.residual, bucket), card).total
    except UnpricedModelError:
        return None


def _usage(counts: _Counts, bucket: _Bucket) -> Usage:
    tier, geo, speed = next(iter(bucket.served), (None, None, None))
    uncached, write_5m, write_1h, read, output, searches = counts
    return Usage(
        uncached=uncached,
        cache_write_5m=write_5m,
        cache_write_1h=write_1h,
        cache_read=read,
        output=output,
        web_search_requests=searches,
        service_tier=tier,
        inference_geo=geo,
        speed=speed,
    )


def _counts(usage: Usage) -> _Counts:
    return tuple(getattr(usage, name) for name in COUNTS)


def _plus(one: _Counts, other: _Counts) -> _Counts:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def _canonical(model: str | None, prices: Catalog) -> str:
    """One name per model; an unknown one is its own."""
    return (prices.canonical(model) or model) if model else ""
