"""Exchanges to put into ledgers, with every column filled unless a test says otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from farthing.core.batches import KnownBatch
from farthing.core.records import Accounting, Attribution, LeverSaving, Opened, Settlement
from farthing.pricing import Cost
from farthing.pricing.cards import RateCardId
from farthing.wire.usage import Iteration, Usage

NOON = datetime(2026, 11, 21, 12, 0, 0, 123_456, tzinfo=UTC)
SCOPE = "task:t1"

USAGE = Usage(
    uncached=10,
    cache_write_5m=20,
    cache_write_1h=30,
    cache_read=40,
    output=50,
    output_thinking=5,
    web_search_requests=1,
    web_fetch_requests=2,
    code_execution_requests=3,
    service_tier="standard",
    speed="fast",
    inference_geo="us",
    fallback_credit="redeemed",
    iterations=(Iteration(type="compaction", model="claude-haiku-5-5", usage=Usage(output=7)),),
)
COST = Cost(uncached=1, cache_write_5m=2, cache_write_1h=3, cache_read=4, output=5, server_tools=6)
#: of an exchange that cost ``COST``
ACCOUNTING = Accounting(
    baseline_pico=30,
    savings=(
        LeverSaving(lever="cache.marks", saved_pico=11, predicted_pico=12),
        LeverSaving(lever="cache.ttl", saved_pico=-2),
    ),
    own_cost_pico=3,
    foreseen=Usage(uncached=12, cache_write_5m=18, cache_write_1h=30, cache_read=40),
    miss_cause="expired",
    workload="review",
)


def attribution(**given: Any) -> Attribution:
    values = {
        "task_id": "t1",
        "root_task_id": "t0",
        "key_scope": "key_1",
        "source": "header",
        "parent_task_id": "t0",
        "task_type": "review",
        "session_id": "s1",
        "agent_id": "a1",
    }
    return Attribution(**values | given)


def known(batch_id: str = "msgbatch_1", **given: Any) -> KnownBatch:
    """A batch that was created through here."""
    values: dict[str, Any] = {
        "created_at": NOON,
        "attribution": attribution(),
        "exchange_id": "ex_1",
    }
    return KnownBatch(batch_id=batch_id, **values | given)


def opened(exchange_id: str = "x1", *, minutes: float = 0, **given: Any) -> Opened:
    values: dict[str, Any] = {
        "exchange_id": exchange_id,
        "opened_at": NOON + timedelta(minutes=minutes),
        "attribution": attribution(),
        "endpoint": "messages",
        "path": "POST /v1/messages",
        "request_bytes": 2_000,
        "body_digest": "d" * 32,
        "engine_version": "1",
        "model_asked": "claude-opus-5-5",
        "is_streamed": True,
        "high_pico": 900,
    }
    return Opened(**values | given)


def held(exchange_id: str = "x1", *, amount: int, scope: str = SCOPE, **given: Any) -> Opened:
    """An intent that spends from a budget."""
    reservation = f"r-{exchange_id}"
    values: dict[str, Any] = {"scope": scope, "reservation_id": reservation, "hold_pico": amount}
    return opened(exchange_id, **values | {"high_pico": amount} | given)


def settled(exchange_id: str = "x1", **given: Any) -> Settlement:
    values: dict[str, Any] = {
        "exchange_id": exchange_id,
        "state": "settled",
        "ended_at": NOON + timedelta(seconds=3),
        "model_served": "claude-opus-5-5",
        "usage": USAGE,
        "cost": COST,
        "rate_card_id": RateCardId("claude-opus-5-5@2026-10-01"),
        "baseline_pico": 30,
        "http_status": 200,
        "stop_reason": "end_turn",
        "provider_request_id": "req_1",
        "message_id": "msg_1",
        "response_bytes": 700,
        "overhead_us": 200,
        "ttft_us": 900_000,
        "total_us": 3_000_000,
        "plan": ("+cache.auto",),
        "notes": ("attribution.default",),
        # of another cost or baseline it would not add up
        "accounting": None if {"cost", "baseline_pico", "usage"} & given.keys() else ACCOUNTING,
    }
    return Settlement(**values | given)


def failed(exchange_id: str = "x1", **given: Any) -> Settlement:
    """An attempt that the provider refused and does not bill."""
    values: dict[str, Any] = {
        "exchange_id": exchange_id,
        "state": "settled",
        "ended_at": NOON + timedelta(seconds=1),
        "usage": Usage(),
        "cost": Cost(),
        "http_status": 529,
        "error_type": "overloaded_error",
    }
    return Settlement(**values | given)


def unsettled(exchange_id: str = "x1", *, low: int, high: int | None, **given: Any) -> Settlement:
    values: dict[str, Any] = {
        "exchange_id": exchange_id,
        "state": "unsettled",
        "ended_at": NOON + timedelta(seconds=2),
        "low_pico": low,
        "high_pico": high,
    }
    return Settlement(**values | given)


def released(exchange_id: str = "x1") -> Settlement:
    return Settlement(exchange_id=exchange_id, state="released", ended_at=NOON)
