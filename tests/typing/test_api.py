"""The public API as its users' type checkers see it; mypy is what tests this file, pytest runs it.

``assert_type`` fails type checking where an annotation drifts, and does nothing at run time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import assert_type

import pytest

import farthing
from farthing.errors import FarthingError, RequestError, UnpricedModelError
from farthing.pricing import Cost, RateCard, catalog, find_card, price, require_card, traits
from farthing.wire.blocks import Block, CacheControl, Message
from farthing.wire.meter import StreamMeter
from farthing.wire.models import ModelTraits
from farthing.wire.request import Request
from farthing.wire.usage import Iteration, Usage

BODY = b'{"model":"claude-sonnet-5","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}'
DAY = date(2026, 11, 1)


def test_the_version_is_a_string():
    assert_type(farthing.__version__, str)


def test_a_request_shows_typed_views():
    request = Request.parse(BODY)

    assert_type(request, Request)
    assert_type(request.body, bytes)
    assert_type(request.model, str | None)
    assert_type(request.max_tokens, int | None)
    assert_type(request.stream, bool)
    assert_type(request.field("metadata"), bytes | None)
    assert_type(request.blocks, Sequence[Block])
    assert_type(request.messages, Sequence[Message])


def test_a_block_shows_typed_views():
    block = Request.parse(BODY).blocks[0]

    assert_type(block.address, str)
    assert_type(block.kind, str)
    assert_type(block.raw, bytes)
    assert_type(block.text, str | None)
    assert_type(block.cache_control, CacheControl | None)
    assert_type(block.digest, bytes)
    assert_type(block.get("type"), bytes | None)


def test_usage_is_counted_in_integers():
    usage = Usage(uncached=3, output=4)

    assert_type(usage.prompt, int)
    assert_type(usage.cache_write_1h, int)
    assert_type(usage.iterations, tuple[Iteration, ...])
    assert_type(StreamMeter().usage, Usage | None)


def test_a_card_may_be_missing_and_a_cost_may_not():
    card = require_card("claude-sonnet-5", on=DAY)
    cost = price(Usage(uncached=1), card, cards=catalog().on(DAY))

    assert_type(find_card("claude-sonnet-5", on=DAY), RateCard | None)
    assert_type(traits("claude-sonnet-5"), ModelTraits | None)
    assert_type(card, RateCard)
    assert_type(cost, Cost)
    assert_type(cost.usd, Decimal)


def test_errors_are_caught_by_who_must_act():
    with pytest.raises(RequestError) as unreadable:
        Request.parse(b"{")
    with pytest.raises(UnpricedModelError) as unpriced:
        require_card("no-such-model", on=DAY)

    assert_type(unreadable.value.code, str)
    assert_type(unpriced.value.model, str)
    assert issubclass(RequestError, FarthingError)
