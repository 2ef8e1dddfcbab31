from __future__ import annotations

from dataclasses import replace

import pytest

from farthing.core.prompt_cache import PromptCache
from farthing.core.prompt_cache_paths import common_blocks
from tests.unit.core.prompts import answer, at, digests_of, numbered, prompt, served, split


def test_the_first_request_writes_through_its_last_mark_and_reads_nothing():
    usage = PromptCache().predict(prompt("a b c", 1, rest=7), at(0)).usage

    assert split(usage) == (0, 0, 2_000, 1_007)


def test_the_next_turn_reads_what_was_written_and_writes_the_growth():
    cache = PromptCache()
    served(cache, prompt("a b c", 2), 0)

    usage = cache.predict(prompt("a b c d e", 4, rest=9), at(60)).usage

    assert split(usage) == (3_000, 0, 2_000, 9)


def test_a_prediction_changes_nothing():
    cache = PromptCache()

    cache.predict(prompt("a", 0), at(0))

    assert (len(cache), cache.predict(prompt("a", 0), at(1)).hit) == (0, None)


def test_only_marked_blocks_are_written():
    cache = PromptCache()
    served(cache, prompt("a b c d", 1, 3), 0)

    forecast = cache.predict(prompt("a b c x", 3), at(1.5))

    assert len(cache) == 2
    assert split(forecast.usage)[0] == 2_000


@pytest.mark.parametrize(("seconds", "read"), [(299.999, 1_000), (300, 0)])
def test_a_five_minute_entry_lives_while_it_is_younger_than_five_minutes(seconds, read):
    cache = PromptCache()
    served(cache, prompt("a", 0), 0)

    assert cache.predict(prompt("a", 0), at(seconds)).usage.cache_read == read


@pytest.mark.parametrize(("seconds", "read"), [(3599.999, 1_000), (3600, 0)])
def test_a_one_hour_entry_lives_while_it_is_younger_than_an_hour(seconds, read):
    cache = PromptCache()
    served(cache, prompt("a", (0, "1h")), 0)

    assert cache.predict(prompt("a", (0, "1h")), at(seconds)).usage.cache_read == read


def test_life_runs_from_the_start_of_the_request_not_from_its_answer():
    cache = PromptCache()
    served(cache, prompt("a", 0), 0, first_byte=240)

    assert cache.predict(prompt("a", 0), at(299)).hit
    assert not cache.predict(prompt("a", 0), at(301)).hit


def test_a_read_restarts_the_life_of_the_entry():
    cache = PromptCache()
    served(cache, prompt("a", 0), 0)
    served(cache, prompt("a", 0), 290)

    assert cache.predict(prompt("a", 0), at(589)).hit


def test_a_read_keeps_the_shorter_entries_of_its_path_warm():
    cache = PromptCache()
    served(cache, prompt("a b c", 0, 2), 0)
    served(cache, prompt("a b c d", 3), 200)

    assert cache.predict(prompt("a x", 1), at(499)).usage.cache_read == 1_000
    assert cache.predict(prompt("a x", 1), at(500)).usage.cache_read == 0


def test_a_read_does_not_revive_an_expired_shorter_entry():
    cache = PromptCache()
    served(cache, prompt("a", 0), 0)
    served(cache, prompt("a b", (1, "1h")), 1)
    served(cache, prompt("a b c", (1, "1h"), (2, "1h")), 400)

    assert not cache.predict(prompt("a x", 0), at(401)).hit


def test_an_entry_is_not_readable_before_the_first_byte_of_its_writer():
    cache = PromptCache()
    forecast = cache.begin(prompt("a", 0), at(0))
    early = cache.predict(prompt("a", 0), at(2))
    answer(cache, prompt("a", 0), forecast, 0, None, first_byte=3)

    assert early.hit is None
    assert cache.predict(prompt("a", 0), at(2.9)).hit is None
    assert cache.predict(prompt("a", 0), at(3)).hit is not None


def test_overlapping_requests_both_write_and_the_earliest_first_byte_counts():
    cache, view = PromptCache(), prompt("a", 0)
    first, second = cache.begin(view, at(0)), cache.begin(view, at(1))
    answer(cache, view, second, 1, None, first_byte=4)
    answer(cache, view, first, 0, None, first_byte=2)

    assert (first.usage, first.writes) == (second.usage, second.writes)
    assert cache.predict(view, at(2)).hit
    assert cache.predict(view, at(300)).hit  # touched by the second at 1


def test_a_writer_that_never_showed_a_first_byte_wrote_nothing():
    cache = PromptCache()
    cache.begin(prompt("a", 0), at(0))

    forecast = cache.predict(prompt("a", 0), at(301))

    assert forecast.shortfall.code == "cold"


def test_nineteen_blocks_may_be_added_between_marked_ends_and_twenty_may_not():
    cache, base = PromptCache(), numbered(5)
    served(cache, prompt(base, 4), 0)

    near = prompt(base + numbered(19, start=5), 23)
    far = prompt(base + numbered(20, start=5), 24)

    assert cache.predict(near, at(1)).usage.cache_read == 5_000
    assert cache.predict(far, at(1)).usage.cache_read == 0


def test_an_earlier_mark_opens_a_fresh_window():
    cache, words = PromptCache(), numbered(40)
    served(cache, prompt(words[:5], 4), 0)

    assert cache.predict(prompt(words, 39), at(1)).hit is None
    assert cache.predict(prompt(words, 23, 39), at(1)).usage.cache_read == 5_000


def test_marks_may_move_freely_for_they_are_not_part_of_the_key():
    cache = PromptCache()
    served(cache, prompt("a b c", 2), 0)

    assert cache.predict(prompt("a b c", (2, "1h")), at(1)).usage.cache_read == 3_000


@pytest.mark.parametrize("change", [{"scope": "another"}, {"model": "claude-sonnet-5-5"}])
def test_nothing_is_shared_between_scopes_or_models(change):
    cache, view = PromptCache(), prompt("a", 0)
    served(cache, view, 0)

    assert cache.predict(replace(view, **change), at(1)).hit is None


@pytest.mark.parametrize(("minimum", "written"), [(2_000, 2_000), (2_001, 0)])
def test_a_prefix_under_the_minimum_is_silently_not_cached(minimum, written):
    view = prompt("a b c", 1, min_cacheable_tokens=minimum)

    assert PromptCache().predict(view, at(0)).usage.cache_write_5m == written


def test_a_request_without_marks_neither_reads_nor_writes():
    cache = PromptCache()
    served(cache, prompt("a b", 1), 0)

    forecast = served(cache, prompt("a b"), 1.5)

    assert split(forecast.usage) == (0, 0, 0, 2_000)


def test_an_empty_prompt_costs_nothing():
    assert PromptCache().predict(prompt(""), at(0)).usage.prompt == 0


def test_a_server_tool_with_a_mark_may_write_on_its_own():
    view = prompt("a", 0, server_tools=True)

    assert PromptCache().predict(view, at(0)).hidden_writes
    assert not PromptCache().predict(replace(view, marks=()), at(0)).hidden_writes


def test_the_view_shows_sizes_only():
    text = repr(prompt("a b", 1, rest=3))

    assert text == "PrefixView('claude-opus-5-5', 2 blocks, 2003 tokens, marks=[1])"


def test_levels_follow_render_order():
    view = prompt("t s m", 2, tools_end=1, system_end=2)

    assert [view.level(index) for index in range(3)] == ["tools", "system", "messages"]


@pytest.mark.parametrize(
    ("left", "right", "shared"),
    [("", "a", 0), ("a b", "a b", 2), ("a b c", "a b x", 2), ("x", "y", 0), ("a", "a b c d", 1)],
)
def test_shared_blocks_are_counted(left, right, shared):
    assert common_blocks(digests_of(left.split()), digests_of(right.split())) == shared


def test_a_long_conversation_probes_at_most_four_windows():
    class CountingDigests(tuple[bytes, ...]):
        __slots__ = ()
        probes = 0

        def __getitem__(self, index):
            type(self).probes += isinstance(index, int)
            return super().__getitem__(index)

    words = numbered(600)
    cache = PromptCache()
    served(cache, prompt(words[:598], 10, 20, 597), 0)
    view = replace(prompt(words, 10, 20, 597, 599), digests=CountingDigests(digests_of(words)))
    CountingDigests.probes = 0

    forecast = cache.predict(view, at(1))

    assert forecast.usage.cache_read == 598_000
    assert CountingDigests.probes <= 4 * 20 + 1
