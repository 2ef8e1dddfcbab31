from __future__ import annotations

from dataclasses import replace
from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.errors import ConfigError
from farthing.pricing import Overrides, catalog, dump_overrides, parse_overrides

BANDS = (
    'bands = [{ uncached = "4", cache_write_5m = 5, cache_write_1h = 8, '
    "cache_read = 0.20, output = 20 }]"
)
HEAD = f'[[card]]\nmodel = "m"\nvalid_from = 2026-12-01\n{BANDS}\n'


def parse(text: str) -> Overrides:
    return parse_overrides(text.encode(), name="prices.toml")


def test_a_card_is_read_with_prices_written_in_any_plain_way():
    (card,) = parse(HEAD).operated

    assert card.id == "m@2026-12-01"
    assert dict(card.bands[0].rates.items) == {
        "uncached": 4_000_000,
        "cache_write_5m": 5_000_000,
        "cache_write_1h": 8_000_000,
        "cache_read": 200_000,
        "output": 20_000_000,
    }
    assert (card.batch, card.fast, card.geo, card.web_search) == (None, None, (), None)


def test_a_float_is_read_as_it_is_written_and_not_as_it_is_rounded():
    (card,) = parse(HEAD.replace("0.20", "0.30000")).operated

    assert card.bands[0].rates.cache_read == 300_000


def test_everything_a_card_may_say_is_read():
    (card,) = parse(
        HEAD + 'batch = "0.5"\nfast = 2\ngeo = { us = 1.1 }\nweb_search = 10\nsource = "contract 7"'
    ).operated

    assert (card.batch, card.fast) == (Fraction(1, 2), 2)
    assert card.geo == (("us", Fraction(11, 10)),)
    assert card.web_search == 10**10
    assert card.sources[0].url == "contract 7"


def test_bands_are_tables_too():
    text = '[[card]]\nmodel = "m"\nvalid_from = 2026-12-01\n'
    rates = "uncached = 1\ncache_write_5m = 1\ncache_write_1h = 1\ncache_read = 1\noutput = 1\n"
    (card,) = parse(f"{text}[[card.bands]]\nup_to = 100\n{rates}[[card.bands]]\n{rates}").operated

    assert [band.up_to for band in card.bands] == [100, None]


def test_a_list_price_is_kept_apart_from_the_operators_own():
    found = parse(HEAD + "list_price = true\n" + HEAD)

    assert (len(found.listed), len(found.operated)) == (1, 1)


def test_aliases_are_read():
    assert parse('[aliases]\n"eu.opus" = "claude-opus-5-5"').aliases == {
        "eu.opus": "claude-opus-5-5"
    }


def test_an_empty_file_changes_nothing():
    assert parse("") == Overrides()
    assert dump_overrides(Overrides()) == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = [[card", r"prices.toml is not TOML: .*line 1"),
        ("cards = 1", r"prices.toml: 'cards' is unknown; did you mean 'card'\?"),
        ("zzz = 1", r"prices.toml: 'zzz' is unknown; known: card, aliases"),
        ("card = 1", r"prices.toml: card must be an array of tables, not 1"),
        ("card = [1]", r"prices.toml: card must be a table, not 1"),
        (f"\n{HEAD}bath = 1", r"card at line 2: 'bath' is unknown; did you mean 'batch'\?"),
        (HEAD + HEAD + "fast = true", r"card at line 5: fast = True must be a string or a number"),
        ("[[card]]\nmodel = 'm'", r"card at line 1: 'valid_from' is missing"),
        ("[[card]]\nvalid_from = 2026-12-01\nbands = []", r"line 1: 'model' is missing"),
        (HEAD.replace("2026-12-01", '"2026-12-01"'), r"valid_from = '2026-12-01' must be a day"),
        (HEAD.replace("2026-12-01", "2026-12-01T00:00:00Z"), "must be a day, unquoted"),
        (HEAD.replace("output = 20", "output = -20"), "output = '-20' is negative"),
        (HEAD.replace("output = 20", "output = 1e3"), "output = '1e3' is not a decimal"),
        (HEAD.replace("output = 20", "outptu = 20"), r"band 1: 'outptu' is unknown; did you mean"),
        (HEAD.replace(", output = 20", ""), "line 1: 'output' is missing"),
        (HEAD.replace("output = 20", "output = 20, up_to = '1'"), "up_to = '1' must be a whole"),
        (HEAD.replace("output = 20", "output = 20, up_to = true"), "up_to = True must be a whole"),
        (HEAD.replace("output = 20", "output = 20, up_to = 1"), "the last band"),
        (HEAD + "list_price = 1", "list_price = 1 must be true or false"),
        (HEAD + "geo = 1", "geo must be a table, not 1"),
        (HEAD + "batch = 0.333333333", "finer than 10⁻¹² USD per token"),
        (HEAD + "source = 1.5\n[aliases]\nx = 1", "aliases: 'x' must name a model"),
        ("card = [{ model = 'm', valid_from = 2026-12-01, bands = 1 }]", "card 1: bands must be"),
    ],
)
def test_a_fault_is_named_with_its_place(text, message):
    with pytest.raises(ConfigError, match=message):
        parse(text)


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(ConfigError, match="is not TOML"):
        parse_overrides(b"\xff")


CARDS = st.lists(st.sampled_from(catalog().cards), unique_by=lambda card: card.id, max_size=3)


@given(CARDS, CARDS)
def test_what_is_dumped_is_read_back(operated, listed):
    one = {"eu.opus": "claude-opus-5-5"}
    given_ = Overrides(operated=tuple(operated), listed=tuple(listed), aliases=one)

    again = parse(dump_overrides(given_))

    plain = [replace(card, sources=()) for card in (*given_.operated, *given_.listed)]
    assert [replace(c, sources=()) for c in (*again.operated, *again.listed)] == plain
    assert again.aliases == one


def test_a_dumped_card_keeps_its_first_source():
    card = catalog().cards[0]

    (again,) = parse(dump_overrides(Overrides(operated=(card,)))).operated

    assert [source.url for source in again.sources] == [card.sources[0].url]
    assert again.valid_from == card.valid_from > date(2024, 1, 1)
