"""Lineage pins: what may change when, and what a lost pin means."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime

import pytest

from farthing.core.pins import (
    MAY_CHANGE,
    LineagePin,
    PinDecision,
    RepairChoice,
    check_successor,
    decide,
    is_first_request,
    occasion_of,
)
from farthing.errors import EngineBug, LedgerError
from farthing.pricing import traits
from farthing.wire.request import Request

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
PIN = LineagePin(
    lineage_id="L1",
    ttl_head="1h",
    ttl_tail="5m",
    repairs=(RepairChoice(lever="repair.volatile_system", place="head"),),
    policy_digest="p1",
    engine_version="1",
    chosen_at=NOON,
)
OTHER = replace(
    PIN,
    ttl_tail="1h",
    pings=2,
    repairs=(),
    policy_digest="p2",
    engine_version="2",
    chosen_at=NOON.replace(hour=13),
)


def request(*roles: str, thinking: bool = False) -> Request:
    thought = [{"type": "thinking", "thinking": "", "signature": "s"}]
    said = [{"type": "text", "text": "x"}]
    messages = [
        {"role": role, "content": [*(thought if thinking and role == "assistant" else []), *said]}
        for role in roles
    ]
    return Request.parse(json.dumps({"model": "m", "messages": messages}).encode())


def test_every_field_has_a_rule():
    assert set(MAY_CHANGE) == {field.name for field in fields(LineagePin)}


def test_a_pin_is_kept_as_json_and_comes_back():
    assert LineagePin.parse(PIN.dump()) == PIN
    with pytest.raises(LedgerError, match="a lineage pin cannot be read"):
        LineagePin.parse(b"{}")


def test_the_first_request_takes_what_is_proposed():
    assert decide(None, PIN, "first") == PinDecision(pin=PIN, is_new=True)


@pytest.mark.parametrize("occasion", ["warm", "first"])
def test_in_mid_conversation_no_policy_table_or_version_reaches_a_lineage(occasion):
    assert decide(PIN, OTHER, occasion) == PinDecision(pin=PIN, is_new=False)


def test_a_lost_pin_leaves_the_content_as_the_client_sends_it_and_is_replaced():
    found = decide(None, replace(PIN, epoch=7), "warm")
    assert found.is_lost
    assert found.is_new
    assert found.pin == replace(PIN, repairs=(), epoch=0)


@pytest.mark.parametrize("occasion", ["cold", "content"])
def test_a_pin_lost_before_an_epoch_is_lost_all_the_same(occasion):
    assert decide(None, PIN, occasion).pin.repairs == ()


def test_at_an_epoch_with_bound_thinking_lifetimes_change_and_content_does_not():
    found = decide(PIN, OTHER, "cold")
    assert found.pin == replace(OTHER, repairs=PIN.repairs, epoch=1)
    assert found.is_new


def test_at_an_epoch_without_bound_thinking_everything_may_change():
    assert decide(PIN, OTHER, "content").pin == replace(OTHER, epoch=1)


def test_an_epoch_that_would_choose_the_same_writes_nothing():
    same = replace(PIN, policy_digest="p2", engine_version="2", chosen_at=OTHER.chosen_at)
    assert decide(PIN, same, "cold") == PinDecision(pin=PIN, is_new=False)


def test_of_two_replicas_the_one_that_the_ledger_kept_is_in_force():
    ours = decide(None, PIN, "first")
    assert ours.settled(PIN) is ours
    assert ours.settled(OTHER) == PinDecision(pin=OTHER, is_new=False)


@pytest.mark.parametrize(
    ("changes", "occasion"),
    [
        ({"lineage_id": "L2"}, "content"),
        ({"repairs": ()}, "cold"),
        ({"ttl_head": "5m"}, "warm"),
        ({"pings": 3}, "first"),
    ],
)
def test_a_pin_that_changes_what_it_may_not_is_a_bug(changes, occasion):
    with pytest.raises(EngineBug, match="changes"):
        check_successor(PIN, replace(PIN, epoch=1, **changes), occasion)


def test_epochs_follow_one_another():
    with pytest.raises(EngineBug, match="epoch 2 does not follow epoch 0"):
        check_successor(PIN, replace(PIN, epoch=2), "content")


def test_a_request_without_an_answer_in_it_is_the_first():
    assert is_first_request(request("user"))
    assert is_first_request(request("user", "system"))
    assert not is_first_request(request("user", "assistant", "user"))


def test_what_kind_of_request_it_is_for_its_lineage():
    opus = traits("claude-opus-5-5")
    old = traits("claude-sonnet-4-5")
    plain = request("user", "assistant", "user")
    thought = request("user", "assistant", "user", thinking=True)
    assert occasion_of(request("user"), opus, is_cold=True) == "first"
    assert occasion_of(plain, opus, is_cold=False) == "warm"
    assert occasion_of(plain, opus, is_cold=True) == "content"
    assert occasion_of(thought, opus, is_cold=True) == "cold"
    assert occasion_of(thought, old, is_cold=True) == "content"
    assert occasion_of(thought, None, is_cold=True) == "cold"
