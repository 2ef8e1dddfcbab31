"""Which levers are in force: profiles, switches, and who overrides whom."""

from __future__ import annotations

import pytest

from farthing.core.levers import LEVERS
from farthing.core.policy import InForce, Policy, parse_policy, policy_of
from farthing.errors import ConfigError

FILE = b"""
version = "7"
profile = "safe"
on = ["repair.tools_order"]
off = ["cache.fanout"]

[task_types.research]
profile = "balanced"
off = ["repair.schema_keys"]
on = ["cache.fanout"]

[keys.nightly]
profile = "aggressive"
off = ["cache.ttl"]
on = ["repair.schema_keys"]
clients_may_switch_on = true

[keys.watcher]
profile = "observe"
"""


def policy(raw: bytes = FILE, **more: Policy) -> Policy:
    return parse_policy(raw, "policy.toml", **more)


def test_without_a_word_the_profile_is_safe():
    found = Policy().in_force()
    assert found.profile == "safe"
    assert found.is_applied
    assert found.levers == {id_ for id_ in LEVERS if LEVERS[id_].is_default_in("safe")}


def test_a_named_repair_joins_the_exact_levers():
    found = policy().in_force()
    assert "repair.tools_order" in found.levers
    assert "repair.schema_keys" not in found.levers
    assert "cache.fanout" not in found.levers


def test_a_task_type_overrides_the_file():
    found = policy().in_force(task_type="research")
    assert found.profile == "balanced"
    assert "cache.fanout" in found.levers
    assert "repair.schema_keys" not in found.levers


def test_a_key_overrides_the_task_type():
    found = policy().in_force(key="nightly", task_type="research")
    assert found.profile == "aggressive"
    assert "repair.schema_keys" in found.levers
    assert "cache.ttl" not in found.levers


def test_a_request_overrides_the_key():
    found = policy().in_force(key="nightly", header="+cache.ttl, -repair.*")
    assert "cache.ttl" in found.levers
    assert not any(id_.startswith("repair.") for id_ in found.levers)
    assert found.notes == ()


def test_a_later_item_of_a_header_wins():
    assert policy().in_force(key="nightly", header="-*,cache.auto").levers == {"cache.auto"}


def test_a_header_may_always_switch_off():
    assert policy().in_force(header="-*").levers == frozenset()


def test_a_header_switches_on_only_where_its_key_allows():
    found = policy().in_force(header="+cache.fanout,+cache.auto")
    assert "cache.fanout" not in found.levers
    assert found.notes == ("not_allowed:cache.fanout",)


def test_what_a_header_says_wrongly_changes_nothing_and_is_noted():
    plain = policy().in_force()
    found = policy().in_force(header="-cache.tll, Rm -rf /, ,")
    assert found == InForce(
        profile=plain.profile, levers=plain.levers, notes=("unknown:cache.tll", "unreadable")
    )


def test_observe_plans_and_does_not_apply():
    found = policy().in_force(key="watcher")
    assert not found.is_applied
    assert "cache.marks" in found.levers


def test_settings_give_the_rule_for_everyone_and_a_file_comes_over_it():
    base = policy_of("balanced", on=["cache.keepalive"], off=["cache.fanout", "repair.*"])
    found = policy(b'on = ["cache.fanout"]\noff = ["cache.keepalive"]', base=base).in_force()
    assert found.profile == "balanced"
    assert "cache.fanout" in found.levers
    assert "cache.keepalive" not in found.levers
    assert not any(id_.startswith("repair.") for id_ in found.levers)


def test_the_digest_tells_rules_apart_and_not_their_spelling():
    same = policy(FILE.replace(b'on = ["repair.tools_order"]', b"on = ['repair.tools_order']"))
    assert same.digest == policy().digest
    assert len({policy().digest, Policy().digest, policy_of("balanced").digest}) == 3
    assert policy(FILE.replace(b'"7"', b'"8"')).digest != policy().digest


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"profile = ", "is not TOML"),
        (b"\xff", "is not TOML"),
        (b"version = 7", "version is 7"),
        (b'profile = "brave"', "profile is 'brave'; it takes one of observe, safe"),
        (b'on = ["cache.tll"]', "did you mean 'cache.ttl'"),
        (b'on = "cache.ttl"', "lists of lever ids"),
        (b"on = [1]", "lists of lever ids"),
        (b'on = ["cache.*"]\noff = ["cache.ttl"]', "'cache.ttl' both on and off"),
        (b"keys = 1", r"keys takes tables, such as \[keys.nightly\]"),
        (b"[keys]\nnightly = 1", "keys takes tables"),
        (b'[keys.a]\nlevers = "x"', r"\[keys.a\] says 'levers'"),
        (b"[keys.a]\nclients_may_switch_on = 1", "it takes true or false"),
        (b"clients_may_switch_on = true", "says 'clients_may_switch_on'"),
        (b"[task_types.a]\nclients_may_switch_on = true", "says 'clients_may_switch_on'"),
    ],
)
def test_a_file_that_says_something_wrong_is_refused_by_name(raw, message):
    with pytest.raises(ConfigError, match=message):
        policy(raw)


def test_settings_that_name_no_profile_are_refused():
    with pytest.raises(ConfigError, match="levers: profile is 'bold'"):
        policy_of("bold")
