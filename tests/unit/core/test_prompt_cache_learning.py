from __future__ import annotations

import pytest

from farthing.core.prompt_cache import PromptCache
from farthing.wire.usage import Usage
from tests.unit.core.prompts import answer, at, hit_of, prompt, served, split


def told(cache, view, seconds, *, read, written=0, rest=0, ttl="5m"):
    """A request whose answer reports these counts."""
    forecast = cache.begin(view, at(seconds))
    usage = Usage(
        cache_read=read,
        cache_write_5m=written if ttl == "5m" else 0,
        cache_write_1h=written if ttl == "1h" else 0,
        uncached=rest,
    )
    return answer(cache, view, forecast, seconds, usage)


def test_an_answer_as_forecast_confirms_and_measures():
    cache = PromptCache()
    first = told(cache, prompt("a b", 1), 0, read=0, written=2_100)

    second = told(cache, prompt("a b c", 2), 10, read=2_100, written=1_000)

    assert (first.kind, first.block) == ("confirmed", -1)
    assert (second.kind, second.block, second.predicted_tokens) == ("confirmed", 1, 2_100)
    assert cache.predict(prompt("a b c", 2), at(20)).usage.cache_read == 3_000


def test_an_answer_without_usage_teaches_nothing():
    cache, view = PromptCache(), prompt("a", 0)
    forecast = cache.begin(view, at(0))

    assert answer(cache, view, forecast, 0, None) is None
    assert cache.predict(view, at(2)).hit


def test_reading_more_means_another_client_wrote_it():
    cache = PromptCache()

    correction = told(cache, prompt("a b c d", 1, 3), 0, read=3_010, written=990)

    assert (correction.kind, correction.block) == ("read_more", 2)
    assert cache.predict(prompt("a b c x", 3), at(2)).usage.cache_read == 3_010


def test_reading_more_prefers_a_measured_entry_to_a_mere_position():
    cache = PromptCache()
    told(cache, prompt("a b", 1), 0, read=0, written=1_500)

    correction = told(cache, prompt("a b c", 2), 400, read=1_500, written=1_500)

    assert (correction.kind, correction.block) == ("read_more", 1)


def test_reading_a_little_more_of_a_guessed_length_measures_it():
    cache = PromptCache()
    told(cache, prompt("a b", 0, 1), 0, read=0, written=2_000)

    correction = told(cache, prompt("a x y", 0, 2), 10, read=1_450, written=1_550)

    assert (correction.kind, correction.block) == ("confirmed", 0)
    assert cache.predict(prompt("a z", 0, 1), at(20)).usage.cache_read == 1_450


def test_reading_less_drops_what_lies_behind_the_boundary():
    cache = PromptCache()
    served(cache, prompt("a b", 0, 1), 0)
    served(cache, prompt("a b c d", 3), 10)

    correction = told(cache, prompt("a b c d e", 4), 20, read=1_000, written=4_000)

    assert (correction.kind, correction.block) == ("read_less", 0)
    assert cache.predict(prompt("a b c d x", 4), at(30)).usage.cache_read == 1_000
    assert cache.predict(prompt("a b c d e f", 5), at(30)).usage.cache_read == 5_000


def test_reading_nothing_drops_the_whole_path():
    cache = PromptCache()
    served(cache, prompt("a b", 0, 1), 0)

    correction = told(cache, prompt("a b", 0, 1), 10, read=0, written=2_000)

    assert (correction.kind, correction.block) == ("read_less", -1)
    assert cache.predict(prompt("a b c", 2), at(20)).usage.cache_read == 2_000
    assert cache.predict(prompt("a x", 1), at(20)).usage.cache_read == 1_000


def test_reading_less_at_a_place_nobody_knew_books_an_entry_there():
    cache = PromptCache()
    served(cache, prompt("a b c d", (3, "1h")), 0)

    told(cache, prompt("a b c d e", (4, "1h")), 10, read=2_000, written=3_000, ttl="1h")

    assert cache.predict(prompt("a b x", (2, "1h")), at(3_000)).usage.cache_read == 2_000


def test_an_entry_booked_behind_every_mark_gets_the_short_life():
    cache = PromptCache()
    served(cache, prompt("a b c d", (1, "1h"), (3, "1h")), 0)
    view = prompt("a b c d", (1, "1h"))
    forecast = cache.begin(view, at(1))

    answer(cache, view, forecast, 1, Usage(cache_read=2_000, uncached=2_000))

    assert cache.predict(prompt("a b x", 2), at(3_000)).usage.cache_read == 2_000


def test_nothing_cached_forgets_the_path():
    cache = PromptCache()
    served(cache, prompt("a b", 1), 0)

    correction = told(cache, prompt("a b c", 2), 10, read=0, rest=3_000)

    assert correction.kind == "not_cached"
    assert len(cache) == 0


def test_nothing_cached_as_foreseen_is_confirmed():
    correction = told(PromptCache(), prompt("a"), 0, read=0, rest=1_000)

    assert correction.kind == "confirmed"


def test_a_read_where_no_mark_is_long_enough_writes_nothing():
    cache = PromptCache()
    view = prompt("a b", 1, min_cacheable_tokens=5_000)

    correction = told(cache, view, 0, read=1_000, rest=1_000)

    assert (correction.kind, len(cache)) == ("read_more", 1)


def test_what_a_server_tool_writes_is_read_by_the_next_request():
    cache = PromptCache()
    first = prompt("a q", (1, "1h"), server_tools=True)
    forecast = cache.begin(first, at(0))
    answer(cache, first, forecast, 0, Usage(cache_write_1h=2_000, cache_write_5m=700))
    after = prompt("a q call result end more", (5, "1h"), server_tools=True, server_results=(3,))

    early = cache.predict(after, at(60))
    late = cache.predict(after, at(300))

    assert (hit_of(early).block, early.usage.cache_read, hit_of(early).ttl) == (3, 2_700, "5m")
    assert (hit_of(late).block, late.usage.cache_read) == (1, 2_000)


def test_a_read_of_a_hidden_write_makes_it_an_entry():
    cache = PromptCache()
    first = prompt("a q", (1, "1h"), server_tools=True)
    forecast = cache.begin(first, at(0))
    answer(cache, first, forecast, 0, Usage(cache_write_1h=2_000, cache_write_5m=700))
    after = prompt("a q call result end", (4, "1h"), server_tools=True, server_results=(3,))
    cache.begin(after, at(200))

    assert cache.predict(prompt("a q call result x", 4), at(450)).usage.cache_read == 2_700


def test_a_hidden_write_that_no_result_block_shows_is_not_read():
    cache = PromptCache()
    first = prompt("a q", (1, "1h"), server_tools=True)
    forecast = cache.begin(first, at(0))
    answer(cache, first, forecast, 0, Usage(cache_write_1h=2_000, cache_write_5m=700))

    assert cache.predict(prompt("a q x", 2), at(60)).usage.cache_read == 2_000


def test_a_total_of_several_passes_measures_nothing():
    cache = PromptCache()
    view = prompt("a b", 1, server_tools=True)
    served(cache, view, 0)

    correction = told(cache, view, 10, read=9_000, written=1_000)

    assert (correction.kind, correction.block) == ("several_passes", 1)
    assert cache.predict(view, at(20)).usage.cache_read == 2_000


def test_measured_lengths_anchor_the_positions_of_the_next_request():
    cache = PromptCache()
    told(cache, prompt("a b", 1), 0, read=0, written=3_000)

    view = cache.anchored(prompt("a b c", 2, rest=5))

    assert view.positions == (1_500, 3_000, 4_000)
    assert view.total_tokens == 4_005
    assert split(cache.predict(view, at(1)).usage) == (3_000, 0, 1_000, 5)


def test_nothing_measured_leaves_the_positions_alone():
    cache = PromptCache()
    cache.begin(prompt("a", 0), at(0))
    view = prompt("a b", 1)

    assert cache.anchored(view) is view


def test_an_anchor_on_an_empty_block_shifts_what_follows():
    cache = PromptCache()
    told(cache, prompt("a b", 1, positions=(0, 0)), 0, read=0, written=50)

    view = cache.anchored(prompt("a b c", 2, positions=(0, 0, 10), total_tokens=10))

    assert view.positions == (0, 50, 60)


def test_an_entry_swept_away_before_the_answer_is_no_error():
    cache = PromptCache(entries=2)
    view = prompt("a b", 1)
    forecast = cache.begin(view, at(0))
    for index, word in enumerate("xyz"):
        cache.begin(prompt(word, 0), at(1 + index))

    answer(cache, view, forecast, 0, None)

    assert cache.predict(view, at(10)).hit is None


@pytest.mark.parametrize(("read", "kind"), [(98_000, "confirmed"), (97_000, "read_less")])
def test_two_percent_is_the_same_boundary(read, kind):
    cache, words = PromptCache(), [f"b{index}" for index in range(100)]
    served(cache, prompt(words, 99), 0)

    correction = told(cache, prompt([*words, "new"], 100), 10, read=read, written=101_000 - read)

    assert correction.kind == kind


def test_a_store_too_small_for_one_request_forgets_and_goes_on():
    cache = PromptCache(entries=1)

    correction = told(cache, prompt("a b", 0, 1), 0, read=0, written=2_000)

    assert (correction.kind, len(cache)) == ("confirmed", 0)
