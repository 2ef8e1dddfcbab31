from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.errors import ConfigError, UnpricedModelError
from farthing.pricing import (
    Overrides,
    catalog,
    find_card,
    require_card,
    traits,
    warnings,
)

DAY = date(2026, 11, 12)


@pytest.mark.parametrize(
    ("on", "read"),
    [(date(2026, 10, 6), 200_000), (date(2026, 10, 7), 100_000)],
)
def test_the_read_price_of_sonnet_5_5_fell_on_the_seventh_of_october(on, read):
    assert require_card("claude-sonnet-5-5", on=on).bands[0].rates.cache_read == read


@pytest.mark.parametrize(("on", "bands"), [(date(2026, 4, 29), 2), (date(2026, 4, 30), 1)])
def test_the_long_context_surcharge_of_sonnet_4_5_ended_with_its_beta(on, bands):
    assert len(require_card("claude-sonnet-4-5", on=on).bands) == bands


def test_a_model_is_unpriced_before_its_first_day_and_priced_from_it_on():
    assert find_card("claude-haiku-5-5", on=date(2026, 10, 6)) is None
    assert find_card("claude-haiku-5-5", on=date(2026, 10, 7)) is not None


@pytest.mark.parametrize(
    "name",
    [
        "claude-fable-5-3",
        "claude-fable",
        "claude-opus-5-latest",
        "claude-opus-5-5-20260922",
        "Claude-Opus-5-5",
        "claude-opus-5-5 ",
        "anthropic.claude-opus-5-5",
        "",
    ],
)
def test_a_name_nobody_declared_is_unpriced(name):
    assert find_card(name, on=DAY) is None
    assert traits(name) is None
    assert warnings(name, on=DAY) == ()
    assert catalog().lifecycle(name) is None


@given(st.sampled_from(sorted(catalog().names)), st.text("-0123456789.abz@", min_size=1))
def test_a_longer_name_never_falls_back_to_its_beginning(name, tail):
    longer = name + tail
    expected = catalog().names.get(longer)

    found = find_card(longer, on=DAY)

    assert (found.model if found else None) == (expected if found else None)
    assert expected is not None or found is None


def test_fable_5_1_has_its_own_card_with_a_quarter_of_the_read_price():
    newer, older = require_card("claude-fable-5-1", on=DAY), require_card("claude-fable-5", on=DAY)

    assert (newer.model, older.model) == ("claude-fable-5-1", "claude-fable-5")
    assert 4 * newer.bands[0].rates.cache_read == older.bands[0].rates.cache_read


@pytest.mark.parametrize(
    ("alias", "model"),
    [
        ("claude-haiku-4-5", "claude-haiku-4-5-20251001"),
        ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
        ("claude-opus-4-5", "claude-opus-4-5-20251101"),
        ("claude-opus-4-1", "claude-opus-4-1-20250805"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku-20241022"),
    ],
)
def test_a_declared_alias_is_its_dated_model(alias, model):
    assert require_card(alias, on=DAY) == require_card(model, on=DAY)
    assert traits(alias) == traits(model)


def test_a_model_without_any_price_is_known_but_unpriced():
    assert traits("claude-mythos-preview") is not None
    with pytest.raises(UnpricedModelError, match="nobody gave it one") as error:
        require_card("claude-mythos-preview", on=DAY)
    assert error.value.model == "claude-mythos-preview"


def test_a_day_before_the_first_price_is_said_to_be_that():
    with pytest.raises(UnpricedModelError, match="its first price is of 2026-09-22"):
        require_card("claude-opus-5-5", on=date(2026, 9, 21))


def test_a_moment_counts_as_its_utc_day():
    late = datetime(2026, 10, 6, 23, 30, tzinfo=timezone(timedelta(hours=-2)))

    assert find_card("claude-haiku-5-5", on=late) is not None
    assert find_card("claude-haiku-5-5", on=datetime(2026, 10, 6, 23, 59, tzinfo=UTC)) is None


def test_a_moment_without_zone_is_refused():
    with pytest.raises(ValueError, match="no time zone"):
        find_card("claude-haiku-5-5", on=datetime(2026, 10, 7))


def test_the_lookup_of_a_day_is_the_find_of_that_day():
    assert catalog().on(DAY)("claude-opus-5") == find_card("claude-opus-5", on=DAY)


def test_every_card_is_of_a_known_model_and_every_id_is_unique():
    cards = catalog().cards

    assert {card.model for card in cards} <= set(catalog().models)
    assert len({card.id for card in cards}) == len(cards)


def test_no_alias_hides_a_model():
    names = [name for model in catalog().models.values() for name in model.names]

    assert len(names) == len(set(names))


def test_every_card_says_where_its_price_was_read():
    assert [card.id for card in catalog().cards if not card.sources] == []


def test_a_card_is_never_older_than_its_model():
    released = {m.traits.id: m.lifecycle.released for m in catalog().models.values()}

    assert [c.id for c in catalog().cards if c.valid_from < released[c.model]] == []


# --- overrides ----------------------------------------------------------------------------------

OPUS = require_card("claude-opus-5-5", on=DAY)


def test_an_operators_card_comes_before_a_newer_list_price():
    own = replace(OPUS, valid_from=date(2026, 1, 1), batch=None)

    found = catalog().with_overrides(Overrides(operated=(own,)))

    assert found.find(OPUS.model, on=DAY) == own
    assert found.find(OPUS.model, on=date(2026, 1, 1)) == own
    assert found.find(OPUS.model, on=date(2025, 12, 31)) is None


def test_before_an_operators_card_begins_the_list_price_holds():
    own = replace(OPUS, valid_from=date(2026, 12, 1))

    assert catalog().with_overrides(Overrides(operated=(own,))).find(OPUS.model, on=DAY) == OPUS


def test_a_refreshed_list_price_competes_by_date_only():
    older = replace(OPUS, valid_from=date(2026, 1, 1), batch=None)
    newer = replace(OPUS, valid_from=date(2026, 11, 1), batch=None)
    found = catalog().with_overrides(Overrides(listed=(older, newer)))

    assert found.find(OPUS.model, on=date(2026, 10, 1)) == OPUS
    assert found.find(OPUS.model, on=DAY) == newer


def test_a_card_for_an_unknown_model_makes_it_known():
    own = replace(OPUS, model="my-model")
    found = catalog().with_overrides(Overrides(operated=(own,)))

    assert found.find("my-model", on=DAY) == own
    assert found.traits("my-model") is None
    assert found.warnings("my-model", on=DAY) == ()


def test_an_alias_may_name_an_alias_or_a_model_of_the_same_file():
    own = replace(OPUS, model="my-model")
    aliases = {"mine": "my-model", "haiku": "claude-haiku-4-5"}
    found = catalog().with_overrides(Overrides(operated=(own,), aliases=aliases))

    assert found.canonical("mine") == "my-model"
    assert found.canonical("haiku") == "claude-haiku-4-5-20251001"


def test_an_alias_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="'claude-opus-9', which is no model here"):
        catalog().with_overrides(Overrides(aliases={"mine": "claude-opus-9"}))


def test_a_card_for_an_alias_is_a_card_for_its_model():
    own = replace(OPUS, model="claude-haiku-4-5")
    found = catalog().with_overrides(Overrides(operated=(own,)))
    dated = "claude-haiku-4-5-20251001"

    assert found.find(dated, on=DAY) == replace(own, model=dated)
    assert found.find("claude-haiku-4-5", on=DAY) == found.find(dated, on=DAY)
    assert found.traits("claude-haiku-4-5") == traits(dated)


def test_a_card_for_an_alias_of_the_same_file_is_a_card_for_its_model():
    own = replace(OPUS, model="eu.opus", batch=None)
    aliases = {"eu.opus": "claude-opus-5-5"}
    found = catalog().with_overrides(Overrides(operated=(own,), aliases=aliases))

    assert found.find("claude-opus-5-5", on=DAY) == replace(own, model="claude-opus-5-5")


@pytest.mark.parametrize("listed", [(), (replace(OPUS, valid_from=DAY),)])
def test_a_model_cannot_be_made_an_alias_of_another(listed):
    aliases = {"claude-opus-5-5": "claude-haiku-4-5"}
    with pytest.raises(ConfigError, match="'claude-opus-5-5' is a model of its own"):
        catalog().with_overrides(Overrides(listed=listed, aliases=aliases))


def test_an_alias_may_be_pointed_at_another_model():
    found = catalog().with_overrides(Overrides(aliases={"claude-haiku-4-5": "claude-haiku-5-5"}))

    assert found.canonical("claude-haiku-4-5") == "claude-haiku-5-5"


def test_overrides_leave_the_shipped_catalogue_alone():
    before = set(catalog().names)
    catalog().with_overrides(Overrides(operated=(replace(OPUS, model="my-model"),)))

    assert set(catalog().names) == before
