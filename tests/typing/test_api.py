"""The public API as its users' type checkers see it; mypy is what tests this file, pytest runs it.

``assert_type`` fails type checking where an annotation drifts, and does nothing at run time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any, assert_type

import anthropic
import pytest
from anthropic.types import MessageParam

import farthing
from farthing.errors import FarthingError, LoopEvidence, RequestError, UnpricedModelError
from farthing.ledger import MemoryLedger, SqliteLedger
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


def test_the_library_takes_and_gives_plain_values():
    match = farthing.LoopDetector(repeats=3, max_cycle_len=3).record(("read_file", "a.py"))
    messages = [{"role": "user", "content": "Hi"}]

    assert_type(match, farthing.LoopMatch | None)
    assert_type(farthing.select_model("classify", 100, policy="articles"), str)
    assert_type(farthing.estimate_cost("claude-sonnet-5-5", 10, 10, cached_tokens=5), float)
    assert_type(farthing.cost_per_task("claude-sonnet-5-5", usage={"input_tokens": 1}), float)
    assert_type(farthing.check_cache_hit({"input_tokens": 1})["cache_hit_rate"], float)
    assert_type(farthing.prune_messages(messages, 100), list[dict[str, str]])
    assert_type(farthing.summarize_history(messages)["content"], str)
    assert_type(farthing.cached({"messages": messages}), dict[str, Any])


def test_the_messages_of_the_sdk_keep_their_type():
    messages: list[MessageParam] = [{"role": "user", "content": "Hi"}]

    assert_type(farthing.prune_messages(messages), list[MessageParam])


def test_the_library_raises_typed_errors():
    budget = farthing.BudgetExceededError("spent", limit=5.0)

    assert_type(budget.limit, Decimal | float | None)
    assert_type(budget.scope, str | None)
    assert_type(farthing.LoopDetectedError("again").match, LoopEvidence | None)


def test_a_session_is_as_async_as_its_client():
    sync_client = anthropic.Anthropic(api_key="x")
    async_client = anthropic.AsyncAnthropic(api_key="x")
    session = farthing.session(budget_usd=5.0, system="Be brief.", tools=[], client=sync_client)

    assert_type(session, farthing.Session)
    assert_type(farthing.session(client=async_client), farthing.AsyncSession)
    assert_type(session.spent, float)
    assert_type(session.budget, float | None)
    assert_type(session.messages, list[dict[str, Any]])
    sync_client.close()


def batch_rows_are_typed(client: anthropic.Anthropic) -> None:
    """Never run: it would need Claude."""
    id_ = farthing.batch.submit([{"custom_id": "a", "user_message": "Hi"}], client=client)

    assert_type(id_, str)
    for row in farthing.batch.results(id_, wait=True, client=client):
        assert_type(row["custom_id"], str)
        if "error" in row:
            assert_type(row["error"], str)
        else:
            assert_type(row["text"], str)


def test_tasks_and_the_middleware_are_typed():
    with farthing.task("fix-bug", task_id="bug-1") as task:
        assert_type(task, farthing.Task)
        assert_type(task.cost_usd, Decimal)
        assert_type(task.parent_id, str | None)
        assert_type(task.headers(), dict[str, str])

    with farthing.Farthing(ledger=MemoryLedger(), cache="auto", task_usd="0.5") as middleware:
        assert_type(middleware, farthing.Farthing)
        assert_type(middleware.ledger, MemoryLedger | SqliteLedger)
        taken: list[anthropic.Middleware] = [middleware]  # as both clients take it
    assert taken == [middleware]
