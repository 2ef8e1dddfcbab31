from __future__ import annotations

from typing import Any

import pytest

from farthing.cli.run_bill import Bill, bill_lines, bill_of
from farthing.core.records import Endpoint, ExchangeRow
from farthing.core.subscription import SUBSCRIPTION_NOTE
from farthing.pricing.money import Cost
from farthing.wire.usage import Usage
from tests.contract.exchanges import opened, settled

USAGE = Usage(uncached=100, cache_read=900, cache_write_5m=20, cache_write_1h=30, output=50)
DOLLAR = 10**12
TOKENS = (
    "  tokens: 1.80k from the prompt cache (hit rate 86 %), 100 written to it, "
    "200 uncached; 100 output"
)


def row(endpoint: Endpoint = "messages", **settlement: Any) -> ExchangeRow:
    given = {
        "usage": USAGE,
        "cost": Cost(uncached=DOLLAR),
        "baseline_pico": DOLLAR,
        "model_served": "claude-opus-4-8",
        "notes": (),
    }
    end = settled("x", **{**given, **settlement})
    return ExchangeRow(opened=opened("x", endpoint=endpoint), settlement=end)


def lines(*rows: ExchangeRow) -> list[str]:
    return bill_lines(bill_of(rows), ledger="/l.db")


def test_a_bill_has_three_lines_cost_tokens_and_what_is_left_to_say() -> None:
    assert lines(row(), row()) == [
        "farthing: $2.0000 for 2 calls to claude-opus-4-8",
        TOKENS,
        "  saved nothing by levers; ledger /l.db",
    ]


def test_a_subscriptions_dollars_are_called_notional() -> None:
    notes = (SUBSCRIPTION_NOTE,)

    assert "$1.0000, notional (a subscription pays" in lines(row(notes=notes))[0]
    assert "in part notional (1 call of" in lines(row(), row(notes=notes))[0]
    assert "notional" not in lines(row())[0]


@pytest.mark.parametrize(
    ("baseline", "says"),
    [
        (3 * DOLLAR, "saved $2.0000"),
        (DOLLAR // 2, "LOST $0.5000 by levers"),
        (None, "saved nothing"),
    ],
)
def test_a_saving_may_be_negative_or_unknown(baseline: int | None, says: str) -> None:
    assert says in lines(row(baseline_pico=baseline))[2]


def cut(low: int, high: int | None) -> ExchangeRow:
    return row(
        state="unsettled", usage=None, cost=None, baseline_pico=None, low_pico=low, high_pico=high
    )


def test_calls_cut_off_are_an_interval() -> None:
    said = lines(row(), cut(DOLLAR, 2 * DOLLAR), cut(0, DOLLAR))

    assert said[0].startswith("farthing: $1.0000 for 3 calls")
    assert "2 cut off, which cost $1.0000 to $3.0000 more" in said[2]


def test_an_interval_without_bound_has_none_whatever_comes_after() -> None:
    assert "$1.0000 to an unknown amount" in lines(cut(DOLLAR, None), cut(0, DOLLAR))[2]


def test_calls_without_a_price_are_named_and_their_tokens_counted() -> None:
    said = lines(row(cost=None, baseline_pico=None))

    assert said[0].startswith("farthing: $0.00 for 1 call ")
    assert "1 without a price" in said[2]
    assert "900 from the prompt cache" in said[1]


def test_errors_cost_nothing_and_are_counted() -> None:
    said = lines(row(), row(usage=None, cost=Cost(), http_status=529))

    assert said[0] == "farthing: $1.0000 for 2 calls to claude-opus-4-8, 1 of them failed"


def test_counting_tokens_is_no_call() -> None:
    assert bill_of([row("count_tokens"), row("other")]) == Bill()
    assert "no call to Claude came" in lines(row("count_tokens"))[0]


def test_a_call_under_way_is_left_out() -> None:
    assert bill_of([ExchangeRow(opened=opened("x"))]) == Bill()


@pytest.mark.parametrize(
    ("pico", "shown"),
    [(10 * DOLLAR, "$10.00"), (10 * DOLLAR - 10**8, "$9.9999"), (10**8, "$0.0001"), (1, "<$0.01")],
)
def test_small_bills_show_more_decimals_and_nothing_is_shown_as_zero(pico: int, shown: str) -> None:
    assert lines(row(cost=Cost(output=pico), baseline_pico=pico))[0].startswith(
        f"farthing: {shown} "
    )


def test_the_model_called_most_comes_first() -> None:
    models = ("claude-haiku-4-5", "claude-opus-5", "claude-opus-5")

    assert "to claude-opus-5, claude-haiku-4-5" in lines(*(row(model_served=m) for m in models))[0]
