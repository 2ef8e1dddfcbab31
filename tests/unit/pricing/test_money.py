from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.pricing import Cost, dump_usd, parse_usd, show_usd
from farthing.pricing.money import show_exact_usd

AMOUNTS = st.integers(min_value=-(10**30), max_value=10**30)
COSTS = st.builds(Cost, **{name: st.integers(0, 10**20) for name, _ in Cost().components})


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0"),
        (1, "0.000000000001"),
        (76_000_000_000, "0.076"),
        (10**12, "1"),
        (-1_500_000_000_000, "-1.5"),
        (12_345 * 10**12, "12345"),
    ],
)
def test_an_amount_is_dumped_exactly_and_without_exponent(amount, text):
    assert dump_usd(amount) == text
    assert parse_usd(text) == amount


@given(AMOUNTS)
def test_an_amount_survives_its_decimal_string(amount):
    assert parse_usd(dump_usd(amount)) == amount


@given(AMOUNTS)
def test_the_decimal_string_is_the_amount_and_not_near_it(amount):
    assert Fraction(dump_usd(amount)) * 10**12 == amount


@pytest.mark.parametrize(
    "text", ["", "1e3", "+1", " 1", "1,000", ".5", "1.", "NaN", "inf", "$1", "--1", "1.2.3", "１"]
)
def test_what_is_not_a_plain_decimal_is_refused(text):
    with pytest.raises(ValueError, match="not a decimal amount"):
        parse_usd(text)


def test_twelve_decimals_are_read_and_a_thirteenth_is_refused():
    assert parse_usd("0.000000000001") == 1
    with pytest.raises(ValueError, match="finer than"):
        parse_usd("0.0000000000001")


def test_zeros_beyond_the_unit_are_not_finer():
    assert parse_usd("0.1000000000000000") == 10**11


@pytest.mark.parametrize(
    ("amount", "places", "text"),
    [
        (5 * 10**9, 2, "$0.00"),  # half a cent goes to the even neighbour
        (15 * 10**9, 2, "$0.02"),
        (25 * 10**9, 2, "$0.02"),
        (25 * 10**9 + 1, 2, "$0.03"),
        (-25 * 10**9 - 1, 2, "-$0.03"),
        (-1, 2, "$0.00"),
        (1_234_567 * 10**12, 2, "$1,234,567.00"),
        (1_500_000_000_000, 0, "$2"),
        (76_000_000_000, 6, "$0.076000"),
        (999_999_999_999, 3, "$1.000"),
    ],
)
def test_showing_rounds_half_to_even_once(amount, places, text):
    assert show_usd(amount, places) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (20 * 10**12, "$20.00"),
        (35 * 10**8, "$0.0035"),
        (1, "$0.000000000001"),
        (10**18 + 5 * 10**11, "$1,000,000.50"),
    ],
)
def test_what_was_set_is_shown_with_all_its_places(amount, text):
    assert show_exact_usd(amount) == text


def test_a_total_is_the_sum_of_its_components():
    cost = Cost(uncached=1, cache_write_5m=2, cache_write_1h=4, cache_read=8, output=16)

    assert (cost + Cost(server_tools=32)).total == 63


@given(COSTS, COSTS)
def test_adding_costs_adds_each_component(one, other):
    assert (one + other).total == one.total + other.total
    assert one + other == other + one
    assert one + Cost() == one


@given(COSTS)
def test_a_bill_survives_json(cost):
    assert Cost.parse(json.loads(json.dumps(cost.dump()))) == cost


def test_a_bill_whose_total_was_edited_is_refused():
    with pytest.raises(ValueError, match="not the sum"):
        Cost.parse({"output": "1", "total": "2"})


def test_a_bill_without_total_is_read():
    assert Cost.parse({"output": "1"}).total == 10**12


@given(COSTS)
def test_text_and_decimal_of_a_cost_agree_exactly(cost):
    assert Decimal(str(cost)) == cost.usd


@pytest.mark.parametrize("amount", [-1, 0.5, "1"])
def test_a_cost_is_a_whole_number_that_is_not_negative(amount):
    with pytest.raises(ValueError, match="output="):
        Cost(output=amount)


def test_a_cost_does_not_add_to_something_else():
    with pytest.raises(TypeError):
        Cost() + 1  # type: ignore[operator]  # what is tested
