"""Numbers as people read them."""

from __future__ import annotations

import pytest

from farthing.reports.figures import blocks, share, shorten, sparkline, tokens, usd


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (None, "–"),
        ("0", "$0.00"),
        ("0.004", "<$0.01"),
        ("-0.004", "-<$0.01"),
        ("0.006", "$0.01"),
        ("1234.5", "$1,234.50"),
        ("-2.5", "-$2.50"),
    ],
)
def test_dollars_are_shown_to_the_cent_and_never_zero_for_something(amount, shown):
    assert usd(amount) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0"),
        (999, "999"),
        (1_000, "1.00k"),
        (12_345, "12.3k"),
        (123_456, "123k"),
        (999_600, "1.00M"),
        (39_688_410, "39.7M"),
        (1_220_000_000, "1.22G"),
    ],
)
def test_tokens_have_three_digits_and_a_unit(count, shown):
    assert tokens(count) == shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"), [(1, 0, "–"), (0, 5, "0.0 %"), (1, 3, "33 %"), (99, 1000, "9.9 %")]
)
def test_shares_are_percentages(part, whole, shown):
    assert share(part, whole) == shown


def test_a_sparkline_is_as_long_as_its_values():
    assert sparkline([0, 5, 10]) == "▁▅█"
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([]) == ""


def test_bars_fill_their_width_only_for_the_whole():
    assert blocks(1, 1, 4) == "████"
    assert blocks(1, 2, 4) == "██"
    assert blocks(1, 0, 4) == ""


@pytest.mark.parametrize(("width", "shown"), [(5, "abcde"), (4, "…cde")])
def test_long_names_keep_their_end(width, shown):
    assert shorten("abcde", width) == shown
