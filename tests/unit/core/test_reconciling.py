from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.closing import closed
from farthing.core.reconciling import NOTE, Comparison, bucket_of, reconcile
from farthing.core.records import ExchangeRow
from farthing.errors import RequestError, UnpricedModelError
from farthing.pricing import Cost, catalog, price
from farthing.wire.usage import Iteration, Usage
from farthing.wire.usage_report import ReportedUse
from tests.contract.exchanges import NOON, opened, settled, unsettled

MODEL = "claude-opus-5-5"
CARD = catalog().require(MODEL, on=NOON)
HOUR = timedelta(hours=1)
LATER = NOON + timedelta(days=1)
ONE = Usage(uncached=100, output=20)
OTHER = Usage(uncached=7, cache_read=30, output=2)


def cost(usage: Usage) -> int:
    return price(usage, CARD).total


def done(name: str, usage: Usage, *, model: str = MODEL, minutes: float = 0, **given: Any):
    bill = given.pop("cost", Cost(uncached=1))
    start = opened(name, minutes=minutes, **given)
    ending = settled(name, usage=usage, model_served=model, cost=bill, ended_at=start.opened_at)
    return ExchangeRow(opened=start, settlement=ending)


def cut(name: str = "cut", *, low: int = 0, high: int | None = 10**12, **given: Any) -> ExchangeRow:
    start = {k: given.pop(k) for k in ("minutes", "endpoint", "model_asked") if k in given}
    return ExchangeRow(
        opened=opened(name, **start), settlement=unsettled(name, low=low, high=high, **given)
    )


def use(usage: Usage, *, model: str | None = MODEL, hours: float = 0, **served: Any) -> ReportedUse:
    at = bucket_of(NOON, HOUR) + timedelta(hours=hours)
    values = {"service_tier": "standard", "inference_geo": "global"} | served
    counts = {
        name: getattr(usage, name)
        for name in ("uncached", "cache_write_5m", "cache_write_1h", "cache_read", "output")
    }
    return ReportedUse(starting_at=at, model=model, usage=Usage(**counts, **values))


def compare(uses, rows, **given: Any) -> list[Comparison]:
    values: dict[str, Any] = {"width": HOUR, "prices": catalog(), "now": LATER}
    return reconcile(uses, rows, **values | given)


def only(uses, rows, **given: Any) -> Comparison:
    [found] = compare(uses, rows, **given)
    return found


def verdict(uses, rows, **given: Any) -> tuple[str, str]:
    found = only(uses, rows, **given)
    return found.verdict, found.why


def sum_of(*usages: Usage) -> Usage:
    return Usage(
        uncached=sum(each.uncached for each in usages),
        cache_read=sum(each.cache_read for each in usages),
        output=sum(each.output for each in usages),
    )


# -- nothing open ---------------------------------------------------------------------------------


def test_both_sides_alike_are_equal():
    found = only([use(sum_of(ONE, OTHER))], [done("a", ONE), done("b", OTHER, minutes=5)])

    assert (found.verdict, found.residual_pico, set(found.residual)) == ("equal", 0, {0})


def test_buckets_come_in_the_order_of_time_each_model_its_own():
    haiku = "claude-haiku-5-5"
    uses = [use(ONE, hours=1), use(ONE), use(ONE, model=haiku)]
    found = compare(uses, [done("a", ONE)])

    assert [(c.key.starting_at.hour, c.key.model) for c in found] == [
        (12, haiku),
        (12, MODEL),
        (13, MODEL),
    ]


def test_an_alias_is_the_model_it_names():
    found = only(
        [use(ONE, model="claude-opus-4-5")], [done("a", ONE, model="claude-opus-4-5-20251101")]
    )

    assert found.verdict == "equal"


@pytest.mark.parametrize(
    ("reported", "says"), [(sum_of(ONE, OTHER), "something else"), (OTHER, "ledger has more")]
)
def test_what_no_open_row_can_explain_lies_outside(reported, says):
    name, why = verdict([use(reported)], [done("a", ONE)])

    assert (name, says in why) == ("outside", True)


def test_what_has_no_model_is_compared_under_no_name():
    assert only([use(ONE, model=None)], []).key.model == ""


def test_an_answer_that_was_free_is_not_in_the_report():
    rows = [done("a", ONE), done("b", OTHER, cost=Cost())]

    assert only([use(ONE)], rows).verdict == "equal"


def test_an_exchange_without_usage_counts_nothing():
    row = ExchangeRow(opened=opened("a"), settlement=settled("a", usage=None))

    assert compare([], [row]) == []


def test_iterations_count_for_their_own_models():
    haiku = "claude-haiku-5-5"
    usage = Usage(
        uncached=1,
        iterations=(
            Iteration(type="message", model=None, usage=Usage(uncached=50)),  # declined
            Iteration(type="compaction", model=haiku, usage=OTHER),
            Iteration(type="message", model=None, usage=ONE),
        ),
    )
    found = compare([use(ONE), use(OTHER, model=haiku)], [done("a", usage)])

    assert [c.verdict for c in found] == ["equal", "equal"]


def test_batches_are_compared_apart_and_left():
    rows = [done("b:1", ONE, endpoint="batch_item"), done("a", ONE)]
    uses = [use(ONE), use(OTHER, service_tier="batch")]
    found = compare(uses, rows)

    assert [(c.key.is_batch, c.verdict) for c in found] == [(False, "equal"), (True, "left")]
    assert only([use(ONE, service_tier="batch")], rows[:1]).verdict == "equal"


# -- one row open ---------------------------------------------------------------------------------


def test_the_residual_is_the_usage_of_the_one_open_row():
    found = only([use(sum_of(ONE, OTHER))], [done("a", OTHER), cut()])

    [ending] = found.closings
    assert (found.verdict, found.residual_pico) == ("determined", cost(ONE))
    assert (ending.exchange_id, ending.state, ending.model_served) == ("cut", "settled", MODEL)
    assert (ending.cost and ending.cost.total, ending.baseline_pico) == (cost(ONE), cost(ONE))
    assert (ending.low_pico, ending.high_pico, ending.notes) == (None, None, (NOTE,))


def test_a_row_that_the_report_does_not_know_cost_nothing():
    found = only([], [cut()])

    assert found.verdict == "determined"
    assert found.closings[0].cost == Cost()


def test_an_answer_that_was_changed_by_a_lever_has_no_baseline():
    found = only([use(ONE)], [cut(plan=("+cache.auto",))])

    assert found.closings[0].baseline_pico is None


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (cost(ONE), cost(ONE), "determined"),
        (cost(ONE) + 1, None, "outside"),
        (0, cost(ONE) - 1, "outside"),
        (0, None, "determined"),
    ],
)
def test_the_residual_must_lie_in_the_interval(low, high, expected):
    assert only([use(ONE)], [cut(low=low, high=high)]).verdict == expected


def test_what_the_answer_had_said_must_be_in_the_residual():
    name, why = verdict([use(ONE)], [cut(usage=Usage(uncached=101))])

    assert (name, "said more" in why) == ("within", True)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [(None, "within"), (Usage(uncached=99), "within"), (Usage(uncached=150_000), "determined")],
)
def test_a_price_that_hangs_on_the_number_of_passes_is_not_guessed(seen, expected):
    haiku = "claude-haiku-5-5"
    row = cut(usage=seen, model_served=haiku, high=None)

    assert only([use(Usage(uncached=150_000), model=haiku)], [row]).verdict == expected


def test_a_model_without_a_price_stays_open():
    row = cut(model_served="claude-unknown-9")

    assert "no price" in verdict([use(ONE, model="claude-unknown-9")], [row])[1]
    assert verdict([], [row]) == ("within", "its model has no price")
    assert verdict([], [cut(model_asked=None)]) == ("within", "its model has no price")


@pytest.mark.parametrize("served", [{"inference_geo": "us"}, {"service_tier": "flex"}])
def test_answers_that_were_served_at_several_prices_stay_open(served):
    uses = [use(OTHER), use(ONE, **served)]

    assert verdict(uses, [done("a", OTHER), cut()])[0] == "left"


def test_a_tier_without_a_price_stays_open():
    assert verdict([use(ONE, service_tier="flex")], [cut()])[0] == "left"


def test_the_price_is_that_of_how_it_was_served():
    found = only([use(ONE, inference_geo="us")], [cut()])

    served = Usage(uncached=ONE.uncached, output=ONE.output, inference_geo="us")
    assert found.residual_pico == price(served, CARD).total > cost(ONE)


# -- several, recent, at an edge ------------------------------------------------------------------


def test_several_open_rows_share_a_residual_that_fits_them():
    found = only([use(ONE)], [cut("a", low=1, high=cost(ONE)), cut("b", high=5)])

    assert (found.verdict, found.low_pico, found.high_pico) == ("within", 1, cost(ONE) + 5)
    assert found.unsettled == ("a", "b")


def test_several_open_rows_without_a_residual_cost_nothing():
    found = only([use(ONE)], [done("x", ONE), cut("a"), cut("b")])

    assert [ending.exchange_id for ending in found.closings] == ["a", "b"]


def test_one_open_row_without_a_bound_leaves_the_sum_without_one():
    found = only([use(ONE)], [cut("a", high=None), cut("b", high=1)])

    assert (found.verdict, found.high_pico) == ("within", None)


@pytest.mark.parametrize(("minutes", "expected"), [(14.9, "left"), (15, "determined")])
def test_while_the_report_may_lag_nothing_is_said(minutes, expected):
    row = cut(ended_at=NOON)

    assert only([use(ONE)], [row], now=NOON + timedelta(minutes=minutes)).verdict == expected


def test_a_row_still_open_leaves_its_bucket_alone():
    rows = [ExchangeRow(opened=opened("held")), cut()]

    name, why = verdict([use(ONE)], rows)
    assert (name, "under way" in why) == ("left", True)


def test_an_open_call_of_another_kind_is_nobodys_residual():
    assert compare([], [cut(endpoint="other")]) == []


def test_an_exchange_across_an_edge_leaves_both_buckets_uncertain():
    row = cut(ended_at=NOON + timedelta(hours=2))
    found = compare([use(ONE), use(ONE, hours=1), use(ONE, hours=2), use(ONE, hours=3)], [row])

    assert ["edge" in c.why for c in found] == [True, True, True, False]
    [day] = compare([use(ONE)], [row], width=timedelta(days=1), now=LATER + timedelta(days=1))
    assert day.verdict == "determined"


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 5000)), max_size=8),
    st.tuples(st.integers(0, 5000), st.integers(1, 5000)),
)
def test_one_missing_answer_is_always_found_to_the_last_unit(others, missing):
    usages = [Usage(uncached=a, output=b) for a, b in others]
    lost = Usage(uncached=missing[0], output=missing[1])
    rows = [done(str(number), each) for number, each in enumerate(usages)]
    found = only([use(sum_of(*usages, lost))], [*rows, cut()])

    assert found.residual_pico == cost(lost)
    assert [e.cost.total for e in found.closings if e.cost] == [cost(lost)]


def test_buckets_are_aligned_to_their_width():
    assert bucket_of(datetime(2026, 11, 21, 12, 34, tzinfo=UTC), HOUR) == datetime(
        2026, 11, 21, 12, tzinfo=UTC
    )
    assert bucket_of(datetime(2026, 11, 21, 12, 34, tzinfo=UTC), timedelta(days=1)) == datetime(
        2026, 11, 21, tzinfo=UTC
    )


# -- closing by hand ------------------------------------------------------------------------------


def test_a_row_is_priced_at_the_card_of_its_day():
    ending = closed(cut(), ONE, prices=catalog(), note="n", model="claude-sonnet-5-5")

    assert ending.rate_card_id is not None
    assert ending.rate_card_id.startswith("claude-sonnet-5-5@")


@pytest.mark.parametrize("row", [ExchangeRow(opened=opened()), done("a", ONE)])
def test_only_an_unsettled_row_is_closed(row):
    with pytest.raises(RequestError, match="only an 'unsettled' one"):
        closed(row, ONE, prices=catalog(), note="n")


@pytest.mark.parametrize("model", ["claude-unknown-9", None])
def test_a_row_without_a_price_is_not_closed(model):
    with pytest.raises(UnpricedModelError, match="--model"):
        closed(cut(model_asked=model), ONE, prices=catalog(), note="n")
