"""Rows of the database as ``ExchangeRow`` values."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Final

import msgspec

from farthing.core.records import Attribution, ExchangeRow, Opened, Settlement
from farthing.errors import LedgerError
from farthing.ledger.columns import UsageMore
from farthing.ledger.money import join
from farthing.ledger.savings import ACCOUNTING_COLUMNS, accounting_from
from farthing.pricing import Cost
from farthing.wire.usage import Usage

__all__ = ["SELECT_ROWS", "UnreadableRow", "parse_instant", "row_from"]

#: the caller adds WHERE and ORDER BY; ``sqlite3.Row`` gives the columns by name
SELECT_ROWS: Final = (
    f"SELECT e.*, o.outcome, o.score, {ACCOUNTING_COLUMNS} FROM exchanges AS e"  # noqa: S608
    " LEFT JOIN outcomes AS o USING (task_id) LEFT JOIN accountings AS a USING (exchange_id)"
)

_more_decoder: Final = msgspec.json.Decoder(UsageMore)
_codes_decoder: Final = msgspec.json.Decoder(tuple[str, ...])
_parts_decoder: Final = msgspec.json.Decoder(dict[str, str])


class UnreadableRow(LedgerError):
    """A row's columns contradict each other."""

    code = "ledger.unreadable_row"


def row_from(row: sqlite3.Row) -> ExchangeRow:
    """One row as a value; ``UnreadableRow`` if its columns contradict each other."""
    try:
        return ExchangeRow(
            opened=_opened(row),
            settlement=None if row["state"] == "held" else _settlement(row),
            outcome=row["outcome"],
            score=row["score"],
        )
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise UnreadableRow(
            f"row {row['exchange_id']!r} of the ledger cannot be read ({error}): "
            "it was changed by another program; run `farthing ledger check`"
        ) from error


def parse_instant(text: str) -> datetime:
    """The instant that ``dump_instant`` wrote."""
    return datetime.fromisoformat(text)


def _opened(row: sqlite3.Row) -> Opened:
    return Opened(
        exchange_id=row["exchange_id"],
        opened_at=parse_instant(row["opened_at"]),
        attribution=_attribution(row),
        endpoint=row["endpoint"],
        path=row["path"],
        model_asked=row["model_asked"],
        is_streamed=bool(row["is_streamed"]),
        request_bytes=row["request_bytes"],
        body_digest=row["body_digest"],
        hold_pico=join(row["hold_usd"], row["hold_pico"]),
        scope=row["scope"],
        budget_keys=_codes(row["budget_keys"]),
        reservation_id=row["reservation_id"],
        high_pico=join(row["worst_usd"], row["worst_pico"]),
        engine_version=row["engine_version"],
        attempt=row["attempt"],
    )


def _attribution(row: sqlite3.Row) -> Attribution:
    return Attribution(
        task_id=row["task_id"],
        parent_task_id=row["parent_task_id"],
        root_task_id=row["root_task_id"],
        task_type=row["task_type"],
        key_scope=row["key_scope"],
        session_id=row["session_id"],
        agent_id=row["agent_id"],
        source=row["attributed_by"],
    )


def _settlement(row: sqlite3.Row) -> Settlement:
    return Settlement(
        exchange_id=row["exchange_id"],
        state=row["state"],
        ended_at=parse_instant(row["ended_at"]),
        model_served=row["model_served"],
        usage=None if row["uncached_tokens"] is None else _usage(row),
        cost=None if row["cost_parts"] is None else _cost(row),
        low_pico=join(row["low_usd"], row["low_pico"]),
        high_pico=join(row["high_usd"], row["high_pico"]),
        rate_card_id=row["rate_card_id"],
        baseline_pico=join(row["baseline_usd"], row["baseline_pico"]),
        http_status=row["http_status"],
        stop_reason=row["stop_reason"],
        error_type=row["error_type"],
        provider_request_id=row["provider_request_id"],
        message_id=row["message_id"],
        attempts=row["attempts"],
        response_bytes=row["response_bytes"],
        overhead_us=row["overhead_us"],
        ttft_us=row["ttft_us"],
        total_us=row["total_us"],
        plan=_codes(row["plan"]),
        notes=_codes(row["notes"]),
        accounting=accounting_from(row),
    )


def _usage(row: sqlite3.Row) -> Usage:
    more = UsageMore() if row["usage_more"] is None else _more_decoder.decode(row["usage_more"])
    return Usage(
        uncached=row["uncached_tokens"],
        cache_write_5m=row["cache_write_5m_tokens"],
        cache_write_1h=row["cache_write_1h_tokens"],
        cache_read=row["cache_read_tokens"],
        output=row["output_tokens"],
        output_thinking=row["output_thinking_tokens"],
        web_search_requests=row["web_search_requests"],
        web_fetch_requests=row["web_fetch_requests"],
        code_execution_requests=row["code_execution_requests"],
        service_tier=more.service_tier,
        speed=more.speed,
        inference_geo=more.inference_geo,
        fallback_credit=more.fallback_credit,
        iterations=more.iterations,
    )


def _cost(row: sqlite3.Row) -> Cost:
    cost = Cost.parse(_parts_decoder.decode(row["cost_parts"]))
    if cost.total != join(row["cost_usd"], row["cost_pico"]):
        raise ValueError("its cost is not the sum of its parts")
    return cost


def _codes(text: str | None) -> tuple[str, ...]:
    return () if text is None else _codes_decoder.decode(text)
