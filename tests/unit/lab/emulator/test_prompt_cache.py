"""The provider's prompt cache as documented: API facts, sections 2.2 to 2.4."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.lab.emulator.prompt_cache import Accounting, Chain, PromptCache

SCOPE = "org/workspace"


def chain(sizes: list[int], marks: dict[int, str], *, minimum: int = 0, story: str = "a") -> Chain:
    """Blocks of given sizes; the same story has the same keys."""
    totals = [sum(sizes[: n + 1]) for n in range(len(sizes))]
    return Chain(
        keys=tuple(f"{story}{n}".encode() for n in range(len(sizes))),
        tokens=tuple(totals),
        breakpoints=tuple(sorted(marks.items())),
        minimum=minimum,
    )


def run(cache: PromptCache, prompt: Chain, now: float, *, takes: float = 0) -> Accounting:
    accounting = cache.account(prompt, SCOPE, now)
    cache.commit(prompt, SCOPE, accounting, now, now + takes)
    return accounting


def figures(accounting: Accounting) -> tuple[int, int, int, int]:
    return (accounting.read, accounting.write_1h, accounting.write_5m, accounting.uncached)


def test_the_documented_ttl_mix_is_billed_as_documented() -> None:
    cache = PromptCache()
    first = chain([10_000, 20_000, 1_000], {0: "1h", 1: "5m"})
    second = chain([10_000, 20_000, 4_000, 500], {0: "1h", 2: "5m"})
    third = chain([10_000, 20_000, 8_000, 500], {0: "1h", 2: "5m"})
    assert figures(run(cache, first, 0)) == (0, 10_000, 20_000, 1_000)
    assert figures(run(cache, second, 60)) == (30_000, 0, 4_000, 500)
    assert figures(run(cache, third, 660)) == (10_000, 0, 28_000, 500)


@pytest.mark.parametrize(("age", "read"), [(299.999, 100), (300, 0)])
def test_a_five_minute_entry_lives_less_than_300_seconds(age: float, read: int) -> None:
    cache = PromptCache()
    run(cache, chain([100], {0: "5m"}), 0)
    assert cache.account(chain([100], {0: "5m"}), SCOPE, age).read == read


@pytest.mark.parametrize(("age", "read"), [(3_599.999, 100), (3_600, 0)])
def test_a_one_hour_entry_lives_less_than_3600_seconds(age: float, read: int) -> None:
    cache = PromptCache()
    run(cache, chain([100], {0: "1h"}), 0)
    assert cache.account(chain([100], {0: "1h"}), SCOPE, age).read == read


def test_the_ttl_runs_from_the_start_of_the_request_not_from_its_end() -> None:
    cache = PromptCache()
    run(cache, chain([100], {0: "5m"}), 0, takes=240)
    assert cache.account(chain([100], {0: "5m"}), SCOPE, 299).read == 100
    assert cache.account(chain([100], {0: "5m"}), SCOPE, 301).read == 0


def test_a_read_renews_an_entry_for_its_own_ttl() -> None:
    cache = PromptCache()
    run(cache, chain([100], {0: "5m"}), 0)
    run(cache, chain([100], {0: "5m"}), 200)
    assert cache.account(chain([100], {0: "5m"}), SCOPE, 499).read == 100


def test_reading_a_longer_prefix_keeps_the_shorter_one_warm() -> None:
    cache = PromptCache()
    run(cache, chain([100], {0: "5m"}), 0)
    longer = chain([100, 50], {1: "5m"})
    run(cache, longer, 10)
    run(cache, longer, 290)
    assert cache.account(chain([100], {0: "5m"}), SCOPE, 500).read == 100


def test_an_entry_is_usable_only_after_the_first_byte_of_its_response() -> None:
    cache = PromptCache()
    prompt = chain([100], {0: "5m"})
    run(cache, prompt, 0, takes=3)
    assert cache.account(prompt, SCOPE, 2.9).read == 0
    assert cache.account(prompt, SCOPE, 3).read == 100


def test_parallel_identical_requests_each_pay_the_write() -> None:
    cache = PromptCache()
    prompt = chain([100], {0: "5m"})
    assert [run(cache, prompt, 0, takes=3).write_5m for _ in range(3)] == [100, 100, 100]


@pytest.mark.parametrize(("added", "read"), [(19, 10), (20, 0)])
def test_the_lookback_covers_20_positions_with_the_breakpoint(added: int, read: int) -> None:
    cache = PromptCache()
    run(cache, chain([10], {0: "5m"}), 0)
    later = chain([10] + [1] * added, {added: "5m"})
    assert cache.account(later, SCOPE, 1).read == read


def test_an_extra_breakpoint_opens_a_window_of_its_own() -> None:
    cache = PromptCache()
    run(cache, chain([1] * 16, {15: "5m"}), 0)
    assert cache.account(chain([1] * 36, {35: "5m"}), SCOPE, 1).read == 0
    assert cache.account(chain([1] * 36, {15: "5m", 35: "5m"}), SCOPE, 1).read == 16


def test_only_breakpoints_write() -> None:
    cache = PromptCache()
    run(cache, chain([100, 10], {1: "5m"}), 0)
    other_tail = Chain(
        keys=(b"a0", b"other"), tokens=(100, 110), breakpoints=((1, "5m"),), minimum=0
    )
    assert cache.account(other_tail, SCOPE, 1).read == 0


@pytest.mark.parametrize(("size", "written"), [(512, 512), (511, 0)])
def test_a_prefix_below_the_minimum_is_silently_not_cached(size: int, written: int) -> None:
    prompt = chain([size], {0: "5m"}, minimum=512)
    accounting = PromptCache().account(prompt, SCOPE, 0)
    assert (accounting.write_5m, accounting.uncached) == (written, size - written)


def test_a_shorter_breakpoint_below_the_minimum_does_not_hide_a_longer_one() -> None:
    prompt = chain([100, 900], {0: "1h", 1: "5m"}, minimum=512)
    assert figures(PromptCache().account(prompt, SCOPE, 0)) == (0, 0, 1_000, 0)


def test_another_scope_reads_nothing() -> None:
    cache = PromptCache()
    run(cache, chain([100], {0: "5m"}), 0)
    assert cache.account(chain([100], {0: "5m"}), "org/other", 1).read == 0


def test_a_cold_request_reads_nothing_and_writes_again() -> None:
    cache = PromptCache()
    run(cache, chain([100], {0: "5m"}), 0)
    assert cache.account(chain([100], {0: "5m"}), SCOPE, 1, cold=True).write_5m == 100


@pytest.mark.parametrize(("age", "read"), [(314.999, 100), (315, 0)])
def test_deletion_may_lag_behind_the_lifetime(age: float, read: int) -> None:
    cache = PromptCache(lag_ratio=0.05)
    run(cache, chain([100], {0: "5m"}), 0)
    assert cache.account(chain([100], {0: "5m"}), SCOPE, age).read == read


def test_expired_entries_are_swept() -> None:
    cache = PromptCache()
    for n in range(4096):
        run(cache, chain([100], {0: "5m"}, story=str(n)), n)
    assert len(cache) < 310


def test_an_answer_that_begins_earlier_makes_the_entry_usable_earlier() -> None:
    cache = PromptCache()
    prompt = chain([100], {0: "5m"})
    run(cache, prompt, 0, takes=9)
    run(cache, prompt, 1, takes=2)
    assert cache.account(prompt, SCOPE, 3).read == 100


def test_clearing_forgets_everything() -> None:
    cache = PromptCache()
    run(cache, chain([100], {0: "5m"}), 0)
    cache.clear()
    assert cache.account(chain([100], {0: "5m"}), SCOPE, 1).read == 0


def test_accounting_alone_changes_nothing() -> None:
    cache = PromptCache()
    cache.account(chain([100], {0: "5m"}), SCOPE, 0)
    assert len(cache) == 0


marks = st.dictionaries(st.integers(0, 30), st.sampled_from(["5m", "1h"]), max_size=4)


@given(
    sizes=st.lists(st.integers(0, 500), min_size=31, max_size=31),
    turns=st.lists(st.tuples(marks, st.floats(0, 1_000)), max_size=8),
)
def test_the_parts_always_add_up_to_the_prompt(
    sizes: list[int], turns: list[tuple[dict[int, str], float]]
) -> None:
    cache, now = PromptCache(), 0.0
    for placed, gap in turns:
        now += gap
        prompt = chain(sizes, placed, minimum=100)
        accounting = run(cache, prompt, now)
        assert accounting.total == sum(sizes)
        assert min(figures(accounting)) >= 0
