from __future__ import annotations

from fractions import Fraction

import pytest

from farthing.pricing import cards_from_rows
from farthing.pricing.entries import parse_multiplier, parse_rate, parse_search

SOURCES = {"page": ("https://example.test/pricing", "2026-10-10")}


def test_a_price_per_million_becomes_integers_per_token():
    assert parse_rate("uncached", "4") == 4_000_000
    assert parse_rate("cache_read", "0.25") == 250_000


def test_a_price_of_searches_is_per_thousand():
    assert parse_search("10") == 10**10


@pytest.mark.parametrize("text", ["0.0000001", "-1"])
def test_a_price_that_is_no_whole_rate_is_refused_with_its_key(text):
    with pytest.raises(ValueError, match=f"output = '{text}' is negative, or finer"):
        parse_rate("output", text)


def test_a_price_that_is_no_number_is_refused_with_its_key():
    with pytest.raises(ValueError, match=r"output = '\$4' is not a decimal"):
        parse_rate("output", "$4")
    with pytest.raises(ValueError, match="fast = '2x' is not a decimal"):
        parse_multiplier("fast", "2x")


def test_a_multiplier_is_exact():
    assert parse_multiplier("geo.us", "1.1") == Fraction(11, 10)


def test_rows_of_one_model_and_day_are_bands_of_one_card():
    rows = [
        ("m", "2026-01-01", 100, "1", "1", "1", "1", "1", "0.5", "1.1", "2", "10", "page"),
        ("m", "2026-01-01", None, "2", "2", "2", "2", "2", "0.5", "1.1", "2", "10", "page"),
        ("m", "2026-02-01", None, "3", "3", "3", "3", "3", None, None, None, None, ""),
    ]

    first, second = cards_from_rows(rows, SOURCES)

    assert [band.up_to for band in first.bands] == [100, None]
    assert (first.batch, first.fast, first.web_search) == (Fraction(1, 2), 2, 10**10)
    assert first.geo == (("us", Fraction(11, 10)),)
    assert [source.url for source in first.sources] == ["https://example.test/pricing"]
    assert (second.batch, second.fast, second.web_search, second.geo) == (None, None, None, ())
    assert second.sources == ()
