"""What the gateway counts about itself, as Prometheus reads it; no prompt, no key, no id.

Rules of this file: counting is a few dictionary steps per call and never waits; every label has few
values (a model beyond the first ``_MAX_MODELS`` is counted as ``other``), so memory is bounded
whatever is sent.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from farthing.core.breaker import Breakers
from farthing.gateway.metrics_breaker import breaker_lines
from farthing.gateway.metrics_savings import SavingMetrics
from farthing.gateway.metrics_text import family, sample
from farthing.pricing.money import dump_usd
from farthing.wire.usage import Usage

__all__ = ["CONTENT_TYPE", "Histogram", "Metrics"]

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"

_MAX_MODELS: Final = 200
#: seconds; 0.5 ms is what farthing may add, 10 minutes what a client waits
_OVERHEAD_BOUNDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0)
_TOTAL_BOUNDS: Final = (0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class Histogram:
    """Counts of values up to each bound, and their sum."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str) -> Iterator[str]:
        """The samples; buckets are cumulative."""
        running = 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            running += count
            shown = "+Inf" if bound == float("inf") else f"{bound:g}"
            yield f'{name}_bucket{{le="{shown}"}} {running}'
        yield f"{name}_sum {self._sum:.9g}"
        yield f"{name}_count {running}"


class _Bill(msgspec.Struct):
    """What one model was billed for, all calls together."""

    #: None: nothing of it has a price
    cost_pico: int | None = None
    uncached: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    cache_read: int = 0
    output: int = 0


_BUCKETS: Final = _Bill.__struct_fields__[1:]


class Metrics:
    """All figures of one gateway process."""

    def __init__(
        self, savings: SavingMetrics | None = None, breakers: Breakers | None = None
    ) -> None:
        #: None: nothing is compared
        self.savings = savings
        self._breakers = breakers
        self.in_flight = 0
        self._answers = Counter[tuple[str, int]]()
        self._settled = Counter[str]()
        self._notes = Counter[str]()
        self._bills: dict[str, _Bill] = {}
        self._unpriced = 0
        self._overhead = Histogram(_OVERHEAD_BOUNDS)
        self._total = Histogram(_TOTAL_BOUNDS)

    def answered(self, route: str, status: int) -> None:
        """One call was answered; 499: the client did not wait."""
        key = (route, status)
        # routes come from paths that anybody may invent
        if key not in self._answers and len(self._answers) >= 4 * _MAX_MODELS:
            key = ("other", status)
        self._answers[key] += 1

    def settled(self, state: str, *, overhead_us: int, total_us: int) -> None:
        """One exchange came to its end."""
        self._settled[state] += 1
        self._overhead.observe(overhead_us / 1e6)
        self._total.observe(total_us / 1e6)

    def billed(self, model: str | None, cost_pico: int | None, usage: Usage) -> None:
        """What the provider counted for one exchange, and its price where there is one."""
        bill = self._bills.get(model or "unknown") or self._new_bill(model or "unknown")
        if cost_pico is None:
            self._unpriced += 1
        else:
            bill.cost_pico = (bill.cost_pico or 0) + cost_pico
        bill.uncached += usage.uncached
        bill.cache_write_5m += usage.cache_write_5m
        bill.cache_write_1h += usage.cache_write_1h
        bill.cache_read += usage.cache_read
        bill.output += usage.output

    def noted(self, codes: Iterable[str]) -> None:
        """Something happened that an operator may want to count; figures behind a colon are not."""
        for code in codes:
            self._notes[code.partition(":")[0]] += 1

    def render(self) -> bytes:
        """All of it in Prometheus' text format."""
        return ("\n".join(self._lines()) + "\n").encode()

    def _new_bill(self, model: str) -> _Bill:
        return self._bills.setdefault(model if len(self._bills) < _MAX_MODELS else "other", _Bill())

    def _lines(self) -> Iterator[str]:
        yield from family("farthing_in_flight", "gauge", "Calls being relayed now")
        yield f"farthing_in_flight {self.in_flight}"
        yield from family("farthing_answers_total", "counter", "Answers by route and HTTP status")
        for (route, status), count in sorted(self._answers.items()):
            yield sample(
                "farthing_answers_total", (("route", route), ("status", str(status))), count
            )
        yield from family("farthing_exchanges_total", "counter", "Exchanges by how they ended")
        for state, count in sorted(self._settled.items()):
            yield sample("farthing_exchanges_total", (("state", state),), count)
        yield from family("farthing_notes_total", "counter", "Notes on exchanges, by code")
        for code, count in sorted(self._notes.items()):
            yield sample("farthing_notes_total", (("code", code),), count)
        yield from self._money_lines()
        if self.savings is not None:
            yield from self.savings.lines()
        if self._breakers is not None:
            yield from breaker_lines(self._breakers)
        yield from family("farthing_overhead_seconds", "histogram", "Time farthing itself took")
        yield from self._overhead.lines("farthing_overhead_seconds")
        yield from family("farthing_exchange_seconds", "histogram", "Time of a whole exchange")
        yield from self._total.lines("farthing_exchange_seconds")

    def _money_lines(self) -> Iterator[str]:
        yield from family("farthing_cost_usd_total", "counter", "Cost by model as served")
        bills = sorted(self._bills.items())
        for model, bill in bills:
            if bill.cost_pico is not None:
                amount = dump_usd(bill.cost_pico)
                yield sample("farthing_cost_usd_total", (("model", model),), amount)
        yield from family("farthing_unpriced_total", "counter", "Metered, but without a price")
        yield f"farthing_unpriced_total {self._unpriced}"
        yield from family("farthing_tokens_total", "counter", "Tokens by model and bucket")
        for model, bill in bills:
            for bucket in _BUCKETS:
                labels = (("model", model), ("bucket", bucket))
                yield sample("farthing_tokens_total", labels, getattr(bill, bucket))
