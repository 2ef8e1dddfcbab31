from __future__ import annotations

import argparse
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from farthing.cli.arguments import (
    default_price_file,
    load_catalog,
    parse_count,
    parse_day,
    parse_gap,
    today_utc,
)
from farthing.errors import ConfigError

CARD = """
[[card]]
model = "{model}"
valid_from = 2026-01-01
bands = [{{ uncached = 1, cache_write_5m = 1, cache_write_1h = 1, cache_read = 1, output = 1 }}]
"""


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("200000", 200_000),
        ("200_000", 200_000),
        ("200,000", 200_000),
        ("200k", 200_000),
        ("200 K", 200_000),
        ("1.5M", 1_500_000),
        ("0.5k", 500),
        ("1.2340k", 1_234),
        ("12.0", 12),
    ],
)
def test_a_count_may_be_written_as_people_write_it(text, count):
    assert parse_count(text) == count


@pytest.mark.parametrize("text", ["", "-5", "1.5", "1.2345k", "1e3", "many", "5x", "0x10", "k"])
def test_what_is_no_whole_number_of_tokens_is_refused_with_examples(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"write 200000, 200_000, 200k or 1.5M"):
        parse_count(text)


@pytest.mark.parametrize("text", ["1000000000000", "1000000M", "0001000000000000"])
def test_a_million_million_tokens_still_count(text):
    assert parse_count(text) == 10**12


@pytest.mark.parametrize("text", ["1000000000001", "1000001M", "9" * 5_000])
def test_more_than_a_million_million_tokens_are_a_slip(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"at most 1,000,000,000,000 count"):
        parse_count(text)


@pytest.mark.parametrize(
    ("text", "gap"),
    [
        ("5s", timedelta(seconds=5)),
        ("1.5h", timedelta(minutes=90)),
        ("366d", timedelta(days=366)),
        ("8784h", timedelta(days=366)),
    ],
)
def test_a_gap_has_a_unit(text, gap):
    assert parse_gap(text) == gap


@pytest.mark.parametrize("text", ["367d", "8785h", "2000000d", "99999999999999h", "9" * 400 + "d"])
def test_a_gap_of_more_than_a_year_is_a_slip(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"too long; at most 366d"):
        parse_gap(text)


def test_a_gap_without_a_unit_shows_seconds_first():
    with pytest.raises(argparse.ArgumentTypeError, match=r"write 5s, 7m, 1.5h or 2d"):
        parse_gap("5")


@pytest.mark.parametrize("zone", ["Etc/GMT-14", "Etc/GMT+12"])
def test_today_is_the_day_in_utc_wherever_the_user_is(zone, monkeypatch):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        before, today, after = datetime.now(UTC).date(), today_utc(), datetime.now(UTC).date()
    finally:
        monkeypatch.undo()
        time.tzset()

    assert today in {before, after}


def test_a_day_is_written_iso():
    assert parse_day("2026-10-07") == date(2026, 10, 7)
    with pytest.raises(argparse.ArgumentTypeError, match=r"'7.10.2026' is not a day"):
        parse_day("7.10.2026")


def test_the_price_file_lives_in_the_configuration_folder(config_home, monkeypatch):
    assert default_price_file() == config_home / "farthing" / "prices.toml"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert default_price_file() == Path.home() / ".config" / "farthing" / "prices.toml"


def test_the_default_file_and_the_given_file_both_count(config_home, tmp_path):
    default = config_home / "farthing" / "prices.toml"
    default.parent.mkdir(parents=True)
    default.write_text(CARD.format(model="mine"))
    given = tmp_path / "more.toml"
    given.write_text(CARD.format(model="more"))

    names = load_catalog(given).names

    assert {"mine", "more", "claude-opus-5-5"} <= set(names)
    assert "more" not in load_catalog().names


def test_a_file_that_is_not_there_is_said_to_be_that(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the price file .*No such file"):
        load_catalog(tmp_path / "absent.toml")
