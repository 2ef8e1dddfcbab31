"""The bill of one `farthing run`: three lines from the ledger's rows; pure.

Rules of this file: what is not known is said, never counted as nothing: calls without a price, and
calls cut off, whose cost is an interval. A saving is what the client's own requests would have cost
less what was paid, and may be negative.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from farthing.core.records import ExchangeRow, Settlement
from farthing.core.subscription import SUBSCRIPTION_NOTE
from farthing.pricing.money import PICO_PER_USD, dump_usd, show_usd
from farthing.reports.figures import share, tokens, usd
from farthing.reports.ledger_words import counted

__all__ = ["Bill", "bill_lines", "bill_of"]

_SMALL_PICO: Final = 10 * PICO_PER_USD
_FINEST_PICO: Final = PICO_PER_USD // 10_000


@dataclass(slots=True, kw_only=True)
class Bill:
    """Sums over the exchanges of one run; money in 10⁻¹² USD."""

    calls: int = 0
    failed: int = 0
    unpriced: int = 0
    subscription: int = 0
    cost_pico: int = 0
    saved_pico: int = 0
    unsettled: int = 0
    low_pico: int = 0
    #: None: of some call not even a bound is known
    high_pico: int | None = 0
    uncached: int = 0
    cache_read: int = 0
    cache_written: int = 0
    output: int = 0
    models: dict[str, int] = field(default_factory=dict)

    @property
    def prompt(self) -> int:
        """All tokens sent, cached or not."""
        return self.uncached + self.cache_read + self.cache_written


def bill_of(rows: Iterable[ExchangeRow]) -> Bill:
    """The sums; calls that only counted tokens or read lists cost nothing and are left out."""
    bill = Bill()
    for row in rows:
        end = row.settlement
        if end is None or row.opened.endpoint not in {"messages", "batch_item"}:
            continue
        bill.calls += 1
        bill.subscription += SUBSCRIPTION_NOTE in end.notes
        if end.state == "unsettled":
            _add_unsettled(bill, end)
        elif end.usage is None:
            bill.failed += 1
        else:
            _add_settled(bill, end)
    return bill


def bill_lines(bill: Bill, *, ledger: str) -> list[str]:
    """What is printed when the command has ended."""
    if not bill.calls:
        return [
            "farthing: no call to Claude came through the gateway",
            "  does the command read ANTHROPIC_BASE_URL? other names: docs/clients.md",
            f"  ledger {ledger}",
        ]
    tokens_line = (
        f"  tokens: {tokens(bill.cache_read)} from the prompt cache "
        f"(hit rate {share(bill.cache_read, bill.prompt)}), {tokens(bill.cache_written)} written "
        f"to it, {tokens(bill.uncached)} uncached; {tokens(bill.output)} output"
    )
    return [
        f"farthing: {_money(bill)} for {_counted(bill)}",
        tokens_line,
        f"  {'; '.join(_remarks(bill))}; ledger {ledger}",
    ]


def _add_unsettled(bill: Bill, end: Settlement) -> None:
    bill.unsettled += 1
    bill.low_pico += end.low_pico or 0
    is_bounded = bill.high_pico is not None and end.high_pico is not None
    bill.high_pico = (bill.high_pico or 0) + (end.high_pico or 0) if is_bounded else None


def _add_settled(bill: Bill, end: Settlement) -> None:
    assert end.usage is not None  # the caller has looked
    usage = end.usage
    bill.uncached += usage.uncached
    bill.cache_read += usage.cache_read
    bill.cache_written += usage.cache_write_5m + usage.cache_write_1h
    bill.output += usage.output
    if end.model_served:
        bill.models[end.model_served] = bill.models.get(end.model_served, 0) + 1
    if end.cost is None:
        bill.unpriced += 1
        return
    bill.cost_pico += end.cost.total
    if end.baseline_pico is not None:
        bill.saved_pico += end.baseline_pico - end.cost.total


def _money(bill: Bill) -> str:
    amount = _usd(bill.cost_pico)
    if not bill.subscription:
        return amount
    if bill.subscription == bill.calls:
        return f"{amount}, notional (a subscription pays; this is the API's list price),"
    calls = counted(bill.subscription, "call")
    return f"{amount}, in part notional ({calls} of a subscription),"


def _usd(amount_pico: int) -> str:
    """A run may cost less than a cent: four decimals below ten dollars, cents above."""
    is_small = _FINEST_PICO <= abs(amount_pico) < _SMALL_PICO
    return show_usd(amount_pico, 4) if is_small else usd(dump_usd(amount_pico))


def _counted(bill: Bill) -> str:
    calls = "1 call" if bill.calls == 1 else f"{bill.calls:,} calls"
    models = sorted(bill.models, key=lambda name: (-bill.models[name], name))
    failed = f", {bill.failed} of them failed" if bill.failed else ""
    to_models = f" to {', '.join(models)}" if models else ""
    return f"{calls}{to_models}{failed}"


def _remarks(bill: Bill) -> Iterator[str]:
    if bill.saved_pico < 0:
        yield f"LOST {_usd(-bill.saved_pico)} by levers"
    elif bill.saved_pico:
        yield f"saved {_usd(bill.saved_pico)} by levers"
    else:
        yield "saved nothing by levers"
    if bill.unsettled:
        low = _usd(bill.low_pico)
        high = "an unknown amount" if bill.high_pico is None else _usd(bill.high_pico)
        yield f"{bill.unsettled} cut off, which cost {low} to {high} more"
    if bill.unpriced:
        yield f"{bill.unpriced} without a price: `farthing price --refresh`"
