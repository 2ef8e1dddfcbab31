from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from farthing.errors import UnpricedModelError
from farthing.pricing import (
    Cost,
    RateCard,
    catalog,
    effective_rates,
    is_refusal_billed,
    price,
    require_card,
)
from farthing.wire.usage import Iteration, Usage

DAY = date(2026, 11, 12)
OPUS = require_card("claude-opus-5-5", on=DAY)
HAIKU = require_card("claude-haiku-5-5", on=DAY)
OLD = require_card("claude-haiku-4-5", on=DAY)

TOKENS = ("uncached", "cache_write_5m", "cache_write_1h", "cache_read", "output")
COUNTS = st.integers(0, 3_000_000)
USAGES = st.builds(Usage, **dict.fromkeys(TOKENS, COUNTS))
CARDS = st.sampled_from(catalog().cards)


def used(**counts: Any) -> Usage:
    return Usage(**counts)


def usd(usage: Usage, card: RateCard, **options) -> str:
    return str(price(usage, card, **options))


# --- one pass -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "per_mtok"),
    [
        ("uncached", "4"),
        ("cache_write_5m", "5"),
        ("cache_write_1h", "8"),
        ("cache_read", "0.2"),
        ("output", "20"),
    ],
)
def test_each_kind_of_token_is_billed_at_its_own_rate_in_its_own_component(kind, per_mtok):
    cost = price(used(**{kind: 1_000_000}), OPUS)

    assert str(cost) == per_mtok
    assert dict(cost.components)[kind] == cost.total


def test_nothing_used_costs_nothing():
    assert price(Usage(), OPUS) == Cost()


def test_the_cheapest_token_there_is_is_still_whole():
    """One cached Haiku 5.5 token in a US batch: 0.01 $/Mtok × 0.5 × 1.1."""
    usage = Usage(cache_read=1, service_tier="batch", inference_geo="us")

    assert price(usage, HAIKU).total == 5_500


# --- bands --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("prompt", "cost"), [(100_000, "0.0105"), (100_001, "0.0525005")])
def test_the_band_reprices_the_whole_request_and_its_output(prompt, cost):
    assert usd(Usage(uncached=prompt, output=1_000), HAIKU) == cost


@pytest.mark.parametrize("kind", ["cache_read", "cache_write_5m", "cache_write_1h"])
def test_cached_tokens_count_towards_the_band(kind):
    lower = used(**{kind: 90_000}, uncached=10_000, output=1)
    upper = msgspec.structs.replace(lower, uncached=10_001)

    assert price(lower, HAIKU).output == 500_000
    assert price(upper, HAIKU).output == 2_500_000


def test_output_does_not_count_towards_the_band():
    assert price(Usage(uncached=100_000, output=128_000), HAIKU).uncached == 100_000 * 100_000


def test_bills_of_two_requests_are_not_the_bill_of_their_sum_across_a_band():
    """Where the tariff is not additive, and why requests are never summed before pricing."""
    half, whole = Usage(uncached=60_000), Usage(uncached=120_000)

    assert price(half, HAIKU).total * 2 < price(whole, HAIKU).total


# --- how it was served --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("served", "cost"),
    [
        ({}, "0.076"),
        ({"service_tier": "standard"}, "0.076"),
        ({"service_tier": "priority"}, "0.076"),
        ({"service_tier": "batch"}, "0.038"),
        ({"inference_geo": "us"}, "0.0836"),
        ({"inference_geo": "global"}, "0.076"),
        ({"inference_geo": "not_available"}, "0.076"),
        ({"speed": "standard"}, "0.076"),
        ({"speed": "fast"}, "0.152"),
        ({"speed": "fast", "inference_geo": "us"}, "0.1672"),
        ({"service_tier": "batch", "inference_geo": "us"}, "0.0418"),
    ],
)
def test_multipliers_stack_on_every_kind_of_token(served, cost):
    usage = Usage(uncached=2_000, cache_write_5m=8_000, cache_read=40_000, output=1_000)

    assert usd(msgspec.structs.replace(usage, **served), OPUS) == cost


def test_the_caller_may_know_better_than_the_usage_whether_it_was_a_batch():
    usage = Usage(output=1_000_000, service_tier="batch")

    assert usd(usage, OPUS, batch=False) == "20"
    assert usd(msgspec.structs.replace(usage, service_tier=None), OPUS, batch=True) == "10"


def test_a_model_without_regions_pays_no_surcharge():
    assert usd(Usage(output=1_000_000, inference_geo="us"), OLD) == "5"


@pytest.mark.parametrize(
    ("served", "what"),
    [
        ({"speed": "ludicrous"}, "speed 'ludicrous'"),
        ({"inference_geo": "eu"}, "inference_geo 'eu'"),
        ({"service_tier": "flex"}, "service tier 'flex'"),
    ],
)
def test_a_service_whose_price_is_unknown_is_unpriced(served, what):
    with pytest.raises(UnpricedModelError, match=f"has no price for {what}"):
        price(used(output=1, **served), OPUS)


def test_a_card_without_the_price_asked_for_is_unpriced_not_free():
    bare = replace(OPUS, batch=None, fast=None, web_search=None)

    with pytest.raises(UnpricedModelError, match="batches"):
        price(Usage(output=1), bare, batch=True)
    with pytest.raises(UnpricedModelError, match="speed 'fast'"):
        price(Usage(output=1, speed="fast"), bare)
    with pytest.raises(UnpricedModelError, match="3 web searches") as error:
        price(Usage(web_search_requests=3), bare)
    assert error.value.model == "claude-opus-5-5"


# --- server tools -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "served", [{}, {"service_tier": "batch"}, {"inference_geo": "us"}, {"speed": "fast"}]
)
def test_searches_cost_ten_dollars_a_thousand_however_served(served):
    cost = price(used(web_search_requests=1_000, **served), OPUS)

    assert str(cost) == "10"
    assert cost.server_tools == cost.total


# --- iterations ---------------------------------------------------------------------------------


def entry(type_: str, model: str | None = None, **counts: int) -> Iteration:
    return Iteration(type=type_, model=model, usage=used(**counts))


def test_compaction_is_billed_although_the_top_level_leaves_it_out():
    """API facts 6.2: 180,000 + 3,500 for the summary, 23,000 + 1,000 for the answer."""
    usage = Usage(
        uncached=23_000,
        output=1_000,
        iterations=(
            entry("compaction", uncached=180_000, output=3_500),
            entry("message", uncached=23_000, output=1_000),
        ),
    )

    assert usd(usage, OPUS) == "0.902"


def test_each_pass_has_a_band_of_its_own():
    usage = Usage(
        uncached=20_000,
        iterations=(entry("compaction", uncached=100_001), entry("message", uncached=20_000)),
    )

    assert price(usage, HAIKU).uncached == 100_001 * 500_000 + 20_000 * 100_000


def test_an_advisor_is_billed_at_its_own_model():
    usage = Usage(
        output=1_000_000,
        iterations=(
            entry("message", "claude-haiku-5-5", output=1_000_000),
            entry("advisor_message", "claude-opus-5-5", output=1_000_000),
        ),
    )

    assert usd(usage, HAIKU, cards=catalog().on(DAY)) == "20.5"


def test_an_alias_in_an_iteration_is_found_through_the_lookup():
    usage = Usage(iterations=(entry("message", "claude-haiku-4-5", output=1_000_000),))

    assert usd(usage, OLD, cards=catalog().on(DAY)) == "5"


@pytest.mark.parametrize("cards", [None, catalog().on(DAY)])
def test_an_iteration_on_an_unpriced_model_makes_the_whole_unpriced(cards):
    usage = Usage(iterations=(entry("message", "claude-opus-9", output=1),))

    with pytest.raises(UnpricedModelError, match="'claude-opus-9'") as error:
        price(usage, OPUS, cards=cards)
    assert error.value.model == "claude-opus-9"


def test_how_it_was_served_stands_at_the_top_and_holds_for_each_pass():
    usage = Usage(
        service_tier="batch",
        inference_geo="us",
        iterations=(entry("compaction", output=1_000_000), entry("message", output=1_000_000)),
    )

    assert usd(usage, OPUS) == "22"


@pytest.mark.parametrize(
    ("advisor", "cost"),
    [("claude-opus-5", "90"), ("claude-sonnet-5-5", "50")],
)
def test_fast_holds_for_another_model_only_if_it_has_a_fast_mode(advisor, cost):
    usage = Usage(
        speed="fast",
        iterations=(
            entry("message", output=1_000_000),
            entry("advisor_message", advisor, output=1_000_000),
        ),
    )

    assert usd(usage, OPUS, cards=catalog().on(DAY)) == cost


def test_searches_are_counted_once_beside_iterations():
    usage = Usage(
        web_search_requests=2,
        iterations=(entry("message", output=0), entry("message", output=0)),
    )

    assert usd(usage, OPUS) == "0.02"


FALLBACK = Usage(
    uncached=412,
    output=264,
    iterations=(
        entry("message", "claude-fable-5", uncached=535),
        entry("fallback_message", "claude-opus-4-8", uncached=412, output=264),
    ),
)
SERVING = require_card("claude-opus-4-8", on=DAY)


def test_an_attempt_declined_before_any_output_is_free():
    """API facts 6.2: 412 × 5 + 264 × 25 dollars per million."""
    assert usd(FALLBACK, SERVING) == "0.00866"


def test_an_attempt_declined_for_a_billed_category_is_billed_at_its_own_model():
    cost = usd(FALLBACK, SERVING, cards=catalog().on(DAY), declined_billed=True)

    assert cost == "0.01401"


@pytest.mark.parametrize(
    "entries",
    [
        (entry("message", uncached=535), entry("message", output=1)),  # no fallback came
        (entry("message", uncached=535, output=1), entry("fallback_message")),  # it had begun
        (entry("compaction", uncached=535), entry("fallback_message")),  # not an attempt
        (entry("fallback_message"), entry("message", uncached=535)),  # it came after
    ],
)
def test_other_passes_without_output_are_billed(entries):
    assert price(Usage(iterations=entries), SERVING).uncached == 535 * 5_000_000


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("category", "output", "on", "billed"),
    [
        ("bio", 0, date(2026, 9, 23), False),
        ("bio", 0, date(2026, 9, 24), True),
        ("frontier_llm", 0, DAY, True),
        ("reasoning_extraction", 0, DAY, True),
        ("cyber", 0, DAY, False),
        (None, 0, DAY, False),
        ("cyber", 1, DAY, True),
        (None, 1, date(2026, 1, 1), True),
    ],
)
def test_a_refusal_is_billed_after_output_or_for_three_categories(category, output, on, billed):
    assert is_refusal_billed(category, output_tokens=output, on=on) is billed


# --- properties ---------------------------------------------------------------------------------


@given(USAGES, CARDS)
def test_a_cost_is_never_negative_and_is_zero_only_for_nothing(usage, card):
    assert (price(usage, card).total > 0) == (usage != Usage())


def same_band(card: RateCard, *prompts: int) -> bool:
    return len({card.rates_for(prompt) for prompt in prompts}) == 1


@given(USAGES, USAGES, CARDS)
def test_within_a_band_the_bill_of_a_sum_is_the_sum_of_the_bills(one, other, card):
    both = used(**{name: getattr(one, name) + getattr(other, name) for name in TOKENS})
    assume(same_band(card, one.prompt, other.prompt, both.prompt))

    assert price(both, card) == price(one, card) + price(other, card)


@given(USAGES, CARDS, st.sampled_from(TOKENS), st.integers(1, 10**6))
def test_more_tokens_never_cost_less(usage, card, kind, more):
    larger = msgspec.structs.replace(usage, **{kind: getattr(usage, kind) + more})

    assert price(larger, card).total > price(usage, card).total


@given(USAGES, CARDS, st.integers(0, 1000))
def test_a_batch_halves_the_tokens_exactly_and_leaves_the_searches(usage, card, searches):
    assume(card.web_search is not None)
    plain = price(msgspec.structs.replace(usage, web_search_requests=searches), card)
    batch = price(msgspec.structs.replace(usage, web_search_requests=searches), card, batch=True)

    for (name, whole), (_, half) in zip(plain.components, batch.components, strict=True):
        assert half * (1 if name == "server_tools" else 2) == whole


@given(USAGES, CARDS)
def test_reading_from_the_cache_is_never_dearer_than_sending_again(usage, card):
    again = msgspec.structs.replace(usage, uncached=usage.uncached + usage.cache_read, cache_read=0)

    assert price(usage, card).total <= price(again, card).total


@given(USAGES, CARDS)
def test_one_iteration_like_the_top_level_costs_what_the_top_level_costs(usage, card):
    inside = msgspec.structs.replace(
        usage, iterations=(Iteration(type="message", model=None, usage=usage),)
    )

    assert price(inside, card) == price(usage, card)


@given(CARDS, st.integers(0, 10**6))
def test_every_stack_of_multipliers_of_every_card_is_exact(card, prompt):
    for factor in card.factors:
        rates = effective_rates(card, prompt_tokens=prompt, factor=factor)
        for (_, scaled), (_, rate) in zip(rates.items, card.rates_for(prompt).items, strict=True):
            assert scaled == rate * factor


def test_every_component_of_a_bill_is_a_kind_of_token_or_the_server_tools():
    assert set(Cost.__struct_fields__) == {*TOKENS, "server_tools"}
