from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from farthing.core.prompt_cache import PromptCache
from tests.unit.core.prompts import at, numbered, prompt, served


def reason(cache, view, seconds):
    return cache.predict(view, at(seconds)).shortfall


def test_everything_written_is_read():
    cache = PromptCache()
    served(cache, prompt("a b", 1), 0)

    assert reason(cache, prompt("a b c", 2), 1).code == "complete"


def test_a_request_without_marks_says_so():
    assert reason(PromptCache(), prompt("a"), 0).code == "no_marks"


def test_a_prompt_under_the_minimum_is_too_short():
    shortfall = reason(PromptCache(), prompt("a b", 0, min_cacheable_tokens=1_001), 0)

    assert (shortfall.code, shortfall.block) == ("too_short", 0)


def test_a_prompt_never_seen_is_cold():
    assert reason(PromptCache(), prompt("a", 0), 0).code == "cold"


def test_an_expired_entry_is_named_with_its_age_and_what_was_missed():
    cache = PromptCache()
    served(cache, prompt("t a b", (0, "1h"), 2, tools_end=1), 0)

    shortfall = reason(cache, prompt("t a b c", 0, 3, tools_end=1), 420)

    assert (shortfall.code, shortfall.block, shortfall.level) == ("expired", 2, "messages")
    assert (shortfall.age, shortfall.ttl) == (timedelta(seconds=420), "5m")
    assert shortfall.missed_tokens == 2_000


def test_an_entry_being_written_is_in_flight():
    cache = PromptCache()
    cache.begin(prompt("a", 0), at(0))

    shortfall = reason(cache, prompt("a", 0), 2)

    assert (shortfall.code, shortfall.age) == ("in_flight", timedelta(seconds=2))


def test_an_entry_no_window_reaches_is_beyond_the_lookback():
    cache, words = PromptCache(), numbered(40)
    served(cache, prompt(words[:16], 15), 0)

    shortfall = reason(cache, prompt(words, 35), 1)

    assert (shortfall.code, shortfall.block) == ("beyond_lookback", 15)
    assert shortfall.missed_tokens == 16_000


def test_a_dead_entry_beyond_the_lookback_is_no_reason():
    cache, words = PromptCache(), numbered(40)
    served(cache, prompt(words[:16], 15), 0)

    assert reason(cache, prompt(words, 35), 301).code == "cold"


@pytest.mark.parametrize(
    ("words", "block", "level"),
    [("T s m n", 0, "tools"), ("t S m n", 1, "system"), ("t s M n", 2, "messages")],
)
def test_a_changed_block_of_the_same_lineage_is_named(words, block, level):
    cache = PromptCache()
    levels: dict[str, Any] = {"tools_end": 1, "system_end": 2, "lineage_id": "one"}
    served(cache, prompt("t s m", 2, **levels), 0)

    shortfall = reason(cache, prompt(words, 3, **levels), 1)

    assert (shortfall.code, shortfall.block, shortfall.level) == ("prefix_changed", block, level)
    assert shortfall.missed_tokens == 3_000


def test_without_a_lineage_a_change_is_found_by_shared_blocks():
    cache = PromptCache()
    served(cache, prompt("t s m n", 0, 3), 0)

    shortfall = reason(cache, prompt("t s X n", 0, 3), 1)

    assert (shortfall.code, shortfall.block, shortfall.missed_tokens) == (
        "prefix_changed",
        2,
        3_000,
    )


def test_another_conversation_on_the_same_head_is_no_change():
    cache = PromptCache()
    served(cache, prompt("t a", 0, 1), 0)

    assert reason(cache, prompt("t b", 0, 1), 1).code == "complete"


def test_a_shorter_request_on_the_path_is_no_change():
    cache = PromptCache()
    served(cache, prompt("a b c", 2, lineage_id="one"), 0)

    assert reason(cache, prompt("a b", 1, lineage_id="one"), 1).code == "cold"


def test_a_model_change_within_a_lineage_is_named():
    cache, view = PromptCache(), prompt("a", 0, lineage_id="one")
    served(cache, view, 0)

    shortfall = reason(cache, replace(view, model="claude-sonnet-5-5"), 1)

    assert (shortfall.code, shortfall.other_model) == ("model_changed", "claude-opus-5-5")


def test_a_model_change_is_not_guessed_without_a_lineage():
    cache, view = PromptCache(), prompt("a", 0)
    served(cache, view, 0)

    assert reason(cache, replace(view, model="claude-sonnet-5-5"), 1).code == "cold"


def test_the_latest_path_of_a_lineage_decides():
    cache = PromptCache()
    served(cache, prompt("a b c", 2, lineage_id="one"), 0)
    served(cache, prompt("a b c d", 3, lineage_id="one"), 1.5)

    shortfall = reason(cache, prompt("a b X d", 3, lineage_id="one"), 3)

    assert (shortfall.block, shortfall.missed_tokens) == (2, 4_000)


def test_requests_without_marks_leave_no_path():
    cache = PromptCache()
    served(cache, prompt("a b", lineage_id="one"), 0)

    assert reason(cache, prompt("a c", 1, lineage_id="one"), 1).code == "cold"


def test_only_the_last_paths_are_remembered():
    cache = PromptCache(paths=2)
    for index, word in enumerate("xyz"):
        served(cache, prompt(f"{word} a", 1), 2 * index)

    forgotten = cache._paths.departure(prompt("x w", 1), None)

    assert (len(cache._paths), forgotten) == (2, None)
