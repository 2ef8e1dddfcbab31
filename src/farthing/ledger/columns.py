"""An exchange as the columns of its row, and back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec

from farthing.core.records import Opened, Settlement
from farthing.ledger.money import split
from farthing.pricing import Cost, dump_usd
from farthing.wire.usage import Iteration, Usage

__all__ = [
    "OPENED_COLUMNS",
    "SETTLED_COLUMNS",
    "Column",
    "UsageMore",
    "dump_instant",
    "opened_values",
    "settled_values",
]

Column = str | int | float | None

OPENED_COLUMNS: Final = tuple(
    """
    exchange_id opened_at task_id parent_task_id root_task_id task_type key_scope session_id
    agent_id attributed_by endpoint path model_asked is_streamed request_bytes body_digest scope
    reservation_id hold_usd hold_pico worst_usd worst_pico engine_version attempt budget_keys
    """.split()
)
SETTLED_COLUMNS: Final = tuple(
    """
    state ended_at model_served uncached_tokens cache_write_5m_tokens cache_write_1h_tokens
    cache_read_tokens output_tokens output_thinking_tokens web_search_requests web_fetch_requests
    code_execution_requests usage_more cost_usd cost_pico cost_parts low_usd low_pico high_usd
    high_pico rate_card_id baseline_usd baseline_pico http_status stop_reason error_type
    provider_request_id message_id attempts response_bytes overhead_us ttft_us total_us plan notes
    """.split()
)

_HELD: Final[tuple[Column, ...]] = ("held", *[None] * (len(SETTLED_COLUMNS) - 1))


class UsageMore(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of a usage has no column of its own: it prices single rows, nobody sums it."""

    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    fallback_credit: str | None = None
    iterations: tuple[Iteration, ...] = ()


_NO_MORE: Final = UsageMore()
_encoder: Final = msgspec.json.Encoder()


def dump_instant(instant: datetime) -> str:
    """UTC text of fixed width, so that text order is time order."""
    if instant.tzinfo is not UTC:
        instant = instant.astimezone(UTC)
    return instant.isoformat(timespec="microseconds")[:26] + "Z"


def opened_values(opened: Opened) -> tuple[Column, ...]:
    """The values of ``OPENED_COLUMNS``."""
    who = opened.attribution
    return (
        opened.exchange_id,
        dump_instant(opened.opened_at),
        who.task_id,
        who.parent_task_id,
        who.root_task_id,
        who.task_type,
        who.key_scope,
        who.session_id,
        who.agent_id,
        who.source,
        opened.endpoint,
        opened.path,
        opened.model_asked,
        opened.is_streamed,
        opened.request_bytes,
        opened.body_digest,
        opened.scope,
        opened.reservation_id,
        *split(opened.hold_pico),
        *split(opened.high_pico),
        opened.engine_version,
        opened.attempt,
        _dump_codes(opened.budget_keys),
    )


def settled_values(settlement: Settlement | None) -> tuple[Column, ...]:
    """The values of ``SETTLED_COLUMNS``; None: the exchange is held."""
    if settlement is None:
        return _HELD
    cost = settlement.cost
    return (
        settlement.state,
        dump_instant(settlement.ended_at),
        settlement.model_served,
        *_usage_values(settlement.usage),
        *split(None if cost is None else cost.total),
        None if cost is None else _dump_parts(cost),
        *split(settlement.low_pico),
        *split(settlement.high_pico),
        settlement.rate_card_id,
        *split(settlement.baseline_pico),
        settlement.http_status,
        settlement.stop_reason,
        settlement.error_type,
        settlement.provider_request_id,
        settlement.message_id,
        settlement.attempts,
        settlement.response_bytes,
        settlement.overhead_us,
        settlement.ttft_us,
        settlement.total_us,
        _dump_codes(settlement.plan),
        _dump_codes(settlement.notes),
    )


def _usage_values(usage: Usage | None) -> Sequence[Column]:
    if usage is None:
        return (None,) * 10
    return (
        usage.uncached,
        usage.cache_write_5m,
        usage.cache_write_1h,
        usage.cache_read,
        usage.output,
        usage.output_thinking,
        usage.web_search_requests,
        usage.web_fetch_requests,
        usage.code_execution_requests,
        _dump_more(
            usage.service_tier,
            usage.speed,
            usage.inference_geo,
            usage.fallback_credit,
            usage.iterations,
        ),
    )


@lru_cache(maxsize=256)  # few answers are served in a way that no other was
def _dump_more(
    service_tier: str | None,
    speed: str | None,
    inference_geo: str | None,
    fallback_credit: str | None,
    iterations: tuple[Iteration, ...],
) -> str | None:
    more = UsageMore(
        service_tier=service_tier,
        speed=speed,
        inference_geo=inference_geo,
        fallback_credit=fallback_credit,
        iterations=iterations,
    )
    return None if more == _NO_MORE else _encoder.encode(more).decode("utf-8")


def _dump_parts(cost: Cost) -> str:
    parts = {name: dump_usd(amount) for name, amount in cost.components if amount}
    return _encoder.encode(parts).decode("utf-8")


def _dump_codes(codes: Sequence[str]) -> str | None:
    return _encoder.encode(codes).decode("utf-8") if codes else None
