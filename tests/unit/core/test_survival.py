from __future__ import annotations

from datetime import timedelta

import pytest

from farthing.core.prompt_cache import PromptCache
from farthing.core.survival import Expired, Rate, SurvivalRates
from farthing.wire.usage import Usage
from tests.unit.core.prompts import answer, at, hit_of, prompt, served

VIEW = prompt("a", 0)


def lapsed(minutes: float, *, bond="foreign", ttl="5m"):
    return Expired(block=0, bond=bond, tokens=1_000, ttl=ttl, age=timedelta(minutes=minutes))


def test_without_evidence_an_expired_entry_is_dead():
    rates = SurvivalRates()

    assert rates.probability(VIEW, lapsed(10)) == pytest.approx(0.05)
    assert not rates.presumes(VIEW, lapsed(10))


def test_survivals_of_a_scope_make_the_next_one_likely_there():
    rates = SurvivalRates()
    for _ in range(2):
        rates.record(VIEW, lapsed(10), survived=True)

    assert rates.presumes(VIEW, lapsed(10))
    assert not rates.presumes(prompt("a", 0, scope="another"), lapsed(10))


@pytest.mark.parametrize(
    "other", [lapsed(5.2), lapsed(20), lapsed(10, bond="own"), lapsed(10, ttl="1h")]
)
def test_kinds_are_learned_apart(other):
    rates = SurvivalRates()
    for _ in range(2):
        rates.record(VIEW, lapsed(10), survived=True)

    assert not rates.presumes(VIEW, other)


def test_deaths_take_the_presumption_back():
    rates = SurvivalRates()
    for survived in (True, True, False, False):
        rates.record(VIEW, lapsed(10), survived=survived)

    assert not rates.presumes(VIEW, lapsed(10))


def test_what_one_scope_learns_is_a_prior_for_the_next():
    rates = SurvivalRates()
    for _ in range(50):
        rates.record(VIEW, lapsed(10), survived=True)

    assert rates.probability(prompt("a", 0, scope="new"), lapsed(10)) > 0.9


def test_scopes_are_bounded():
    rates = SurvivalRates(capacity=2)
    for index in range(3):
        rates.record(prompt("a", 0, scope=f"{index}"), lapsed(10), survived=True)

    assert len(rates) == 2


def test_old_observations_fade():
    rate = Rate(1.0, 0.0, decay=0.5)
    rate.record(strike=False)

    assert (rate.struck, rate.spared) == (0.5, 1.0)


def read(cache, words, seconds, tokens, **changes):
    view = prompt(words, 0, len(words.split()) - 1, **changes)
    forecast = cache.begin(view, at(seconds))
    rest = view.total_tokens - tokens
    answer(cache, view, forecast, seconds, Usage(cache_read=tokens, cache_write_5m=rest))
    return forecast


def test_a_head_that_others_keep_warm_is_presumed_alive_after_it_was_found_so():
    cache = PromptCache()
    served(cache, prompt("head one", 0, 1, lineage_id="one"), 0)
    first = read(cache, "head two", 600, 1_000, lineage_id="two")
    second = read(cache, "head three", 1_200, 1_000, lineage_id="three")

    assert (first.hit, first.shortfall.code) == (None, "expired")
    assert hit_of(second).is_presumed
    assert second.usage.cache_read == 1_000


def test_a_presumed_read_makes_the_head_alive_again():
    cache = PromptCache()
    served(cache, prompt("head one", 0, 1, lineage_id="one"), 0)
    for index, name in enumerate(("two", "three")):
        read(cache, f"head {name}", 600 * (index + 1), 1_000, lineage_id=name)

    forecast = cache.predict(prompt("head four", 0, 1, lineage_id="four"), at(1_499))

    assert not hit_of(forecast).is_presumed


def test_the_own_tail_is_another_kind_than_the_shared_head():
    cache = PromptCache()
    served(cache, prompt("head one", 0, 1, lineage_id="one"), 0)
    served(cache, prompt("head two", 0, 1, lineage_id="two"), 10)

    forecast = cache.predict(prompt("head two more", 0, 2, lineage_id="two"), at(600))

    assert [(entry.block, entry.bond) for entry in forecast.expired] == [(1, "own"), (0, "shared")]
