"""The policy that the settings say."""

from __future__ import annotations

import pytest

from farthing.compose.levers import load_policy
from farthing.config import Settings, parse_environment, parse_file, resolve
from farthing.errors import ConfigError


def test_the_defaults_are_the_profile_safe():
    found = load_policy(Settings()).in_force()
    assert found.profile == "safe"
    assert "cache.ttl" in found.levers


def test_three_settings_make_a_policy():
    layer = parse_environment(
        {
            "FARTHING_PROFILE": "balanced",
            "FARTHING_LEVERS_ON": "cache.keepalive",
            "FARTHING_LEVERS_OFF": "cache.ttl, repair.*",
        }
    )
    found = load_policy(resolve(layer).settings).in_force()
    assert found.profile == "balanced"
    assert "cache.keepalive" in found.levers
    assert found.levers.isdisjoint({"cache.ttl", "repair.tools_order"})


def test_a_file_has_rules_for_keys(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text('[keys.nightly]\nprofile = "observe"\n')
    policy = load_policy(resolve(parse_file(f'levers.policy = "{path}"'.encode(), "f")).settings)
    assert not policy.in_force(key="nightly").is_applied
    assert policy.in_force().is_applied


def test_a_file_that_is_not_there_stops_the_start(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the policy .*nowhere\.toml"):
        load_policy(Settings(policy=str(tmp_path / "nowhere.toml")))


def test_a_lever_that_does_not_exist_stops_the_start():
    with pytest.raises(ConfigError, match=r"levers names 'cache\.tll'"):
        load_policy(Settings(levers_off=("cache.tll",)))
