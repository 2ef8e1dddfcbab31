"""Pings: when they pay, what they send, when they are due, what cancels them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from farthing.core.keepalive import KeepAlive, Pinging, ping_body, pings_that_pay
from farthing.core.records import Attribution
from farthing.core.ttl_experts import Multipliers, Step, TtlTable
from tests.unit.core.cache_prompts import prompt

SECOND = 1_000_000_000
DUE = 285 * SECOND
PRICES = Multipliers(read=0.1, write_5m=1.25, write_1h=2.0)


def pauses_of(minutes: float, *, gaps: int = 20, prices: Multipliers = PRICES) -> TtlTable:
    """A class whose every pause is this long."""
    table = TtlTable()
    for _ in range(gaps):
        table.record(Step(gap_seconds=60 * minutes, shared=10_000, total=10_500), prices)
    return table


def pinging(lineage: str = "a", *, used_ns: int = 0, pings: int = 2, size: int = 10) -> Pinging:
    return Pinging(
        lineage_id=lineage,
        attribution=Attribution(task_id="t", root_task_id="t", key_scope="k", source="header"),
        body=b"x" * size,
        headers={},
        view=prompt(["head"]),
        used_ns=used_ns,
        pings=pings,
    )


@pytest.mark.parametrize(
    ("minutes", "pings"), [(0.5, 0), (4.9, 0), (6, 1), (11, 2), (15, 3), (30, 0), (90, 0)]
)
def test_as_many_pings_pay_as_the_pauses_are_long(minutes: float, pings: int):
    assert pings_that_pay(pauses_of(minutes), PRICES) == pings


def test_nothing_pays_until_enough_was_seen():
    assert pings_that_pay(pauses_of(6, gaps=19), PRICES) == 0
    assert pings_that_pay(TtlTable(gaps=20), PRICES) == 0


def test_where_reads_are_dear_there_are_fewer_and_where_they_are_free_none_is_needed():
    dear = Multipliers(read=0.5, write_5m=1.25, write_1h=2.0)
    assert pings_that_pay(pauses_of(15, prices=dear), dear) <= 1
    free = Multipliers(read=0.0, write_5m=1.0, write_1h=1.0)
    assert pings_that_pay(pauses_of(6, prices=free), free) == 0


def asked(**fields: Any) -> bytes:
    given = {
        "model": "claude-opus-4-6",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}],
    }
    return json.dumps(given | fields).encode()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"stream": True},
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
        {"tool_choice": {"type": "auto"}, "thinking": None, "output_config": {"format": None}},
    ],
)
def test_a_ping_is_the_same_request_with_nothing_to_answer(fields: dict[str, Any]):
    found = ping_body(asked(**fields))

    assert found is not None
    expected = json.loads(asked(**fields)) | {"max_tokens": 0}
    expected.pop("stream", None)
    assert json.loads(found) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"thinking": {"type": "enabled", "budget_tokens": 2_000}},
        {"tool_choice": {"type": "any"}},
        {"tool_choice": {"type": "tool", "name": "grep"}},
        {"output_config": {"format": {"type": "json_schema", "schema": {}}}},
        {"output_format": {"type": "json_schema"}},
    ],
)
def test_what_the_api_would_refuse_is_not_sent(fields: dict[str, Any]):
    assert ping_body(asked(**fields)) is None


def test_what_cannot_be_read_is_not_sent():
    assert ping_body(b"[") is None


def test_a_ping_is_due_fifteen_seconds_before_the_entry_expires():
    plans = KeepAlive()
    assert plans.seconds_until_due(0) is None
    plans.plan(pinging())

    assert plans.seconds_until_due(SECOND) == 284
    assert plans.due(DUE - 1) == []
    assert [each.lineage_id for each in plans.due(DUE)] == ["a"]
    assert plans.due(DUE) == []
    assert plans.seconds_until_due(DUE) is None


def test_pings_follow_one_another_until_none_is_left():
    plans = KeepAlive()
    plans.plan(pinging(pings=2))
    sent = []
    for number in range(1, 5):
        for each in plans.due(number * DUE):
            sent.append(number)
            plans.pinged(each, number * DUE, has_read=True)

    assert sent == [1, 2]
    assert len(plans) == 0


def test_an_answer_that_read_nothing_is_the_last():
    plans = KeepAlive()
    plans.plan(pinging())
    (due,) = plans.due(DUE)

    plans.pinged(due, DUE, has_read=False)

    assert len(plans) == 0


def test_a_real_request_cancels_what_is_planned_and_what_would_follow():
    plans = KeepAlive()
    plans.plan(pinging())
    plans.cancel("a")
    assert plans.due(DUE) == []

    plans.plan(pinging())
    (due,) = plans.due(DUE)
    plans.cancel("a")
    plans.pinged(due, DUE, has_read=True)

    assert len(plans) == 0


def test_who_comes_too_late_does_not_pay_for_a_write():
    plans = KeepAlive()
    plans.plan(pinging("a"))
    plans.plan(pinging("b", used_ns=SECOND))

    assert [each.lineage_id for each in plans.due(300 * SECOND)] == ["b"]
    assert len(plans) == 0
    assert plans.seconds_until_due(0) is None


def test_without_a_ping_nothing_is_planned():
    plans = KeepAlive()
    plans.plan(pinging(pings=0))

    assert len(plans) == 0


def test_plans_are_bounded_by_number_and_by_bytes():
    plans = KeepAlive(lineages=2, total_bytes=100)
    for name in "abc":
        plans.plan(pinging(name))
    assert [each.lineage_id for each in plans.due(DUE)] == ["b", "c"]

    plans.plan(pinging("d", size=60))
    plans.plan(pinging("e", size=60))
    plans.plan(replace(pinging("f", size=101)))

    assert len(plans) == 0
