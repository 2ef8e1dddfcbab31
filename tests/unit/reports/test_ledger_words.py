from __future__ import annotations

import pytest

from farthing.reports.ledger_words import (
    change_words,
    milliseconds,
    money,
    name_of,
    number,
    period,
    rise_words,
    saving_words,
    seconds,
    value_words,
)


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (None, "–"),
        ("0", "$0.00"),
        ("1234.567", "$1,234.57"),
        ("1", "$1.00"),
        ("0.99999", "$1.00"),
        ("0.136549", "$0.137"),
        ("0.1", "$0.100"),
        ("0.000000012345", "$0.0000000123"),
        ("-0.0051", "-$0.00510"),
        (0.25, "$0.250"),
    ],
)
def test_money_keeps_three_digits_below_a_dollar(amount, words):
    assert money(amount) == words


@pytest.mark.parametrize(
    ("value", "words"), [(None, "–"), (0.5, "0.5"), (7.786, "7.79"), (116_000, "116k")]
)
def test_numbers_are_short(value, words):
    assert number(value) == words


def test_times_have_their_unit():
    assert [seconds(v) for v in (None, 0.5, 999.4, 1234.5)] == ["–", "0.5 s", "999 s", "1,234 s"]
    assert [milliseconds(v) for v in (None, 0.5, 999.0, 1500.0)] == [
        "–",
        "0.5 ms",
        "999 ms",
        "1.5 s",
    ]


@pytest.mark.parametrize(
    ("name", "by", "words"),
    [
        ("", "task-type", "(no type)"),
        ("", "day", "(none)"),
        ("0123456789abcdef", "key", "0123456789ab"),
        ("0123456789abcdef", "task", "0123456789abcdef"),
    ],
)
def test_a_group_without_a_name_has_words_for_it(name, by, words):
    assert name_of({"name": name}, by) == words


@pytest.mark.parametrize(
    ("since", "until", "words"),
    [
        (None, None, "all that is on record"),
        ("2026-11-01T00:00", None, "from 2026-11-01 (UTC)"),
        ("2026-11-01T00:00", "2026-11-03T00:00", "from 2026-11-01 until 2026-11-03 (UTC)"),
    ],
)
def test_the_period_is_said(since, until, words):
    assert period({"since": since, "until": until}) == words


def change(ratio, low, high, **given) -> dict:
    values = {
        "measure": "cost_usd",
        "per": "passed task",
        "a": 0.1,
        "b": 0.2,
        "change_ratio": ratio,
        "low_ratio": low,
        "high_ratio": high,
        "task_type": "review",
    }
    return values | given


def test_a_change_is_a_percentage_and_a_large_one_a_factor():
    assert change_words(change(1.402, 0.975, 12.5)) == ("+40 %", "-2.5 % to ×12.5")
    assert change_words(change(None, None, None)) == ("–", "–")


def test_a_rise_is_one_sentence():
    assert rise_words(change(2.0, 1.5, 2.6)) == (
        "review: cost per passed task rose from $0.100 to $0.200, +100 % (+50 % to +160 %)"
    )


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("cost_usd", 0.25, "$0.250"),
        ("tokens", 12_345, "12.3k"),
        ("call_seconds", 2.5, "2.5 s"),
        ("pass_rate", 0.8125, "81 %"),
        ("turns", None, "–"),
    ],
)
def test_values_are_in_the_unit_of_their_measure(name, value, words):
    assert value_words({"measure": name}, value) == words


def test_a_loss_is_called_one():
    assert saving_words("0") == "just what the same requests cost as they were sent"
    assert saving_words("0.5") == "$0.500 less than the same requests as they were sent"
    assert saving_words("-0.5") == "$0.500 MORE than the same requests as they were sent"
