from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from fractions import Fraction

import pytest

from farthing.cli.genai import UpstreamPrice, read_genai_prices, upstream_digest
from farthing.cli.main import main
from farthing.cli.price_refresh import append_cards, new_cards
from farthing.pricing import Band, catalog, parse_overrides, require_card
from farthing.pricing.generated_cards import UPSTREAM

pytest.importorskip("genai_prices", reason="pip install 'farthing[prices]'")

TODAY = date(2026, 12, 24)
OPUS = require_card("claude-opus-5-5", on=TODAY)
DEARER = (Band(up_to=None, rates=replace(OPUS.bands[0].rates, output=21_000_000)),)
PRICE = UpstreamPrice(
    valid_from=None, bands=DEARER, batch=Fraction(1, 2), fast=None, web_search=10**10
)


def found(prices: dict[str, tuple[UpstreamPrice, ...]], **options):
    return list(new_cards(prices, options.get("known", catalog()), seen=UPSTREAM, today=TODAY))


def test_what_the_shipped_cards_were_made_from_is_nothing_new():
    assert found(read_genai_prices()) == []


def test_every_model_upstream_is_known_by_its_digest():
    upstream = read_genai_prices()

    assert {name: upstream_digest(prices) for name, prices in upstream.items()} == {
        name: digest for name, (digest, _) in UPSTREAM.items()
    }


def test_a_price_that_moved_is_a_card_of_today_with_what_upstream_does_not_say():
    (card,) = found({"claude-opus-5-5": (PRICE,)})

    assert card.id == "claude-opus-5-5@2026-12-24"
    assert card.bands == DEARER
    assert (card.geo, card.fast, card.batch) == (OPUS.geo, OPUS.fast, OPUS.batch)


def test_a_price_that_moved_on_a_known_day_is_dated_so():
    dated = replace(PRICE, valid_from=date(2026, 12, 1))

    assert [card.id for card in found({"claude-opus-5-5": (dated,)})] == [
        "claude-opus-5-5@2026-12-01"
    ]


def test_a_price_announced_for_later_waits_for_its_day():
    now = replace(PRICE, bands=OPUS.bands)
    later = replace(PRICE, valid_from=date(2027, 1, 1))

    assert [card.id for card in found({"claude-opus-5-5": (now, later)})] == [
        "claude-opus-5-5@2027-01-01"
    ]


def test_a_price_dated_before_our_card_moves_today_and_not_in_the_past():
    dated = replace(PRICE, valid_from=OPUS.valid_from)

    assert [card.valid_from for card in found({"claude-opus-5-5": (dated,)})] == [TODAY]


def test_one_name_upstream_may_price_several_models_of_ours():
    cards = found({"claude-fable-5": (PRICE,)})

    assert [card.model for card in cards] == ["claude-fable-5", "claude-mythos-5"]


def test_a_new_model_is_priced_from_today():
    (card,) = found({"claude-opus-6": (PRICE,)})

    assert card.id == "claude-opus-6@2026-12-24"
    assert card.geo == (("us", Fraction(11, 10)),)


def test_what_was_written_is_read_back_as_a_list_price_and_found_no_second_time(tmp_path):
    path = tmp_path / "new" / "prices.toml"
    cards = tuple(found({"claude-opus-5-5": (PRICE,)}))

    append_cards(path, cards, TODAY)
    overrides = parse_overrides(path.read_bytes())
    known = catalog().with_overrides(overrides)

    assert [card.id for card in overrides.listed] == ["claude-opus-5-5@2026-12-24"]
    assert found({"claude-opus-5-5": (PRICE,)}, known=known) == []
    assert known.find("claude-opus-5-5", on=date(2026, 12, 23)) == OPUS


def test_appending_keeps_what_the_file_said(tmp_path):
    path = tmp_path / "prices.toml"
    path.write_text('# mine\n[aliases]\nmy = "claude-opus-5-5"')

    append_cards(path, (OPUS,), TODAY)

    assert path.read_text().startswith("# mine\n[aliases]\n")
    assert parse_overrides(path.read_bytes()).aliases == {"my": "claude-opus-5-5"}


def test_the_command_says_that_nothing_is_new_and_writes_no_file(capsys, config_home):
    assert main(["price", "--refresh"]) == 0

    assert "nothing new" in capsys.readouterr().out
    assert not config_home.exists()


def test_the_command_answers_in_json(capsys, tmp_path):
    path = tmp_path / "p.toml"

    assert main(["price", "--refresh", "--prices", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(path), "added": []}
