from __future__ import annotations

from collections import Counter

import pytest

from farthing.errors import ConfigError
from farthing.lab.replay import POLICIES, find_policy, read_turns, simulate
from tests.unit.lab.replay.recorded import conversation, usage


def billed(talk, policy: str, **options):
    return [
        (one.usage.uncached, one.usage.cache_read, one.usage.cache_write_5m)
        for one in simulate(read_turns([talk], **options), find_policy(policy))
    ]


TALK = conversation((0, usage(0, 9000)), (60, usage(9000, 700)), (90, usage(9700, 300)))


def test_without_the_prompt_cache_every_token_is_paid_in_full():
    assert billed(TALK, "no-cache") == [(9000, 0, 0), (9700, 0, 0), (10_000, 0, 0)]


def test_the_automatic_mode_reads_what_the_turn_before_has_written():
    assert billed(TALK, "auto-cache") == [(0, 0, 9000), (0, 9000, 700), (0, 9700, 300)]


def test_as_recorded_is_billed_as_it_was():
    assert billed(TALK, "as-recorded") == [(0, 0, 9000), (0, 9000, 700), (0, 9700, 300)]


@pytest.mark.parametrize(("at", "read"), [(299.999, 9000), (300, 0)])
def test_an_entry_is_read_only_while_its_age_is_below_its_lifetime(at, read):
    talk = conversation((0, usage(0, 9000)), (at, usage(9000, 700)))

    assert billed(talk, "auto-cache")[1][1] == read


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_no_policy_changes_the_size_of_a_prompt(policy):
    assert [sum(parts) for parts in billed(TALK, policy)] == [9000, 9700, 10_000]


def test_an_injected_break_costs_every_caching_policy_the_same():
    broken = conversation((0, usage(0, 9000)), (60, usage(0, 9700)))

    assert billed(broken, "as-recorded") == billed(broken, "auto-cache")
    assert billed(broken, "auto-cache")[1] == (0, 0, 9700)
    assert billed(broken, "auto-cache", breaks="remove")[1] == (0, 9000, 700)


def causes(*talks, policy="auto-cache", **options):
    return Counter(one.cause for one in simulate(read_turns(talks, **options), find_policy(policy)))


def test_misses_are_told_apart_by_cause():
    talk = conversation(
        (0, usage(0, 9000)), (60, usage(0, 9700)), (90, usage(9700, 300)), (900, usage(0, 10_500))
    )

    assert causes(talk) == {"first call": 1, "recorded break": 1, None: 1, "expired": 1}


def test_parallel_first_calls_do_not_share_what_is_still_being_written():
    talks = [
        conversation((0, usage(0, 9000)), name=name, markers=["system.-1"]) for name in ("a", "b")
    ]

    assert causes(*talks, policy="as-recorded") == {"first call": 1, "in flight": 1}


def test_a_prompt_below_the_minimum_of_its_model_is_not_cached():
    assert billed(conversation((0, usage(0, 4095))), "auto-cache") == [(4095, 0, 0)]
    assert billed(conversation((0, usage(0, 4096))), "auto-cache") == [(0, 0, 4096)]


def test_an_unknown_policy_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"'best'.*as-recorded, no-cache, auto-cache"):
        find_policy("best")
