"""What single calls add up to: savings, cache hits, unpriced models, the provider's errors.

Theory of operation. Each call that ends is added to sums over a while (``core.rolling``) and each
rule says whether a thing holds: True, False, or None for "neither", which is also the answer while
there are too few calls to tell. A thing begins to hold at one bound and ends at a better one.

What counts as the provider's error: no answer at all, or a 5xx. A 429 is a limit of the customer's
own and a 4xx is the request's fault.

Rules of this file: ratios of integers are compared as products, so no rounding rings a bell.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from farthing.core.alerts import Fact, Rule
from farthing.core.records import ExchangeRow, Settlement
from farthing.core.rolling import Rolling
from farthing.pricing.money import dump_usd

__all__ = ["CallWindows", "Holding", "WindowLimits"]

_WORKLOADS: Final = 256
_CALLS: Final = frozenset({"messages", "batch_item"})
_DAY_HOURS: Final = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowLimits:
    """From where on sums are worth an alert."""

    #: calls before anything is said
    least_calls: int = 20
    #: of the provider's answers within ten minutes; it ends below half of it
    error_percent: int = 20
    #: percentage points that the share of cached prompt tokens may fall; it ends at half of it
    hit_rate_points: int = 20
    #: of what the calls of a day would have cost without farthing
    loss_percent: int = 1


class Holding(NamedTuple):
    """What a rule says about a thing."""

    rule: Rule
    scope: str
    holds: bool | None
    facts: Mapping[str, Fact]


class CallWindows:
    """The sums of all workloads; at most ``_WORKLOADS`` of them, the longest unused go."""

    def __init__(self, limits: WindowLimits) -> None:
        self._limits = limits
        self._provider = Rolling(seconds=60, buckets=10, fields=2)
        #: calls, cached and all prompt tokens
        self._hits: OrderedDict[str, Rolling] = OrderedDict()
        #: compared calls, what they cost and would have cost
        self._savings: OrderedDict[str, Rolling] = OrderedDict()

    def add(self, row: ExchangeRow, now: datetime) -> Iterator[Holding]:
        """One exchange that has ended; what each rule says after it."""
        ending = row.settlement
        if ending is None or row.opened.endpoint not in _CALLS:
            return
        if row.opened.endpoint == "messages":
            yield self._errors(ending, now)
        if ending.state != "settled" or ending.usage is None or ending.error_type is not None:
            return
        workload = row.opened.attribution.task_type or "(no type)"
        yield self._hit_rate(workload, ending, now)
        yield self._priced(row, ending)
        compared = _compared(ending)
        if compared is not None:
            yield self._saved(workload, *compared, now)

    def _errors(self, ending: Settlement, now: datetime) -> Holding:
        status = ending.http_status
        is_error = status >= 500 if status is not None else ending.error_type is not None
        self._provider.add(now, 1, int(is_error))
        calls, errors = self._provider.sums(now)
        percent = self._limits.error_percent
        holds: bool | None = None
        if calls >= self._limits.least_calls and errors * 100 >= percent * calls:
            holds = True
        elif errors * 200 < percent * calls:
            holds = False
        return Holding("provider_errors", "provider", holds, {"calls": calls, "errors": errors})

    def _hit_rate(self, workload: str, ending: Settlement, now: datetime) -> Holding:
        usage, least = ending.usage, self._limits.least_calls
        assert usage is not None, "only calls with a usage come here"
        rolling = _of(self._hits, workload, lambda: _day(3))
        rolling.add(now, 1, usage.cache_read, usage.prompt)
        calls, read, prompt = rolling.sums(now, 0, 1)
        earlier, read_before, prompt_before = rolling.sums(now, 2)
        scope = f"task type {workload}"
        if min(calls, earlier) < least or not prompt or not prompt_before:
            return Holding("cache_hit_rate", scope, None, {})
        fallen = read_before * prompt - read * prompt_before  # × 1 / (prompt · prompt_before)
        bound = self._limits.hit_rate_points * prompt * prompt_before
        holds = True if fallen * 100 >= bound else None
        if fallen * 200 <= bound:
            holds = False
        facts: dict[str, Fact] = {
            "now": read * 100 // prompt,
            "before": read_before * 100 // prompt_before,
        }
        return Holding("cache_hit_rate", scope, holds, facts)

    def _priced(self, row: ExchangeRow, ending: Settlement) -> Holding:
        model = ending.model_served or row.opened.model_asked or "a model without a name"
        return Holding("unpriced_model", model, ending.cost is None, {})

    def _saved(self, workload: str, cost: int, baseline: int, now: datetime) -> Holding:
        rolling = _of(self._savings, workload, lambda: _day(3))
        rolling.add(now, 1, cost, baseline)
        calls, spent, without = rolling.sums(now)
        lost = spent - without
        holds: bool | None = None
        if calls >= self._limits.least_calls and lost * 100 > self._limits.loss_percent * without:
            holds = True
        elif lost <= 0:
            holds = False
        facts: dict[str, Fact] = {"lost_usd": dump_usd(lost), "calls": calls}
        return Holding("savings_negative", f"task type {workload}", holds, facts)


def _compared(ending: Settlement) -> tuple[int, int] | None:
    """What it cost with our own calls for it, and would have cost without farthing."""
    known = ending.accounting
    baseline = ending.baseline_pico if known is None else known.baseline_pico
    if ending.cost is None or baseline is None:
        return None
    return ending.cost.total + (0 if known is None else known.own_cost_pico), baseline


def _day(fields: int) -> Rolling:
    return Rolling(seconds=3600, buckets=_DAY_HOURS, fields=fields)


def _of(known: OrderedDict[str, Rolling], name: str, make: Callable[[], Rolling]) -> Rolling:
    found = known.get(name)
    if found is None:
        found = known[name] = make()
        if len(known) > _WORKLOADS:
            known.popitem(last=False)
    known.move_to_end(name)
    return found
