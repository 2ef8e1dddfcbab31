"""The bound for whole workloads: against every joint choice, and against policies."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from farthing.core.prefix import Mark
from farthing.lab.optimum import Share, optimum
from farthing.lab.optimum.lifetimes import Toll
from farthing.lab.replay import POLICIES, Sending, Turn, find_policy, read_turns
from farthing.traces.importing import Import, import_paths
from tests.unit.lab.optimum.joint import least_joint_bill
from tests.unit.lab.optimum.presented import PRICES, input_bill, turn
from tests.unit.lab.replay.recorded import conversation, usage

TOLL = Toll(uncached=5_000_000, write_5m=6_250_000, write_1h=10_000_000, read=500_000, ping=500_000)
MINIMUM = 4096
#: policies that ask for one lifetime in a conversation, so that nothing can be upgraded
ONE_LIFETIME = ["as-recorded", "no-cache", "auto-cache"]
FIGURES = [part.name for part in fields(Share)]

GAPS = st.sampled_from([0.1, 1, 4, 4.99, 5, 7, 30, 55, 70, 200])
PATHS = ["a", "ab", "abc", "ad", "ade", "abf"]
SIZES = st.fixed_dictionaries({letter: st.integers(1, 9000) for letter in "abcdef"})


@st.composite
def workloads(draw: st.DrawFn, *, most: int = 4) -> list[Turn]:
    sizes, minute, turns = draw(SIZES), 0.0, []
    for _ in range(draw(st.integers(1, most))):
        path = draw(st.sampled_from(PATHS))
        turns.append(turn(minute, path, sizes, name=path[-1]))
        minute += draw(GAPS)
    return turns


@given(workloads())
@settings(max_examples=40)
def test_no_joint_choice_of_marks_is_cheaper_than_the_bound(turns):
    least = least_joint_bill(turns, TOLL, minimum=MINIMUM)

    assert optimum(turns, PRICES).without_pings_pico <= least


def test_the_bound_is_reached_on_forty_small_workloads():
    """Tight is what makes it worth comparing with; nobody has proved that it always is."""
    for seed in range(40):
        turns = _chosen(seed)
        least = least_joint_bill(turns, TOLL, minimum=MINIMUM)

        assert optimum(turns, PRICES).without_pings_pico == least


def _chosen(seed: int) -> list[Turn]:
    sizes = {letter: 4096 + 977 * (seed + at) % 9000 for at, letter in enumerate("abcdef")}
    gaps = [1.0, 4, 7, 30, 55, 70, 200]
    minute, turns = 0.0, []
    for step in range(4):
        draw = (seed * 7919 + step * 104_729 + seed * step * 31) % 1009
        turns.append(turn(minute, PATHS[draw % len(PATHS)], sizes))
        minute += gaps[draw // 7 % len(gaps)]
    return turns


@given(workloads())
@settings(max_examples=40)
def test_with_upgrades_no_joint_choice_is_cheaper_either(turns):
    least = least_joint_bill(turns, TOLL, minimum=MINIMUM, upgrades=True)

    assert optimum(turns, PRICES).upgraded_pico <= least


@given(workloads(most=8))
def test_the_figures_are_in_order_and_shares_add_up(turns):
    found = optimum(turns, PRICES)

    assert found.floor_pico <= found.with_pings_pico <= found.without_pings_pico
    assert found.floor_pico <= found.upgraded_pico <= found.without_pings_pico
    for name in FIGURES:
        shares = [getattr(share, name) for share in found.by_conversation.values()]
        assert sum(shares) == getattr(found, name)
        assert min(shares) >= 0


@given(workloads(most=8))
def test_one_more_request_never_costs_less_and_order_does_not_matter(turns):
    more, fewer = optimum(turns, PRICES), optimum(turns[:-1], PRICES)

    assert optimum(turns[::-1], PRICES) == more
    for name in FIGURES:
        assert getattr(fewer, name) <= getattr(more, name)


class Drawn:
    """Marks somebody else chose, one list a turn."""

    name = "drawn"

    def __init__(self, marks: list[tuple[Mark, ...]]) -> None:
        self._marks = iter(marks)

    def plan(self, turn: Turn) -> Sending:
        return Sending(marks=next(self._marks))


@given(st.data(), workloads(most=8), st.sampled_from(["5m", "1h", "both"]))
def test_no_marks_are_billed_below_the_bound_by_the_model_of_the_prompt_cache(data, turns, ttls):
    marks = [
        tuple(
            Mark(index=at, ttl=data.draw(st.sampled_from(["5m", "1h"])) if ttls == "both" else ttls)
            for at in sorted(data.draw(st.sets(st.integers(0, len(one.digests) - 1), max_size=4)))
        )
        for one in turns
    ]
    found = optimum(turns, PRICES)
    bill = input_bill(turns, Drawn(marks))

    assert bill >= found.upgraded_pico
    assert ttls == "both" or bill >= found.without_pings_pico


@given(
    st.lists(st.tuples(GAPS, st.integers(50, 5000)), min_size=1, max_size=6),
    st.lists(st.tuples(GAPS, st.integers(50, 5000)), min_size=1, max_size=6),
)
@settings(max_examples=40)
@example(first=[(1, 50)] * 4, second=[(70, 50)] * 4)
def test_no_policy_of_the_replay_is_below_the_bound(first, second):
    turns = read_turns([_talk(first, "one"), _talk(second, "two")])
    found = optimum(turns, PRICES)

    for name in POLICIES:
        bill = input_bill(turns, find_policy(name))
        assert bill >= found.upgraded_pico
        assert name not in ONE_LIFETIME or bill >= found.without_pings_pico


def _recorded(path):
    return read_turns(import_paths([path], Import()))


def _talk(steps, name):
    at, size, calls = 0.0, 9000, []
    for gap, growth in steps:
        calls.append((at, usage(0, size)))
        at, size = at + gap * 60, size + growth
    return conversation(*calls, name=name)


def test_a_growing_conversation_without_pauses_pays_each_token_once_and_reads():
    sizes = dict.fromkeys("abcde", 5000)
    turns = [turn(at, "abcde"[: at + 1], sizes) for at in range(5)]

    # five segments: written by their first request but for the last, read by every later one
    assert optimum(turns, PRICES).without_pings_pico == (
        4 * 5000 * TOLL.write_5m + 5000 * TOLL.uncached + 10 * 5000 * TOLL.read
    )


def test_what_two_conversations_share_is_paid_once():
    sizes = {"a": 9000, "b": 100, "c": 100}
    both = [turn(0, "ab", sizes, name="b"), turn(1, "ac", sizes, name="c")]
    found = optimum(both, PRICES)

    assert found.by_conversation["b"].without_pings_pico == (
        9000 * TOLL.write_5m + 100 * TOLL.uncached
    )
    assert found.by_conversation["c"].without_pings_pico == 9000 * TOLL.read + 100 * TOLL.uncached


@pytest.mark.parametrize("change", [{"scope": "them"}, {"model": "claude-opus-4-6"}])
def test_nothing_is_shared_between_scopes_or_models(change):
    alone = optimum([turn(0, "a", {"a": 9000})], PRICES)
    apart = [turn(0, "a", {"a": 9000}), turn(1, "a", {"a": 9000}, **change)]

    assert optimum(apart, PRICES).without_pings_pico == 2 * alone.without_pings_pico


@pytest.mark.parametrize(("tokens", "times"), [(4095, 2 * 5_000_000), (4096, 6_750_000)])
def test_a_prompt_below_the_minimum_is_paid_in_full(tokens, times):
    turns = [turn(at, "a", {"a": tokens}) for at in (0, 1)]

    assert optimum(turns, PRICES).without_pings_pico == tokens * times


@pytest.mark.parametrize(("shared", "is_read"), [(4095, False), (4096, True)])
def test_a_shared_beginning_below_the_minimum_is_not_shared(shared, is_read):
    sizes = {"a": shared, "b": 5000, "c": 5000}
    turns = [turn(0, "ab", sizes, name="b"), turn(1, "ac", sizes, name="c")]
    second = optimum(turns, PRICES).by_conversation["c"].without_pings_pico

    assert second == 5000 * TOLL.uncached + shared * (TOLL.read if is_read else TOLL.uncached)


def test_a_prompt_below_the_minimum_keeps_nothing_warm():
    sizes = {"a": 2000, "b": 9000}
    turns = [turn(minute, path, sizes) for minute, path in ((0, "ab"), (4, "a"), (8, "ab"))]

    assert (
        optimum(turns, PRICES).without_pings_pico == 2 * 11_000 * TOLL.uncached + 2000 * 5 * 10**6
    )


def test_writing_ahead_in_a_cheaper_band_is_open_to_pings_only():
    """Haiku 5.5 asks five times as much for each token of a prompt above 100,000."""
    turns = [turn(at, "a", {"a": 100_001}, model="claude-haiku-5-5") for at in (0, 1)]
    found = optimum(turns, PRICES)

    assert found.without_pings_pico > found.with_pings_pico
    assert found.with_pings_pico >= found.floor_pico


def test_models_without_a_price_count_for_nothing():
    turns = [turn(0, "a", {"a": 9000}, model="gemini-3-pro")]

    assert optimum(turns, PRICES).by_conversation == {}
    assert optimum(turns, PRICES).with_pings_pico == 0


@pytest.mark.parametrize(
    "trace", [pytest.param("claude-code-main", marks=pytest.mark.long), "claude-code-subagents"]
)
def test_no_policy_is_below_the_bound_on_recorded_conversations(trace, data_dir):
    turns = _recorded(data_dir / f"traces/{trace}.jsonl.gz")
    found = optimum(turns, PRICES)

    for name in POLICIES:
        bill = input_bill(turns, find_policy(name))
        assert bill >= found.upgraded_pico
        assert name not in ONE_LIFETIME or bill >= found.without_pings_pico
    bounds = [found.floor_pico, found.with_pings_pico, found.without_pings_pico]
    assert all(lower < higher for lower, higher in pairwise(bounds))
