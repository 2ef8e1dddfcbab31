from __future__ import annotations

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.pricing import Band, RateCard, Rates, break_even, require_card

DAY = date(2026, 11, 12)


def found(model: str, **options):
    result = break_even(require_card(model, on=DAY), **options)
    assert result is not None
    return result


@pytest.mark.parametrize(
    ("model", "reads_5m", "reads_1h"),
    [
        ("claude-opus-5", "0.28", "1.11"),
        ("claude-opus-5-5", "0.26", "1.05"),
        ("claude-fable-5-1", "0.26", "1.03"),
    ],
)
def test_reads_to_break_even_by_read_price(model, reads_5m, reads_1h):
    """Claims row 6 and API facts 1.6: from the 2nd use at 5 m, from the 3rd at 1 h, for every r."""
    result = found(model)

    assert f"{float(result.five_minutes.reads):.2f}" == reads_5m
    assert f"{float(result.one_hour.reads):.2f}" == reads_1h
    assert (result.five_minutes.uses, result.one_hour.uses) == (2, 3)


@pytest.mark.parametrize(
    ("model", "at_5m", "at_1h"),
    [
        ("claude-opus-5", "21.7%", "52.6%"),
        ("claude-opus-5-5", "20.8%", "51.3%"),
        ("claude-fable-5-2", "20.4%", "50.6%"),
    ],
)
def test_break_even_hit_rates_by_read_price(model, at_5m, at_1h):
    result = found(model)

    assert f"{float(result.five_minutes.hit_rate):.1%}" == at_5m
    assert f"{float(result.one_hour.hit_rate):.1%}" == at_1h


@pytest.mark.parametrize(
    ("model", "pings", "minutes", "per_hour", "beat"),
    [
        ("claude-opus-5", 11, 57, 11, False),
        ("claude-opus-5-5", 24, 119, 13, True),
        ("claude-fable-5-1", 49, 238, 13, True),
    ],
)
def test_how_many_pings_still_pay(model, pings, minutes, per_hour, beat):
    result = found(model)

    assert (result.pings, round(float(result.ping_minutes))) == (pings, minutes)
    assert (result.pings_per_hour, result.pings_beat_ttl) == (per_hour, beat)
    assert result.hour_is_covered is (pings >= 13)


@pytest.mark.parametrize(
    ("model", "by_pings"),
    [("claude-opus-5", "1.30"), ("claude-opus-5-5", "0.65"), ("claude-fable-5-1", "0.33")],
)
def test_an_hour_of_pings_against_the_extra_price_of_an_hours_write(model, by_pings):
    result = found(model)

    assert f"{float(result.hour_by_pings) + 1e-9:.2f}" == by_pings
    assert result.hour_by_ttl == Fraction(3, 4)


def test_a_prefix_under_the_minimum_is_too_short_and_one_at_it_is_not():
    assert found("claude-haiku-4-5", prefix_tokens=4_095, min_tokens=4_096).too_short
    assert not found("claude-haiku-4-5", prefix_tokens=4_096, min_tokens=4_096).too_short


def test_without_a_prefix_or_a_minimum_nothing_is_called_too_short():
    assert not found("claude-haiku-4-5", min_tokens=4_096).too_short
    assert not found("claude-haiku-4-5", prefix_tokens=1).too_short


def flat(**rates: int) -> RateCard:
    ones = dict.fromkeys(("uncached", "cache_write_5m", "cache_write_1h", "output"), 1000)
    band = Band(up_to=None, rates=Rates(**{**ones, "cache_read": 100, **rates}))
    return RateCard(model="m", valid_from=DAY, bands=(band,))


def test_where_reading_is_not_cheaper_caching_never_pays():
    assert break_even(flat(cache_read=1000)) is None
    assert break_even(flat(cache_read=999)) is not None


def test_free_reads_make_every_ping_pay():
    result = break_even(flat(cache_read=0))

    assert result is not None
    assert result.pings == 13


def test_where_writing_costs_no_more_than_sending_the_first_read_pays():
    result = break_even(flat())

    assert result is not None
    assert (result.five_minutes.reads, result.five_minutes.uses) == (0, 2)
    assert result.five_minutes.hit_rate == 0


@given(st.integers(1, 999), st.integers(1000, 5000))
def test_uses_is_the_first_number_of_uses_at_which_caching_is_cheaper(read, write):
    result = break_even(flat(cache_read=read, cache_write_5m=write))
    assert result is not None
    n = result.five_minutes.uses

    assert write + (n - 1) * read < n * 1000
    assert n == 2 or write + (n - 2) * read >= (n - 1) * 1000
