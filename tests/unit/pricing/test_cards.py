from __future__ import annotations

from dataclasses import replace
from datetime import date
from fractions import Fraction

import pytest

from farthing.pricing import Band, RateCard, Rates, card_digest, set_digest

RATES = Rates(
    uncached=4_000_000,
    cache_write_5m=5_000_000,
    cache_write_1h=8_000_000,
    cache_read=200_000,
    output=20_000_000,
)


def banded(*ends: int | None) -> tuple[Band, ...]:
    return tuple(Band(up_to=end, rates=RATES) for end in ends)


def card(**changes) -> RateCard:
    plain = RateCard(model="m", valid_from=date(2026, 1, 2), bands=banded(None))
    return replace(plain, **changes)


def test_a_card_is_named_by_model_and_day():
    assert card().id == "m@2026-01-02"


@pytest.mark.parametrize("ends", [(), (100,), (None, None), (None, 100), (100, 100, None)])
def test_bands_must_end_in_one_open_band(ends):
    with pytest.raises(ValueError, match=r"band"):
        card(bands=banded(*ends))


@pytest.mark.parametrize("ends", [(200, 100, None), (0, None), (-1, None)])
def test_bands_ascend_from_above_zero(ends):
    with pytest.raises(ValueError, match="ascend"):
        card(bands=banded(*ends))


def test_the_band_is_chosen_by_its_upper_end():
    dear = RATES.scaled(Fraction(5))
    found = card(bands=(Band(up_to=100, rates=RATES), Band(up_to=None, rates=dear)))

    assert found.rates_for(100) == RATES
    assert found.rates_for(101) == dear


def test_a_negative_rate_is_refused():
    with pytest.raises(ValueError, match="output = -1"):
        replace(RATES, output=-1)


def test_a_negative_multiplier_is_refused():
    with pytest.raises(ValueError, match="never negative"):
        card(batch=Fraction(-1, 2))


def test_rates_that_a_multiplier_would_split_are_refused():
    odd = Band(up_to=None, rates=replace(RATES, cache_read=3))

    with pytest.raises(ValueError, match=r"cache_read = 3 × 1/2 is finer"):
        card(bands=(odd,), batch=Fraction(1, 2))


def test_rates_that_only_a_stack_of_multipliers_would_split_are_refused():
    """10 × 1/2 and 10 × 11/10 are whole, 10 × 11/20 is not."""
    ten = Band(up_to=None, rates=Rates(**dict.fromkeys(dict(RATES.items), 10)))
    assert card(bands=(ten,), batch=Fraction(1, 2)).factors == {1, Fraction(1, 2)}

    with pytest.raises(ValueError, match="finer"):
        card(bands=(ten,), batch=Fraction(1, 2), geo=(("us", Fraction(11, 10)),))


def test_all_stacks_of_multipliers_are_foreseen():
    factors = card(batch=Fraction(1, 2), fast=Fraction(2), geo=(("us", Fraction(11, 10)),)).factors

    assert factors == {Fraction(n, 20) for n in (10, 11, 20, 22, 40, 44)}


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"},
        {"valid_from": date(2026, 1, 3)},
        {"bands": banded(100, None)},
        {"bands": (Band(up_to=None, rates=replace(RATES, output=1_000_000)),)},
        {"batch": Fraction(1, 2)},
        {"geo": (("us", Fraction(11, 10)),)},
        {"fast": Fraction(2)},
        {"web_search": 10},
    ],
)
def test_the_digest_moves_with_everything_that_prices(change):
    assert card_digest(card(**change)) != card_digest(card())


def test_the_digest_of_a_set_does_not_depend_on_its_order():
    one, other = card(), card(model="n")

    assert set_digest([one, other]) == set_digest([other, one])
    assert set_digest([one]) != set_digest([one, other])


def test_the_read_multiplier_is_of_the_uncached_price():
    assert card().read_multiplier == Fraction(1, 20)


def test_where_tokens_are_free_the_read_multiplier_is_zero():
    free = Band(up_to=None, rates=Rates(**dict.fromkeys(dict(RATES.items), 0)))

    assert card(bands=(free,)).read_multiplier == 0
