"""One exchange as one line: what ``farthing tail`` prints."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from farthing.core.records import ExchangeRow, Settlement
from farthing.pricing.money import dump_usd
from farthing.reports.audit_words import safe
from farthing.reports.figures import shorten, tokens
from farthing.reports.ledger_words import milliseconds, money
from farthing.wire.usage import Usage

__all__ = ["HEADER", "line_as_json", "render_line"]

_TASK: Final = 28
_MODEL: Final = 20
_PREFIX: Final = "claude-"
_NOTHING: Final = Usage()
#: stands for the end of what has not ended
_HELD: Final = Settlement(
    exchange_id="", state="released", ended_at=datetime.min.replace(tzinfo=UTC), attempts=0
)

HEADER: Final = (
    f"{'ended':8}  {'task':{_TASK}}  {'model':{_MODEL}}  {'read':>6} {'written':>7} {'uncached':>8}"
    f" {'output':>6}  {'cost':>9} {'saved':>9}  {'first':>7} {'total':>7}  status"
)


def render_line(row: ExchangeRow) -> str:
    """A line for a terminal, in the columns of ``HEADER``; times are UTC."""
    line = line_as_json(row)
    usage = _usage_of(row)
    written = usage.cache_write_5m + usage.cache_write_1h
    ended = "" if row.settlement is None else row.settlement.ended_at.astimezone(UTC)
    task = line["task_type"] or ""
    named = f"{task} {line['task_id']}" if task else line["task_id"]
    model = (line["model"] or "–").removeprefix(_PREFIX)
    return (
        f"{ended:%H:%M:%S}  {shorten(safe(named), _TASK):{_TASK}}"
        f"  {shorten(safe(model), _MODEL):{_MODEL}}"
        f"  {tokens(usage.cache_read):>6} {tokens(written):>7} {tokens(usage.uncached):>8}"
        f" {tokens(usage.output):>6}  {_cost(line):>9} {money(line['saved_usd']):>9}"
        f"  {milliseconds(line['ttft_ms']):>7} {milliseconds(line['total_ms']):>7}  {_status(line)}"
    )


def line_as_json(row: ExchangeRow) -> dict[str, Any]:
    """The same for a program: flat, every name in every line."""
    opened, usage = row.opened, _usage_of(row)
    who = opened.attribution
    return {
        "exchange_id": opened.exchange_id,
        "opened_at": opened.opened_at.isoformat(),
        "state": row.state,
        "task_id": who.task_id,
        "task_type": who.task_type,
        "endpoint": opened.endpoint,
        "model": (row.settlement and row.settlement.model_served) or opened.model_asked,
        "cache_read_tokens": usage.cache_read,
        "cache_write_5m_tokens": usage.cache_write_5m,
        "cache_write_1h_tokens": usage.cache_write_1h,
        "uncached_tokens": usage.uncached,
        "output_tokens": usage.output,
        **_ending(row.settlement or _HELD),
    }


def _ending(ending: Settlement) -> dict[str, Any]:
    cost = None if ending.cost is None else ending.cost.total
    is_compared = cost is not None and ending.baseline_pico is not None
    return {
        "ended_at": None if ending is _HELD else ending.ended_at.isoformat(),
        "cost_usd": _dump(cost),
        "saved_usd": _dump((ending.baseline_pico or 0) - (cost or 0)) if is_compared else None,
        "low_usd": _dump(ending.low_pico),
        "high_usd": _dump(ending.high_pico),
        "http_status": ending.http_status,
        "error_type": ending.error_type,
        "stop_reason": ending.stop_reason,
        "attempts": ending.attempts,
        "overhead_ms": ending.overhead_us / 1000,
        "ttft_ms": None if ending.ttft_us is None else ending.ttft_us / 1000,
        "total_ms": ending.total_us / 1000,
        "notes": list(ending.notes),
    }


def _usage_of(row: ExchangeRow) -> Usage:
    return (row.settlement and row.settlement.usage) or _NOTHING


def _cost(line: dict[str, Any]) -> str:
    """The cost, or the most it can be where it is an interval."""
    if line["state"] == "unsettled":
        return f"≤{money(line['high_usd'])}" if line["high_usd"] is not None else "?"
    return money(line["cost_usd"])


def _status(line: dict[str, Any]) -> str:
    tried = f" ({line['attempts']} attempts)" if line["attempts"] > 1 else ""
    if line["state"] != "settled":
        why = line["error_type"] or " ".join(line["notes"])
        return f"{line['state']} {why}".rstrip() + tried
    return (
        f"{line['http_status'] or '–'} {line['error_type'] or line['stop_reason'] or ''}".rstrip()
        + tried
    )


def _dump(amount: int | None) -> str | None:
    return None if amount is None else dump_usd(amount)
