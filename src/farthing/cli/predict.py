"""``farthing predict``: what a request would read from the prompt cache, write, and cost."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from farthing.cli.arguments import load_catalog, parse_day, parse_gap, require_known, today_utc
from farthing.cli.predict_report import Prediction, prediction_as_json, prediction_as_text
from farthing.core.estimate import BlockMemo
from farthing.core.hazard import ExpectedCost
from farthing.core.prefix_view import view_of
from farthing.core.prompt_cache import PromptCache
from farthing.errors import ConfigError, RequestError
from farthing.pricing import (
    Catalog,
    RateCard,
    Rates,
    effective_rates,
    price,
)
from farthing.pricing.cards import ONE
from farthing.wire.fingerprint import fingerprint
from farthing.wire.models import ModelTraits
from farthing.wire.request import Request
from farthing.wire.usage import Usage

__all__ = ["DESCRIPTION", "HELP", "add_arguments", "run"]

HELP: Final = "Predict what a request reads from the prompt cache, writes, and costs"

DESCRIPTION: Final = """\
Predict what a request reads from the prompt cache, writes, and costs; and why no more.

  farthing predict request.json
  farthing predict request.json --after previous.json --gap 7m

Without --after the cache is cold. Token counts are estimates, output is not counted."""

#: Only the time between requests matters to the cache; the day of the call decides the price.
_CLOCK_START: Final = datetime(2000, 1, 1, tzinfo=UTC)

#: The first byte of the request before; only its order matters, unless the gap is shorter still.
_FIRST_BYTE_AFTER: Final = timedelta(seconds=1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    add = parser.add_argument
    add("request", type=Path, metavar="REQUEST", help="the body of a Messages call, as JSON")
    add("--after", type=Path, metavar="FILE", help="the request before it, which filled the cache")
    add(
        "--gap",
        type=parse_gap,
        metavar="TIME",
        help="from the start of --after to the start of REQUEST; default 30s",
    )
    add("--model", metavar="MODEL", help="a Claude model id, in place of the request's own")
    add("--on", type=parse_day, metavar="DATE", help="the day of the call; default today (UTC)")
    add("--prices", type=Path, metavar="FILE", help="a TOML file of prices that come before ours")
    add("--json", action="store_true", help="print JSON; money as exact decimal strings")


def run(args: argparse.Namespace) -> int:
    """Predict, print."""
    if args.gap is not None and args.after is None:
        raise ConfigError("--gap is the time since --after FILE, which is missing")
    on = args.on or today_utc()
    prediction = _predict(args, load_catalog(args.prices), on)
    print(prediction_as_json(prediction) if args.json else prediction_as_text(prediction))
    return 0


def _predict(args: argparse.Namespace, catalog: Catalog, on: date) -> Prediction:
    cache, memo = PromptCache(), BlockMemo()
    now = _CLOCK_START
    before: Request | None = None
    if args.after is not None:
        before = _load(args.after)
        _fill(cache, before, _model(before, args, catalog, on), memo, now)
        now += args.gap if args.gap is not None else timedelta(seconds=30)
    request = _load(args.request, after=before)
    card, known = _model(request, args, catalog, on)
    key = fingerprint(request, known)
    view = replace(view_of(request, key, known, memo=memo), model=card.model, lineage_id="asked")
    forecast = cache.predict(view, now)
    usage = _served(forecast.usage, request, card)
    expected = cache.expect(view, forecast, now)
    return Prediction(
        view=view,
        fingerprint=key,
        forecast=forecast,
        usage=usage,
        cost=price(usage, card),
        expected=expected,
        expected_cost=ExpectedCost.of(expected, _rates(usage, card)),
    )


def _fill(
    cache: PromptCache,
    request: Request,
    model: tuple[RateCard, ModelTraits],
    memo: BlockMemo,
    now: datetime,
) -> None:
    """The request before: it began, its answer began, its writes are readable."""
    card, known = model
    view = view_of(request, fingerprint(request, known), known, memo=memo)
    view = replace(view, model=card.model, lineage_id="asked")
    forecast = cache.begin(view, now)
    cache.observe(view, forecast, began_at=now, first_byte_at=now + _FIRST_BYTE_AFTER)


def _load(path: Path, *, after: Request | None = None) -> Request:
    try:
        body = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {str(path)!r}: {error.strerror}") from error
    try:
        request = Request.parse(body, after=after)
    except RequestError as error:
        raise RequestError(f"{str(path)!r}: {error}") from error
    if b'"continue"' in (request.field("thread") or b""):
        raise RequestError(
            f"{str(path)!r} continues a message thread and holds only the new messages; "
            "its prompt is not in it. Take the request that created the thread in full"
        )
    return request


def _model(
    request: Request, args: argparse.Namespace, catalog: Catalog, on: date
) -> tuple[RateCard, ModelTraits]:
    name = args.model or request.model
    if not name:
        raise ConfigError("the request names no model; give one with --model")
    card = require_known(catalog, name, on=on)
    return card, catalog.traits(name) or ModelTraits(id=name)


def _served(usage: Usage, request: Request, card: RateCard) -> Usage:
    """The forecast with what else its price depends on, as the request asks for it."""
    fast = request.field("speed") == b'"fast"' and card.fast is not None
    us = request.field("inference_geo") == b'"us"' and bool(card.geo)
    return msgspec.structs.replace(
        usage, speed="fast" if fast else None, inference_geo="us" if us else None
    )


def _rates(usage: Usage, card: RateCard) -> Rates:
    """What one token of each kind costs in a request of this size, served like this."""
    factor = card.fast if usage.speed == "fast" and card.fast else ONE
    if usage.inference_geo:
        factor *= dict(card.geo)[usage.inference_geo]
    return effective_rates(card, prompt_tokens=usage.prompt, factor=factor)
