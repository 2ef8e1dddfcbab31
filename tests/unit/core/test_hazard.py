from __future__ import annotations

from datetime import timedelta

import pytest

from farthing.core.hazard import BreakHazard, BreakRate
from farthing.core.prompt_cache import PromptCache
from farthing.wire.usage import Usage
from tests.unit.core.prompts import answer, at, hit_of, prompt, served


def broken(cache, words, seconds, read, *, server_tools=False):
    view = prompt(words, len(words.split()) - 1, server_tools=server_tools)
    forecast = cache.begin(view, at(seconds))
    usage = Usage(cache_read=read, cache_write_5m=view.total_tokens - read)
    answer(cache, view, forecast, seconds, usage)


def test_the_first_expectation_is_one_break_in_a_hundred():
    cache = PromptCache()
    served(cache, prompt("a b", 1), 0)
    view = prompt("a b c", 2, rest=10)
    forecast = cache.predict(view, at(10))

    expected = cache.expect(view, forecast, at(10))

    assert expected.surprise == pytest.approx(0.01)
    assert expected.cache_read == pytest.approx(2_000 * (1 - 0.01 * 0.7))
    assert expected.prompt == pytest.approx(3_010)
    assert expected.uncached == 10


def test_what_is_not_read_is_written_with_the_lifetime_of_the_growth():
    cache = PromptCache()
    served(cache, prompt("a b", (1, "1h")), 0)
    view = prompt("a b c", (2, "1h"))
    expected = cache.expect(view, cache.predict(view, at(10)), at(10))

    assert expected.cache_write_1h > 1_000
    assert expected.cache_write_5m == 0


def test_a_break_where_nothing_grows_is_written_like_the_entry():
    cache = PromptCache()
    served(cache, prompt("a", (0, "1h")), 0)
    view = prompt("a", (0, "1h"))
    expected = cache.expect(view, cache.predict(view, at(10)), at(10))

    assert expected.cache_write_1h > 0


def test_a_cold_call_has_nothing_to_lose():
    cache, view = PromptCache(), prompt("a", 0)

    expected = cache.expect(view, cache.predict(view, at(0)), at(0))

    assert (expected.cache_read, expected.surprise) == (0, 0)


def test_an_expired_entry_is_expected_to_be_there_a_little():
    cache = PromptCache()
    served(cache, prompt("a b", 1), 0)
    view = prompt("a b c", 2)
    expected = cache.expect(view, cache.predict(view, at(400)), at(400))

    assert expected.cache_read == pytest.approx(0.05 * 2_000)
    assert expected.cache_write_5m == pytest.approx(3_000 - 100)


def test_a_presumed_entry_may_be_gone():
    cache = PromptCache()
    served(cache, prompt("h a", 0, 1, lineage_id="a"), 0)
    for index, name in enumerate("bc"):
        view = prompt(f"h {name}", 0, 1, lineage_id=name)
        forecast = cache.begin(view, at(600 * (index + 1)))
        usage = Usage(cache_read=1_000, cache_write_5m=1_000)
        answer(cache, view, forecast, 600 * (index + 1), usage)
    view = prompt("h d", 0, 1, lineage_id="d")
    forecast = cache.predict(view, at(1_800))

    expected = cache.expect(view, forecast, at(1_800))

    assert hit_of(forecast).is_presumed
    assert 0 < expected.surprise < 0.5
    assert expected.cache_read == pytest.approx(1_000 * (1 - expected.surprise))


def test_breaks_raise_the_rate_of_their_gap_only():
    cache = PromptCache()
    served(cache, prompt("a b", 1), 0)
    broken(cache, "a b c", 10, 0)

    assert cache.hazard.rate(timedelta(seconds=10)).mean > 0.02
    assert cache.hazard.rate(timedelta(seconds=61)).mean == pytest.approx(0.01)


@pytest.mark.parametrize(("seconds", "index"), [(59.9, 0), (60, 1), (300, 2), (3600, 3)])
def test_gap_classes_have_edges(seconds, index):
    hazard = BreakHazard()

    assert hazard.rate(timedelta(seconds=seconds)) is hazard._rates[index]


def test_the_share_that_is_kept_is_learned_too():
    rate = BreakRate(0.5, 49.5)
    for _ in range(100):
        rate.record_read(kept=0.6)
    rate.record_read(kept=0.96)

    assert rate.kept_ratio == pytest.approx(0.6, abs=0.03)


def test_a_total_of_several_passes_is_no_break():
    cache = PromptCache()
    served(cache, prompt("a b", 1, server_tools=True), 0)
    before = cache.hazard.rate(timedelta(seconds=10)).mean
    view = prompt("a b c", 2, server_tools=True)
    forecast = cache.begin(view, at(10))
    answer(cache, view, forecast, 10, Usage(cache_read=9_000))

    assert cache.hazard.rate(timedelta(seconds=10)).mean == before
