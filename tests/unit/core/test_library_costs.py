"""Dollars as floats: the exact cost, never negative, never guessed."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.library_costs import check_cache_hit, cost_per_task, estimate_cost
from farthing.errors import UnpricedModelError
from farthing.pricing import catalog, price, require_card
from farthing.wire.usage import Usage

SONNET = "claude-sonnet-5-5"
counts = st.integers(0, 10**9)
models = st.sampled_from([SONNET, "claude-haiku-5-5", "claude-opus-4-7", "claude-haiku-4-5"])


@given(models, counts, counts, counts, counts, counts, st.booleans())
def test_the_float_is_the_exact_cost_rounded_once(model, rest, read, short, long, output, batch):
    usage = Usage(
        uncached=rest, cache_read=read, cache_write_5m=short, cache_write_1h=long, output=output
    )
    exact = price(usage, require_card(model, on=date.max), batch=batch)

    dollars = estimate_cost(
        model,
        rest + read + short + long,
        output,
        cached_tokens=read,
        cache_write_5m=short,
        cache_write_1h=long,
        batch=batch,
    )

    assert dollars == float(exact.usd) >= 0


@given(models, counts, counts, counts)
def test_both_functions_have_one_convention(model, rest, read, output):
    wire = {
        "input_tokens": rest,
        "cache_read_input_tokens": read,
        "output_tokens": output,
    }
    by_usage = cost_per_task(model, usage=wire)

    assert cost_per_task(model, rest + read, output, read) == by_usage
    assert estimate_cost(model, rest + read, output, cached_tokens=read) == by_usage


@pytest.mark.parametrize(
    ("arguments", "dollars"),
    [
        (("claude-sonnet-4-6", 4_000, 500), 0.0195),
        (("claude-opus-4-7", 40, 4), 0.0003),
        (("claude-haiku-4-5", 1_000_000, 0), 1.0),
        (("claude-haiku-5-5", 100_000, 1_000), 0.0105),
        (("claude-haiku-5-5", 100_001, 1_000), 0.0525005),
    ],
)
def test_prices_are_todays_not_the_articles(arguments, dollars):
    assert estimate_cost(*arguments) == dollars


def test_writes_have_their_price():
    assert estimate_cost(SONNET, 1_000_000, 0, cache_write_5m=1_000_000) == 2.5
    assert estimate_cost(SONNET, 1_000_000, 0, cache_write_1h=1_000_000) == 4.0
    assert cost_per_task(SONNET, 1_000_000, cache_write_1h=1_000_000, batch=True) == 2.0


def test_the_day_chooses_the_rate_card():
    before, after = date(2026, 10, 6), date(2026, 10, 7)

    assert estimate_cost(SONNET, 10**6, 0, cached_tokens=10**6, on=before) == 0.2
    assert estimate_cost(SONNET, 10**6, 0, cached_tokens=10**6, on=after) == 0.1
    assert estimate_cost(SONNET, 10**6, 0, cached_tokens=10**6) == 0.1


def test_a_batch_item_says_itself_that_it_was_one():
    wire = {"input_tokens": 10**6, "service_tier": "batch"}

    assert cost_per_task(SONNET, usage=wire) == 1.0
    assert cost_per_task(SONNET, usage=wire, batch=False) == 2.0


def test_passes_on_other_models_are_priced_on_theirs():
    entry = {"type": "advisor_message", "model": "claude-opus-5-5", "input_tokens": 10**6}
    usage = {"input_tokens": 1, "iterations": [{"type": "message", "input_tokens": 1}, entry]}

    assert cost_per_task(SONNET, usage=usage) == 4.000002


@pytest.mark.parametrize("model", ["claude-sonnet-6", "gpt-5", "", "claude-sonnet"])
def test_an_unknown_model_is_never_priced_as_another(model):
    for ask in (estimate_cost, cost_per_task):
        with pytest.raises(UnpricedModelError, match="none is guessed") as refused:
            ask(model, 1, 1)
        assert refused.value.model == model


def test_a_model_has_no_price_before_it_was_there():
    with pytest.raises(UnpricedModelError, match="on 2020-01-01"):
        estimate_cost(SONNET, 1, 1, on=date(2020, 1, 1))


@pytest.mark.parametrize("read", [1_000, 1_001])
def test_parts_are_at_most_the_whole(read):
    if read <= 1_000:
        assert cost_per_task(SONNET, 1_000, 0, read) == 0.0001
    else:
        with pytest.raises(ValueError, match="cached_tokens=1001 is more than input_tokens=1000"):
            cost_per_task(SONNET, 1_000, 0, read)


@pytest.mark.parametrize(
    "wrong",
    [
        {"input_tokens": -1, "output_tokens": 0},
        {"input_tokens": 0, "output_tokens": -1},
        {"input_tokens": 5, "output_tokens": 0, "cached_tokens": -1},
        {"input_tokens": 5, "output_tokens": 0, "cache_write_5m": -1},
        {"input_tokens": 5, "output_tokens": 0, "cache_write_1h": -1},
    ],
)
def test_negative_counts_are_refused(wrong):
    with pytest.raises(ValueError, match="0 or more"):
        estimate_cost(SONNET, **wrong)


def test_counts_and_usage_together_are_refused():
    with pytest.raises(ValueError, match="alone"):
        cost_per_task(SONNET, 1, usage={"input_tokens": 1})


def test_every_listed_model_can_be_estimated():
    models = {card.model for card in catalog().cards}

    assert all(estimate_cost(model, 1_000, 100) > 0 for model in models)


def test_a_hit_is_told_by_its_parts():
    usage = {
        "input_tokens": 100,
        "cache_read_input_tokens": 600,
        "cache_creation_input_tokens": 300,
        "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100},
        "output_tokens": 1,
    }

    assert check_cache_hit({"usage": usage}) == {
        "cache_read_tokens": 600,
        "cache_write_tokens": 300,
        "cache_write_5m_tokens": 200,
        "cache_write_1h_tokens": 100,
        "regular_input_tokens": 100,
        "cache_hit_rate": 0.6,
    }


def test_nothing_read_of_nothing_is_a_rate_of_zero():
    assert check_cache_hit({"output_tokens": 1})["cache_hit_rate"] == 0.0
