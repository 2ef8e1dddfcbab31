"""One exchange in the words of the GenAI semantic conventions.

Rules from outside (OpenTelemetry GenAI conventions, status Development, read 2026-11; names as in
``opentelemetry-semantic-conventions`` 0.66b2): the total of input tokens *includes* those read from
and written to the prompt cache, which the Claude API counts apart; both are said beside it and are
parts of it, not additions. The provider's name is ``anthropic``, a call to a model is ``chat``.

Rules of this file: no prompt text, no key, no name that the conventions do not have outside of
``farthing.*``; tokens are said once an exchange is settled, so a sum over spans is the usage.
"""

from __future__ import annotations

from typing import Final

from farthing.core.records import ExchangeRow, Settlement
from farthing.pricing.money import dump_usd
from farthing.wire.usage import Usage

__all__ = ["METRIC_NAMES", "Value", "attributes", "is_call", "labels", "span_name"]

Value = str | int | float | bool | tuple[str, ...]

#: attributes that metrics have, too: few values each
METRIC_NAMES: Final = frozenset(
    {
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.response.model",
        "error.type",
    }
)
_CHAT: Final = "chat"
_CALLS: Final = frozenset({"messages", "batch_item"})


def is_call(row: ExchangeRow) -> bool:
    """Is it a call to a model that has ended? Counting tokens and lists are not."""
    return row.settlement is not None and row.opened.endpoint in _CALLS


def span_name(row: ExchangeRow) -> str:
    """``chat claude-opus-5-5``."""
    return f"{_CHAT} {row.opened.model_asked}" if row.opened.model_asked else _CHAT


def attributes(row: ExchangeRow) -> dict[str, Value]:
    """Everything that is said of an exchange; what is not known is left out."""
    opened, ending = row.opened, row.settlement
    assert ending is not None, "only what has ended is told"
    who = opened.attribution
    found: dict[str, Value | None] = {
        "gen_ai.operation.name": _CHAT,
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": opened.model_asked,
        "gen_ai.request.stream": opened.is_streamed,
        "gen_ai.response.model": ending.model_served,
        "gen_ai.response.id": ending.message_id,
        "gen_ai.response.finish_reasons": (ending.stop_reason,) if ending.stop_reason else None,
        "gen_ai.conversation.id": who.session_id,
        "gen_ai.agent.id": who.agent_id,
        "error.type": _error_type(ending),
        "http.response.status_code": ending.http_status,
        "farthing.exchange_id": opened.exchange_id,
        "farthing.state": ending.state,
        "farthing.attempt": ending.attempts,
        "farthing.task_id": who.task_id,
        "farthing.task_type": who.task_type,
        "farthing.overhead_seconds": ending.overhead_us / 1e6,
        "farthing.plan": ending.plan or None,
        "farthing.notes": ending.notes or None,
    }
    if opened.is_streamed and ending.ttft_us is not None:
        found["gen_ai.response.time_to_first_chunk"] = ending.ttft_us / 1e6
    if ending.state == "settled":
        found |= _usage(ending.usage)
    found |= _money(ending)
    return {name: value for name, value in found.items() if value is not None}


def labels(row: ExchangeRow) -> dict[str, Value]:
    """What metrics are split by.

    A client may ask for any model, so one that never answered is not a label of its own.
    """
    found = {name: value for name, value in attributes(row).items() if name in METRIC_NAMES}
    if "gen_ai.response.model" not in found:
        found.pop("gen_ai.request.model", None)
    return found


def _usage(usage: Usage | None) -> dict[str, Value | None]:
    if usage is None:
        return {}
    return {
        "gen_ai.usage.input_tokens": usage.prompt,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_5m + usage.cache_write_1h,
        "gen_ai.usage.output_tokens": usage.output,
        "gen_ai.usage.reasoning.output_tokens": usage.output_thinking or None,
    }


def _money(ending: Settlement) -> dict[str, Value | None]:
    """Exact dollars as text; a collector that wants to add takes the metric."""
    cost = None if ending.cost is None else ending.cost.total
    saved = None
    if cost is not None and ending.baseline_pico is not None:
        saved = dump_usd(ending.baseline_pico - cost)
    is_interval = ending.state == "unsettled"
    high = ending.high_pico if is_interval else None
    return {
        "farthing.cost_usd": None if cost is None else dump_usd(cost),
        "farthing.saved_usd": saved,
        "farthing.cost_low_usd": dump_usd(ending.low_pico or 0) if is_interval else None,
        "farthing.cost_high_usd": None if high is None else dump_usd(high),
        "farthing.rate_card_id": ending.rate_card_id,
    }


def _error_type(ending: Settlement) -> str | None:
    if ending.error_type is not None:
        return ending.error_type
    return None if ending.state == "settled" else ending.state
