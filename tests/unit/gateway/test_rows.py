"""A row as whoever asks for it reads it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from farthing.core.batch_holds import BatchRows
from farthing.core.records import (
    Accounting,
    Attribution,
    ExchangeRow,
    LeverSaving,
    Opened,
    Settlement,
)
from farthing.gateway.rows import dump_row
from farthing.pricing.cards import RateCardId
from farthing.pricing.money import Cost
from farthing.wire.usage import Iteration, Usage

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def row() -> ExchangeRow:
    opened = Opened(
        exchange_id="ex_1",
        opened_at=AT,
        attribution=Attribution(
            task_id="t", root_task_id="t", key_scope="k", source="header", task_type="review"
        ),
        endpoint="messages",
        path="POST /v1/messages",
        request_bytes=10,
        body_digest="d",
        engine_version="1",
        high_pico=5 * 10**12,
    )
    settlement = Settlement(
        exchange_id="ex_1",
        state="settled",
        ended_at=AT,
        usage=Usage(
            uncached=1, iterations=(Iteration(type="message", model=None, usage=Usage(output=2)),)
        ),
        cost=Cost(uncached=250_000_000_000),
        rate_card_id=RateCardId("m@2026-01-01"),
        baseline_pico=10**12,
        plan=("+cache.rolling",),
        accounting=Accounting(
            baseline_pico=10**12,
            savings=(LeverSaving(lever="cache.rolling", saved_pico=-(10**11), predicted_pico=7),),
            foreseen=Usage(),
        ),
        batch=BatchRows(
            batch_id="b", created_at=AT, groups=(), digests=b"", group_of=b"", amounts=b""
        ),
    )
    return ExchangeRow(opened=opened, settlement=settlement, outcome=None, score=None)


def names_of(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(names_of, value.values()))
    return set().union(*map(names_of, value)) if isinstance(value, list) else set()


def test_money_is_a_decimal_string_at_every_depth():
    shown = json.loads(dump_row(row()))

    assert not {name for name in names_of(shown) if name.endswith("_pico")}
    assert shown["accounting"]["baseline_usd"] == "1"
    assert shown["accounting"]["own_cost_usd"] == "0"
    (saving,) = shown["accounting"]["savings"]
    assert (saving["saved_usd"], saving["predicted_usd"]) == ("-0.1", "0.000000000007")
    assert (shown["cost"]["total"], shown["saved_usd"]) == ("0.25", "0.75")


def test_every_member_is_there_and_nothing_of_the_ledgers_own():
    shown = json.loads(dump_row(row()))

    assert shown["attribution"]["parent_task_id"] is None
    assert shown["notes"] == []
    assert shown["usage"]["iterations"][0]["usage"]["output"] == 2
    assert shown["opened_at"] == "2026-11-20T12:00:00+00:00"
    assert "batch" not in shown
