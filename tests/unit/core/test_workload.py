from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.workload import CACHE_POLICIES, CachePolicy, Workload, simulate
from farthing.wire.usage import Usage


def turns(policy: CachePolicy, minimum: int = 1024, **shape: object) -> list[Usage]:
    workload = Workload(**{"prefix_tokens": 4000, "turns": 4} | shape)  # type: ignore[arg-type]
    return list(simulate(workload, policy, model="m", min_cacheable_tokens=minimum))


def splits(usages: list[Usage]) -> list[tuple[int, int, int, int]]:
    return [(u.uncached, u.cache_write_5m, u.cache_write_1h, u.cache_read) for u in usages]


def test_without_marks_everything_is_sent_plain():
    assert splits(turns("none", grow_tokens=500)) == [
        (4000, 0, 0, 0),
        (4500, 0, 0, 0),
        (5000, 0, 0, 0),
        (5500, 0, 0, 0),
    ]


def test_a_mark_on_the_prefix_leaves_the_history_plain():
    assert splits(turns("prefix_5m", grow_tokens=500)) == [
        (0, 4000, 0, 0),
        (500, 0, 0, 4000),
        (1000, 0, 0, 4000),
        (1500, 0, 0, 4000),
    ]


def test_a_rolling_mark_writes_only_what_a_turn_adds():
    assert splits(turns("rolling_1h", grow_tokens=500)) == [
        (0, 0, 4000, 0),
        (0, 0, 500, 4000),
        (0, 0, 500, 4500),
        (0, 0, 500, 5000),
    ]


@pytest.mark.parametrize(("seconds", "reads"), [(299, True), (300, False)])
def test_a_gap_of_the_lifetime_loses_the_entry(seconds: int, reads: bool):
    usages = turns("rolling_5m", gap=timedelta(seconds=seconds))

    assert [usage.cache_read > 0 for usage in usages] == [False, reads, reads, reads]


@pytest.mark.parametrize(("prefix", "cached"), [(1023, False), (1024, True)])
def test_a_prefix_below_the_minimum_is_never_cached(prefix: int, cached: bool):
    assert any(u.cache_read for u in turns("rolling_5m", prefix_tokens=prefix)) == cached


def test_output_is_counted_on_every_turn():
    assert [usage.output for usage in turns("none", output_tokens=200)] == [200] * 4


@given(
    st.sampled_from(CACHE_POLICIES),
    st.integers(1, 5000),
    st.integers(1, 60),
    st.integers(0, 900),
    st.integers(0, 4000),
)
def test_every_token_of_every_prompt_is_billed_once(
    policy: CachePolicy, prefix: int, count: int, grow: int, gap: int
):
    usages = turns(
        policy,
        prefix_tokens=prefix,
        turns=count,
        grow_tokens=grow,
        gap=timedelta(seconds=gap),
    )

    assert [usage.prompt for usage in usages] == [prefix + index * grow for index in range(count)]
