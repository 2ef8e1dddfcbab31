"""Everything that is on record about one exchange, as a document.

Rules of this file: money is exact decimal text; rates are those that were applied, which is cost
over tokens, exact where the answer was one pass; what is not known is null.
"""

from __future__ import annotations

from typing import Any

from farthing.core.records import ExchangeRow, Opened, Settlement
from farthing.pricing import Cost, RateCard, dump_usd
from farthing.reports.explain_words import STATES, note_words, plan_words
from farthing.reports.loop_words import loop_document
from farthing.wire.usage import Usage

__all__ = ["explain"]

_PER_MTOK = 10**6


def explain(row: ExchangeRow, card: RateCard | None) -> dict[str, Any]:
    """The document; ``card`` is the one the exchange was priced with, if it is still known."""
    opened, ending = row.opened, row.settlement
    who = opened.attribution
    return {
        "exchange_id": opened.exchange_id,
        "state": row.state,
        "meaning": STATES[row.state],
        "opened_at": opened.opened_at.isoformat(),
        "engine_version": opened.engine_version,
        "attribution": {
            "source": who.source,
            "task_id": who.task_id,
            "task_type": who.task_type,
            "parent_task_id": who.parent_task_id,
            "root_task_id": who.root_task_id,
            "session_id": who.session_id,
            "agent_id": who.agent_id,
            "key_scope": who.key_scope,
            "outcome": row.outcome,
            "score": row.score,
        },
        "request": {
            "endpoint": opened.endpoint,
            "path": opened.path,
            "model_asked": opened.model_asked,
            "is_streamed": opened.is_streamed,
            "request_bytes": opened.request_bytes,
            "body_digest": opened.body_digest,
        },
        "budget": _budget(opened),
        "ending": None if ending is None else _ending(ending, card),
    }


def _budget(opened: Opened) -> dict[str, Any]:
    return {
        "scope": opened.scope,
        "held_usd": _dump(opened.hold_pico),
        "worst_usd": _dump(opened.high_pico),
    }


def _ending(ending: Settlement, card: RateCard | None) -> dict[str, Any]:
    cost = None if ending.cost is None else ending.cost.total
    saved = None
    if cost is not None and ending.baseline_pico is not None:
        saved = ending.baseline_pico - cost
    return {
        "ended_at": ending.ended_at.isoformat(),
        "answer": {
            "http_status": ending.http_status,
            "model_served": ending.model_served,
            "stop_reason": ending.stop_reason,
            "error_type": ending.error_type,
            "provider_request_id": ending.provider_request_id,
            "message_id": ending.message_id,
            "attempts": ending.attempts,
            "response_bytes": ending.response_bytes,
        },
        "bill": _bill(ending, card),
        "cost_usd": _dump(cost),
        "baseline_usd": _dump(ending.baseline_pico),
        "saved_usd": _dump(saved),
        "interval": _interval(ending),
        "plan": [
            {"code": code, "is_accepted": code.startswith("+"), "words": plan_words(code)}
            for code in ending.plan
        ],
        "loop": loop_document(ending.notes),
        "notes": [{"code": code, "words": note_words(code)} for code in ending.notes],
        "latency": {
            "overhead_ms": ending.overhead_us / 1000,
            "ttft_ms": None if ending.ttft_us is None else ending.ttft_us / 1000,
            "total_ms": ending.total_us / 1000,
        },
    }


def _bill(ending: Settlement, card: RateCard | None) -> dict[str, Any] | None:
    usage = ending.usage
    if usage is None:
        return None
    return {
        "rate_card_id": ending.rate_card_id,
        "sources": [] if card is None else [source.url for source in card.sources],
        "passes": max(1, len(usage.iterations)),
        "service_tier": usage.service_tier,
        "speed": usage.speed,
        "inference_geo": usage.inference_geo,
        "prompt_tokens": usage.prompt,
        "output_thinking_tokens": usage.output_thinking,
        "lines": _lines(usage, ending.cost),
        "server_tools": {
            "web_search_requests": usage.web_search_requests,
            "web_fetch_requests": usage.web_fetch_requests,
            "code_execution_requests": usage.code_execution_requests,
            "cost_usd": None if ending.cost is None else dump_usd(ending.cost.server_tools),
        },
    }


def _lines(usage: Usage, cost: Cost | None) -> list[dict[str, Any]]:
    names = ("uncached", "cache_write_5m", "cache_write_1h", "cache_read", "output")
    return [_line(name, getattr(usage, name), usage, cost) for name in names]


def _line(name: str, tokens: int, usage: Usage, cost: Cost | None) -> dict[str, Any]:
    amount = None if cost is None else getattr(cost, name)
    rate = None
    if amount is not None and tokens and not usage.iterations and not amount % tokens:
        rate = dump_usd(amount // tokens * _PER_MTOK)
    return {"kind": name, "tokens": tokens, "usd_per_mtok": rate, "cost_usd": _dump(amount)}


def _interval(ending: Settlement) -> dict[str, Any] | None:
    """Between what and what the cost lies, and why it is not known better."""
    if ending.state != "unsettled":
        return None
    return {
        "low_usd": _dump(ending.low_pico),
        "high_usd": _dump(ending.high_pico),
        "why": "; ".join(note_words(code) for code in ending.notes) or STATES["unsettled"],
    }


def _dump(amount: int | None) -> str | None:
    return None if amount is None else dump_usd(amount)
