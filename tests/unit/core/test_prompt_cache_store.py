from __future__ import annotations

from random import Random

import pytest

from farthing.core.prompt_cache import PromptCache
from farthing.core.prompt_cache_store import EntryStore, written
from tests.unit.core.prompts import at, prompt, served


def put(store, word, seconds, *, scope="workspace", ttl="5m"):
    view = prompt(word, (0, ttl), scope=scope)
    store.put(view, 0, written(view, 0, ttl, at(seconds)), now=at(seconds))


def holds(store, word, scope="workspace"):
    view = prompt(word, 0, scope=scope)
    return view.digests[0] in store.shelf(view).entries


def test_up_to_the_cap_nothing_is_forgotten():
    store = EntryStore(capacity=4)
    for index, word in enumerate("abcd"):
        put(store, word, index)

    assert len(store) == 4
    assert all(holds(store, word) for word in "abcd")


def test_beyond_the_cap_the_least_recently_touched_go():
    store = EntryStore(capacity=4)
    for index, word in enumerate("abcde"):
        put(store, word, index)

    assert len(store) == 3
    assert [word for word in "abcde" if holds(store, word)] == ["c", "d", "e"]


def test_the_dead_go_before_the_living():
    store = EntryStore(capacity=4)
    put(store, "a", 0, ttl="1h")
    for index, word in enumerate("bcd"):
        put(store, word, 1 + index)
    put(store, "e", 1_000)

    assert [word for word in "abcde" if holds(store, word)] == ["a", "d", "e"]


def test_a_shelf_without_entries_is_not_kept():
    store = EntryStore(capacity=4)
    put(store, "a", 0, scope="one")
    put(store, "b", 0, scope="one")
    view = prompt("a", 0, scope="one")
    store.drop(view, 0)
    store.drop(view, 0)
    kept = store.shelf_count
    store.drop(prompt("b", 0, scope="one"), 0)

    assert (kept, store.shelf_count, len(store)) == (1, 0, 0)


def test_many_scopes_share_one_cap():
    store = EntryStore(capacity=8)
    for index in range(100):
        put(store, "a", index, scope=f"scope {index}")

    assert len(store) <= 8
    assert store.shelf_count <= 8


def test_a_measured_length_survives_a_new_write():
    store, view = EntryStore(capacity=4), prompt("a", 0)
    put(store, "a", 0)
    store.shelf(view).entries[view.digests[0]].measure(1_234)
    put(store, "a", 400)

    assert store.shelf(view).entries[view.digests[0]].tokens == 1_234


def held_after(prefixes: int) -> tuple[int, int, int]:
    """What is kept after so many random prefixes, four to a conversation: entries, paths, rates."""
    cache, chance = PromptCache(entries=2_000, paths=16), Random(7)
    for index in range(prefixes // 4):
        words = [chance.randbytes(8).hex() for _ in range(4)]
        served(cache, prompt(words, 0, 1, 2, 3), index)
    return len(cache), len(cache._paths), len(cache.survival)


def test_memory_is_bounded_under_forty_thousand_random_prefixes():
    entries, paths, rates = held_after(40_000)

    assert 1_500 <= entries <= 2_000
    assert (paths <= 16, rates <= 1_024) == (True, True)


@pytest.mark.long
def test_memory_is_bounded_under_a_million_random_prefixes():
    entries, paths, rates = held_after(1_000_000)

    assert 1_500 <= entries <= 2_000
    assert (paths <= 16, rates <= 1_024) == (True, True)


def test_memory_is_bounded_under_conversations_of_many_blocks():
    cache = PromptCache(entries=200, paths=16)
    for index in range(500):
        words = [f"{index}.{block}" for block in range(100)]
        served(cache, prompt(words, 24, 49, 74, 99), index)

    assert len(cache) <= 200
    assert len(cache._paths) <= 16


def test_an_entry_written_again_while_it_lives_stays_readable():
    store = EntryStore(capacity=4)
    view = prompt("a", (0, "1h"))
    first = written(view, 0, "1h", at(0))
    first.publish(at(2))
    store.put(view, 0, first, now=at(0))
    put(store, "a", 3, ttl="5m")

    entry = store.shelf(view).entries[view.digests[0]]
    assert entry.is_readable(at(4))
    assert (entry.ttl, entry.touched_at) == ("1h", at(3))


def test_an_entry_written_again_after_its_end_is_new():
    store = EntryStore(capacity=4)
    view = prompt("a", (0, "5m"))
    first = written(view, 0, "5m", at(0))
    first.publish(at(2))
    store.put(view, 0, first, now=at(0))
    put(store, "a", 301)

    assert not store.shelf(view).entries[view.digests[0]].is_readable(at(302))
