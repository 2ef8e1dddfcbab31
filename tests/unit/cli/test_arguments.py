from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

import pytest

from farthing.cli.arguments import default_price_file, load_catalog, parse_count, parse_day
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
