"""How a prediction of the prompt cache is printed: a table with a reason, or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from farthing.cli.table import render_table
from farthing.core.hazard import ExpectedCost, ExpectedUsage
from farthing.core.prefix import PrefixView
from farthing.core.prompt_cache_forecast import Forecast, Shortfall
from farthing.pricing import Cost, dump_usd, show_usd
from farthing.wire.fingerprint import Fingerprint
from farthing.wire.usage import Usage

__all__ = ["Prediction", "prediction_as_json", "prediction_as_text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Everything there is to print."""

    view: PrefixView
    fingerprint: Fingerprint
    forecast: Forecast
    usage: Usage
    cost: Cost
    expected: ExpectedUsage
    expected_cost: ExpectedCost


_KINDS: Final = ("cache_read", "cache_write_1h", "cache_write_5m", "uncached")
_LABELS: Final = ("read from the cache", "written for 1 h", "written for 5 min", "plain input")


def prediction_as_text(prediction: Prediction) -> str:
    """For people."""
    view = prediction.view
    rows = [
        [label, f"{getattr(prediction.usage, kind):,}", show_usd(getattr(prediction.cost, kind))]
        for label, kind in zip(_LABELS, _KINDS, strict=True)
    ]
    rows.append(["prompt", f"{prediction.usage.prompt:,}", show_usd(prediction.cost.total)])
    lines = [
        f"{view.model}: {len(view.digests)} blocks, {_marks(prediction)}",
        "",
        render_table(["", "tokens", "USD"], rows, total=True),
        "",
        _why(prediction),
        *_caveats(prediction),
    ]
    return "\n".join(lines)


def _marks(prediction: Prediction) -> str:
    marks = prediction.view.marks
    if not marks:
        return "no breakpoint"
    named = (f"{_address(prediction, mark.index)} ({mark.ttl})" for mark in marks)
    return "breakpoints at " + ", ".join(named)


def _address(prediction: Prediction, block: int) -> str:
    return prediction.fingerprint.blocks[block].address


def _caveats(prediction: Prediction) -> Iterator[str]:
    if prediction.forecast.hidden_writes:
        yield "A server tool may add 5 min writes of its own."
    if prediction.expected.surprise:
        usd = show_usd(round(prediction.expected_cost.pico_usd))
        share = f"{prediction.expected.surprise:.1%}"
        yield f"On average {usd}: {share} of such calls go another way."


def _why(prediction: Prediction) -> str:
    """Why no more is read, in one or two sentences."""
    shortfall = prediction.forecast.shortfall
    where = "" if shortfall.block is None else _address(prediction, shortfall.block)
    return _REASONS[shortfall.code].format(
        where=where,
        missed=f"{shortfall.missed_tokens:,}",
        minimum=f"{prediction.view.min_cacheable_tokens:,}",
        **_times(shortfall),
        other=shortfall.other_model,
    )


def _times(shortfall: Shortfall) -> dict[str, str]:
    age = shortfall.age.total_seconds() if shortfall.age is not None else 0.0
    return {"age": f"{age:,.0f} s", "ttl": shortfall.ttl or ""}


_REASONS: Final = {
    "complete": "Everything that was cached of this prompt is read; the rest is new.",
    "no_marks": "Nothing is cached: the request marks no block with cache_control.",
    "too_short": "Nothing is cached: up to {where} the prompt is shorter than the model's minimum "
    "of {minimum} tokens.",
    "cold": "Nothing of this prompt was cached before.",
    "expired": "{missed} tokens more were cached up to {where}, but expired: touched {age} before, "
    "for {ttl}.",
    "in_flight": "{missed} tokens more are being written up to {where}, by a request that began "
    "{age} before and has not shown its first byte.",
    "beyond_lookback": "{missed} tokens more are cached up to {where}, but no breakpoint stands "
    "within 20 blocks behind it. Mark that block too.",
    "prefix_changed": "{missed} tokens more were cached, but {where} differs from the request "
    "before, or what keys the cache there does.",
    "model_changed": "Another model, {other}, holds the cache; models share nothing.",
}


def prediction_as_json(prediction: Prediction) -> str:
    """For programs: money as exact decimal strings."""
    shortfall = prediction.forecast.shortfall
    return json.dumps(
        {
            "model": prediction.view.model,
            "prompt_tokens": prediction.usage.prompt,
            "usage": {kind: getattr(prediction.usage, kind) for kind in _KINDS},
            "usd": prediction.cost.dump(),
            "expected_usd": dump_usd(round(prediction.expected_cost.pico_usd)),
            "surprise_ratio": round(prediction.expected.surprise, 6),
            "breakpoints": [
                {"block": _address(prediction, mark.index), "ttl": mark.ttl}
                for mark in prediction.view.marks
            ],
            "server_tools_may_write": prediction.forecast.hidden_writes,
            "why": {
                "code": shortfall.code,
                "text": _why(prediction),
                "block": None if shortfall.block is None else _address(prediction, shortfall.block),
                "level": shortfall.level,
                "missed_tokens": shortfall.missed_tokens,
                "age_seconds": None if shortfall.age is None else shortfall.age.total_seconds(),
                "ttl": shortfall.ttl,
                "other_model": shortfall.other_model,
            },
        },
        ensure_ascii=False,
    )
