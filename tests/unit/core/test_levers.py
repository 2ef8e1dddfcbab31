"""The lever table: who may apply what without being asked."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import pytest

from farthing.core.levers import LEVERS, PROFILES, Touch, find_lever, matching
from farthing.errors import ConfigError


def defaults(profile):
    return {id_ for id_, lever in LEVERS.items() if lever.is_default_in(profile)}


def test_safe_applies_what_is_exact_and_spends_nothing_of_its_own():
    assert defaults("safe") == {
        "cache.auto",
        "cache.marks",
        "cache.ttl",
        "cache.fanout",
    }


def test_each_profile_has_what_the_one_before_has():
    found = [defaults(profile) for profile in PROFILES]
    assert all(one <= other for one, other in pairwise(found))


def test_balanced_adds_the_equivalent_repairs():
    assert defaults("balanced") - defaults("safe") == set(matching("repair.*"))


def test_observe_plans_what_safe_applies():
    assert defaults("observe") == defaults("safe")


def test_no_profile_makes_calls_of_our_own_without_being_told():
    assert all("cache.keepalive" not in defaults(profile) for profile in PROFILES)


def test_no_profile_lets_an_answer_say_what_the_client_did_not_ask_for():
    assert all("cache.diagnostics" not in defaults(profile) for profile in PROFILES)


def test_what_a_lever_touches_is_one_of_the_known_things():
    assert {touch for lever in LEVERS.values() for touch in lever.touches} <= set(get_args(Touch))


def test_exact_levers_touch_no_content_and_the_others_only_content():
    content = {"tools", "system", "messages"}
    for lever in LEVERS.values():
        assert bool(lever.touches & content) is (lever.risk != "exact"), lever.id
        assert (lever.pinned == "content") is (lever.risk != "exact"), lever.id


def test_an_unknown_id_is_an_error_with_a_suggestion():
    with pytest.raises(ConfigError, match=r"policy\.toml names 'cache.tll'.*'cache.ttl'"):
        find_lever("cache.tll", where="policy.toml")
    with pytest.raises(ConfigError, match=r"there are cache\.auto"):
        find_lever("zzz", where="policy.toml")


def test_an_id_finds_its_lever():
    assert find_lever("cache.ttl", where="here").family == "cache"


@pytest.mark.parametrize(
    ("pattern", "count"), [("*", 9), ("cache.*", 6), ("cache.ttl", 1), ("cache", 0), ("x.*", 0)]
)
def test_a_pattern_names_a_lever_a_family_or_all(pattern, count):
    assert len(matching(pattern)) == count
