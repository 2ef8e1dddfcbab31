"""A virtual key as a value: its text, its digest, what it may."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from farthing.core.attribution import attribute
from farthing.core.keys import (
    KeySecret,
    VirtualKey,
    check_lever_patterns,
    check_model_patterns,
    check_name,
    digest_of,
    key_text,
    split_key,
)
from farthing.core.levers import LEVERS, matching
from farthing.core.policy import Policy, Rule
from farthing.errors import ConfigError

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRET = "A" * 43
KEY = VirtualKey(
    key_id="0123456789ab",
    name="ci",
    role="client",
    secrets=(KeySecret(salt=b"s" * 16, digest=digest_of(SECRET.encode(), b"s" * 16)),),
    created_at=NOON,
)


def test_the_text_of_a_key_is_read_back():
    text = key_text("0123456789ab", SECRET)

    assert text == f"sk-farthing-0123456789ab-{SECRET}"
    assert split_key(text) == ("0123456789ab", SECRET.encode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sk-ant-api03-abc",
        "sk-farthing-",
        f"sk-farthing-0123456789ab-{SECRET}A",
        f"sk-farthing-0123456789ab-{SECRET[1:]}",
        f"sk-farthing-0123456789AB-{SECRET}",
        f" sk-farthing-0123456789ab-{SECRET}",
        f"sk-farthing-0123456789ab-{SECRET}\n",
    ],
)
def test_what_is_no_virtual_key_is_not_split(text):
    assert split_key(text) is None


def test_a_digest_depends_on_secret_and_salt():
    assert len({digest_of(b"a", b"s"), digest_of(b"b", b"s"), digest_of(b"a", b"t")}) == 3


def test_a_repr_shows_neither_digest_nor_salt():
    shown = repr(KEY)

    assert "ci" in shown
    assert repr(KEY.secrets[0].digest) not in shown
    assert repr(KEY.secrets[0].salt) not in shown


@pytest.mark.parametrize(
    ("models", "model", "is_allowed"),
    [
        (None, "claude-opus-4-5", True),
        ((), "claude-opus-4-5", False),
        (("claude-opus-4-5",), "claude-opus-4-5", True),
        (("claude-opus-4",), "claude-opus-4-5", False),
        (("claude-opus-*", "claude-haiku-4-5"), "claude-opus-4-5", True),
        (("claude-opus-*", "claude-haiku-4-5"), "claude-haiku-4-5", True),
        (("claude-opus-*",), "claude-sonnet-5", False),
    ],
)
def test_a_model_is_allowed_exactly_or_by_a_star(models, model, is_allowed):
    assert replace(KEY, models=models).allows_model(model) is is_allowed


@pytest.mark.parametrize(
    ("levers", "ids"),
    [
        (None, None),
        ((), frozenset()),
        (("cache.ttl",), frozenset({"cache.ttl"})),
        (("cache.*", "repair.*"), matching("cache.*") | matching("repair.*")),
        (("*",), frozenset(LEVERS)),
    ],
)
def test_patterns_name_levers(levers, ids):
    assert replace(KEY, levers=levers).lever_ids == ids


@pytest.mark.parametrize(
    ("expires_at", "revoked_at", "state"),
    [
        (None, None, "active"),
        (NOON + timedelta(seconds=1), None, "active"),
        (NOON, None, "expired"),
        (None, NOON, "revoked"),
        (NOON, NOON, "revoked"),
    ],
)
def test_the_state_of_a_key(expires_at, revoked_at, state):
    assert replace(KEY, expires_at=expires_at, revoked_at=revoked_at).state_at(NOON) == state


@pytest.mark.parametrize("name", ["a", "ci-nightly", "0.b_c", "a" * 63])
def test_a_name_is_short_and_plain(name):
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "a" * 64, "CI", "-a", "a b", "a/b", "a\n", "0" * 32, "ü"])
def test_other_names_are_refused(name):
    with pytest.raises(ConfigError, match="a key cannot be called"):
        check_name(name)


def test_patterns_of_models_are_checked():
    assert check_model_patterns(["claude-haiku-*", "x"]) == ("claude-haiku-*", "x")
    with pytest.raises(ConfigError, match="no model"):
        check_model_patterns(["claude *"])


def test_patterns_of_levers_are_checked():
    assert check_lever_patterns(["cache.*"]) == ("cache.*",)
    with pytest.raises(ConfigError, match="names no lever"):
        check_lever_patterns(["cache.magic"])


# -- what follows from a key ----------------------------------------------------------------------


def test_neither_rules_nor_a_header_switch_on_what_a_key_does_not_allow():
    policy = Policy(
        everyone=Rule(profile="aggressive"),
        keys={"ci": Rule(clients_may_switch_on=True)},
    )
    allowed = matching("cache.*")
    free = policy.in_force(key="ci", header="+*").levers
    bound = policy.in_force(key="ci", header="+*", allowed=allowed).levers

    assert free - allowed
    assert bound == free & allowed != frozenset()
    assert policy.in_force(key="ci", header="+*", allowed=frozenset()).levers == frozenset()


def test_a_call_with_a_virtual_key_is_that_keys_whatever_its_headers_say():
    headers = {"x-farthing-key": "another", "x-api-key": "sk-ant-x"}
    found = attribute(headers, None, install_key=b"k" * 32, key_name="ci")

    assert found.key_scope == "ci"
