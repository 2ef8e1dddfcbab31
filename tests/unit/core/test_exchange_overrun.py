"""A stream that costs more than is held is ended behind an event; any other goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from farthing.core.budgets import Budget
from farthing.core.budgets_board import BudgetBoard
from farthing.core.exchange_overrun import StreamStopped
from farthing.ledger.memory import MemoryLedger
from farthing.pricing import catalog, price
from farthing.wire.usage import Usage
from tests.unit.driver.talks import (
    EVENTS,
    MODEL,
    NOW,
    FakeUpstream,
    Talk,
    body,
    call,
    event,
    setup,
    stream,
)

SEARCH = [{"type": "web_search_20250305", "name": "web_search"}]
DAY = "everything@day:2026-11-21T00:00Z"
CARD = catalog().require(MODEL, on=NOW)


def talk(**given: Any) -> Talk:
    budget = Budget(
        name="all", scope="everything", window="day", limit_pico=10**12, on_overrun="cut", **given
    )
    return Talk(setup=setup(board=BudgetBoard(budgets=(budget,))))


def searching(prompt: int, *, results: int = 0, end: bool = True) -> list[bytes]:
    """A stream whose prompt turns out larger than its bytes, with results of server tools."""
    usage = {"input_tokens": prompt, "output_tokens": 1}
    found = {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": []}
    chunks = [event("message_start", message={"id": "msg_1", "model": MODEL, "usage": usage})]
    chunks += [event("content_block_start", index=n, content_block=found) for n in range(results)]
    return chunks + stream()[1 if end else 5 :]


def asked() -> Any:
    return call(body(stream=True, tools=SEARCH, max_tokens=50))


def upstream(chunks: list[bytes]) -> FakeUpstream:
    return FakeUpstream(chunks, headers=EVENTS)


def error_in(said: bytes) -> dict[str, Any] | None:
    _, found, rest = said.partition(b"event: error\ndata: ")
    return json.loads(rest)["error"] if found else None


def test_a_stream_that_costs_more_than_is_held_is_ended_with_an_error_event():
    one, far = talk(), upstream(searching(900_000))

    seen = one.run(asked(), far)

    said = error_in(seen.body)
    assert said is not None
    assert (said["type"], "were held for it" in said["message"]) == ("billing_error", True)
    assert seen.body.startswith(far.chunks[0])
    assert far.chunks[1] not in seen.body
    assert far.closed
    ending = one.row().settlement
    assert ending is not None
    assert (ending.state, ending.error_type) == ("unsettled", "billing_error")
    assert "budget.cut" in ending.notes
    assert ending.usage is not None
    assert ending.usage.prompt == 900_000
    assert isinstance(one.ledger, MemoryLedger)
    assert one.ledger.spent_and_held(DAY)[1] == 0


def test_the_async_driver_ends_it_alike():
    seen = talk().run_async(asked(), upstream(searching(900_000)))

    assert error_in(seen.body) is not None


def test_a_stream_within_what_is_held_goes_on():
    one, far = talk(), upstream(searching(100, results=2))

    assert one.run(asked(), far).body == b"".join(far.chunks)


def test_results_of_server_tools_count_as_readings_of_the_prompt():
    held = talk()
    held.run(asked(), upstream(stream()))
    worst = held.row().opened.hold_pico
    assert worst is not None
    prompt = worst // CARD.rates_for(1).uncached // 2
    again = worst // (prompt * CARD.rates_for(1).cache_read) + 1

    assert error_in(talk().run(asked(), upstream(searching(prompt))).body) is None
    seen = talk().run(asked(), upstream(searching(prompt, results=again)))
    assert error_in(seen.body) is not None


LINK = {"type": "web_search_result", "url": "https://example.com", "encrypted_content": "x" * 900}
FAILED = {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}


def finding(*contents: Any, block: str = "web_search_tool_result") -> list[bytes]:
    """A stream whose searches found this, one after the other."""
    first, *rest = stream()
    results = [{"type": block, "tool_use_id": "srv_1", "content": each} for each in contents]
    starts = [
        event("content_block_start", index=n, content_block=each) for n, each in enumerate(results)
    ]
    return [first, *starts, *rest]


def few_searches(*, prices: Any = None, passes: int = 1) -> Talk:
    """A process in which a call holds so many passes: of one, $0.04."""
    budget = Budget(
        name="all", scope="everything", limit_pico=10**12, on_overrun="cut", passes=passes
    )
    board = BudgetBoard(budgets=(budget,))
    return Talk(setup=setup(board=board, prices=prices or catalog()))


@pytest.mark.parametrize("piece", [None, 7, 333])
def test_each_search_that_found_something_counts_with_its_fee(piece: int | None):
    chunks = finding(*[[LINK]] * 6)
    if piece is not None:
        whole = b"".join(chunks[1:-2])
        cut = [whole[at : at + piece] for at in range(0, len(whole), piece)]
        chunks = [chunks[0], *cut, *chunks[-2:]]
    one = few_searches()

    said = error_in(one.run(asked(), upstream(chunks)).body)

    assert said is not None
    row = one.row()
    assert row.settlement is not None
    assert "budget.cut" in row.settlement.notes
    assert error_in(few_searches().run(asked(), upstream(finding([LINK]))).body) is None
    held = few_searches(passes=2)
    assert error_in(held.run(asked(), upstream(finding(*[[LINK]] * 6))).body) is None


@pytest.mark.parametrize(
    ("content", "block"),
    [(FAILED, "web_search_tool_result"), ([LINK], "web_fetch_tool_result"), ([LINK], "text")],
)
def test_what_is_no_search_or_found_nothing_has_no_fee(content: Any, block: str):
    chunks = finding(*[content] * 6, block=block)

    assert error_in(few_searches().run(asked(), upstream(chunks)).body) is None


def test_a_block_that_cannot_be_read_stops_nothing():
    first, *rest = finding()
    broken = b"event: content_block_start\ndata: {\n\n"
    far = upstream([first, broken, *rest])

    assert few_searches().run(asked(), far).body == b"".join(far.chunks)


def test_without_a_price_for_searches_tokens_still_count():
    """Another model answers, whose searches nobody has priced."""
    other = "claude-haiku-4-5"
    listed = dict(catalog().listed)
    names = [name for name in listed if name.startswith(other)]
    for name in names:
        listed[name] = tuple(replace(card, web_search=None) for card in listed[name])
    prices = replace(catalog(), listed=listed)
    large, small = (
        [each.replace(MODEL.encode(), other.encode()) for each in chunks]
        for chunks in (searching(900_000, results=1), finding(*[[LINK]] * 6))
    )

    assert names
    assert error_in(few_searches(prices=prices).run(asked(), upstream(large)).body) is not None
    assert error_in(few_searches(prices=prices).run(asked(), upstream(small)).body) is None


def test_deltas_count_as_tokens_before_the_provider_counts_them():
    one = talk()
    deltas = stream(pieces=50_000)[:-2]

    seen = one.run(asked(), upstream([b"".join(deltas), *stream()[-2:]]))

    total = price(Usage(uncached=100, output=50_000), CARD).total
    assert total > (one.row().opened.hold_pico or 0)
    assert error_in(seen.body) is not None


def test_an_event_cut_in_two_is_waited_for():
    first, *rest = searching(900_000)

    seen = talk().run(asked(), upstream([first, rest[0][:10], rest[0][10:], *rest[1:]]))
    whole = talk().run(asked(), upstream([first + rest[0][:10], rest[0][10:], *rest[1:]]))

    assert seen.body.startswith(first + b"event: error")
    assert whole.body.startswith(first + rest[0] + b"event: error")


def test_an_answer_that_has_ended_is_not_stopped():
    one, far = talk(), upstream([b"".join(searching(900_000))])

    assert one.run(asked(), far).body == b"".join(far.chunks)


def test_without_a_price_for_who_answered_nothing_is_stopped():
    chunks = [each.replace(MODEL.encode(), b"claude-of-nobody") for each in searching(900_000)]
    far = upstream([event("ping"), *chunks])

    assert talk().run(asked(), far).body == b"".join(far.chunks)


def test_without_a_price_for_where_it_was_answered_nothing_is_stopped():
    chunks = [
        each.replace(b'"usage": {', b'"usage": {"inference_geo": "moon", ')
        for each in searching(900_000)
    ]
    far = upstream(chunks)

    assert talk().run(asked(), far).body == b"".join(far.chunks)


class Reversed:
    """An encoding of one's own: each chunk backwards."""

    def decode(self, chunk: bytes) -> bytes:
        return chunk[::-1]


def test_a_compressed_stream_is_cut():
    one = talk()
    one.decoding = lambda _: Reversed()
    chunks = [each[::-1] for each in searching(900_000)]
    far = FakeUpstream(chunks, headers=(*EVENTS, (b"content-encoding", b"reversed")))

    with pytest.raises(StreamStopped):
        one.run(asked(), far)
    ending = one.row().settlement
    assert ending is not None
    assert "budget.cut" in ending.notes


def test_the_budget_that_holds_least_decides_and_others_do_not_cut():
    finish = Budget(name="f", scope="key", limit_pico=10**12)
    board = BudgetBoard(budgets=(*talk().setup.board.budgets, finish))
    seen = Talk(setup=setup(board=board)).run(asked(), upstream(searching(900_000)))
    assert error_in(seen.body) is not None

    only = Talk(setup=setup(board=BudgetBoard(budgets=(finish,))))
    assert error_in(only.run(asked(), upstream(searching(900_000))).body) is None
