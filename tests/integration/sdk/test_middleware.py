"""The middleware in a program: the SDK behaves as without it, and every call is in the ledger."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx2
import pytest

import farthing
from farthing.core.budgets import Budget
from farthing.core.records import ExchangeRow, Settlement
from farthing.errors import ConfigError
from farthing.lab.emulator import RunningEmulator
from farthing.ledger import MemoryLedger, SqliteLedger
from farthing.ledger.budgets_file import BudgetFile, budgets_path
from tests.integration.gateway.raw_http import RawUpstream, raw_upstream

HAIKU = "claude-haiku-5-5"
ASKED: dict[str, Any] = {
    "model": HAIKU,
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "What is a farthing?"}],
}
#: what differs between two identical calls anyway
INCIDENTAL = {"host", "x-stainless-raw-response"}

START = b"""event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",\
"content":[],"model":"claude-haiku-5-5","stop_reason":null,"usage":{"input_tokens":9,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":"A"}}

""".replace(b"\\\n", b"")

MakeClient = Callable[..., anthropic.Anthropic]


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def middleware(ledger: MemoryLedger) -> Iterator[farthing.Farthing]:
    with farthing.Farthing(ledger=ledger) as made:
        yield made


@pytest.fixture
def made(emu: RunningEmulator) -> Iterator[MakeClient]:
    """Makes clients of the test's emulator."""
    clients: list[anthropic.Anthropic] = []

    def make(*middleware: Any, **more: Any) -> anthropic.Anthropic:
        values: dict[str, Any] = {"base_url": emu.url, "api_key": emu.api_key, "max_retries": 0}
        clients.append(anthropic.Anthropic(**values | {"middleware": middleware} | more))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def slow() -> Iterator[RawUpstream]:
    """An upstream that begins a stream and then says nothing more, or says nothing at all."""
    with raw_upstream() as upstream:
        yield upstream


def silent(connection: socket.socket) -> None:
    connection.recv(1)  # until the client is gone


def half(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + START)
    silent(connection)


def only(ledger: MemoryLedger | SqliteLedger) -> ExchangeRow:
    (row,) = ledger.rows()
    return row


def end(ledger: MemoryLedger | SqliteLedger) -> Settlement:
    ending = only(ledger).settlement
    assert ending is not None
    return ending


# --- the SDK is as it was -------------------------------------------------------------------------


def test_bytes_and_headers_are_those_of_a_client_without_it(made, middleware, emu):
    asked = ASKED | {"metadata": {"user_id": "ü"}, "extra_body": {"new_field": [1.0, 2**70]}}
    for client in (made(), made(middleware)):
        client.messages.create(**asked)
        client.messages.create(**asked, stream=True).close()

    plain, plain_stream, metered, metered_stream = (one.http_request for one in emu.requests)

    assert (metered.body, metered_stream.body) == (plain.body, plain_stream.body)
    for with_us, without in ((metered, plain), (metered_stream, plain_stream)):
        assert _steady(with_us.headers) == _steady(without.headers)


def _steady(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in INCIDENTAL}


def test_an_answer_is_the_object_that_the_sdk_makes(made, middleware):
    answer = made(middleware).messages.create(**ASKED)
    raw = made(middleware).messages.with_raw_response.create(**ASKED)

    assert isinstance(answer, anthropic.types.Message)
    assert answer._request_id is not None
    assert isinstance(raw.parse(), anthropic.types.Message)
    assert raw.headers["request-id"].startswith("req_")
    assert raw.http_response.elapsed.total_seconds() > 0


def test_a_streamed_raw_response_has_the_bytes_of_the_answer(made, middleware, ledger):
    with made(middleware).messages.with_streaming_response.create(**ASKED) as response:
        raw = b"".join(response.http_response.iter_raw())

    assert raw.startswith(b"{")
    assert end(ledger).response_bytes == len(raw)
    assert response.http_response.elapsed.total_seconds() > 0


def test_our_own_headers_stay_here_also_where_they_are_a_clients_defaults(made, middleware, emu):
    client = made(middleware, default_headers={"x-farthing-key": "team-a", "x-other": "1"})
    client.messages.create(**ASKED, extra_headers={"X-Farthing-Task": "t-1"})

    (received,) = emu.requests
    assert [name for name in received.http_request.headers if name.startswith("x-farthing")] == []
    assert received.http_request.headers["x-other"] == "1"


def test_an_error_is_the_sdks_own(made, middleware, ledger):
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        made(middleware).messages.create(**ASKED | {"max_tokens": -1})

    assert (end(ledger).http_status, str(end(ledger).cost)) == (400, "0")


def test_no_connection_is_the_sdks_error_and_costs_nothing(made, middleware, ledger):
    client = made(middleware, base_url="http://127.0.0.1:9", max_retries=1)

    with pytest.raises(anthropic.APIConnectionError) as raised:
        client.messages.create(**ASKED)

    assert isinstance(raised.value.__cause__, httpx2.ConnectError)
    assert (only(ledger).state, end(ledger).attempts) == ("released", 2)


def test_an_answer_that_is_too_late_is_the_sdks_error_and_an_interval(
    made, middleware, ledger, slow
):
    slow.reply(silent)
    client = made(middleware, base_url=slow.url, timeout=0.2)

    with pytest.raises(anthropic.APITimeoutError):
        client.messages.create(**ASKED)

    assert only(ledger).state == "unsettled"
    assert (end(ledger).high_pico or 0) > 0


def test_a_request_that_cannot_be_made_was_never_sent(made, middleware, ledger, emu):
    client = made(middleware)
    with pytest.raises(TypeError):
        client.messages.create(**ASKED, metadata={"user_id": object()})

    assert emu.requests == []
    assert list(ledger.rows()) == []


@pytest.mark.parametrize("is_metered", [True, False])
def test_a_stream_that_is_cut_raises_what_the_transport_raises(made, middleware, emu, is_metered):
    emu.fault("cut=3")
    client = made(*[middleware] if is_metered else [])

    with pytest.raises(httpx2.RemoteProtocolError):
        list(client.messages.create(**ASKED, stream=True))


# --- what is booked -------------------------------------------------------------------------------


def test_the_attempts_of_a_call_are_one_exchange(made, middleware, ledger, emu):
    emu.fault("status=529 retry-after=0.01", times=2)

    made(middleware, max_retries=2).messages.create(**ASKED)

    assert len(emu.requests) == 3
    assert (only(ledger).state, end(ledger).attempts) == ("settled", 3)


def test_the_same_call_made_twice_is_two_exchanges(made, middleware, ledger, emu):
    emu.fault("status=529 retry-after=0.01", times=1)
    client = made(middleware)
    with pytest.raises(anthropic.APIStatusError):
        client.messages.create(**ASKED)
    client.messages.create(**ASKED)

    assert [row.settlement.attempts for row in ledger.rows()] == [1, 1]


@pytest.mark.parametrize("how", ["closed", "dropped", "left"])
def test_a_stream_given_up_half_way_is_an_interval(made, middleware, ledger, slow, how):
    slow.reply(half)
    client = made(middleware, base_url=slow.url)
    if how == "left":
        with client.messages.stream(**ASKED) as managed:
            next(iter(managed))
    else:
        stream = client.messages.create(**ASKED, stream=True)
        next(stream)
        if how == "closed":
            stream.close()
        del stream

    assert only(ledger).state == "unsettled"
    assert 0 < (end(ledger).low_pico or 0) < (end(ledger).high_pico or 0)


@pytest.mark.parametrize("reply", [silent, half], ids=["before the head", "in mid-stream"])
def test_a_cancelled_job_leaves_an_interval(middleware, ledger, slow, reply):
    slow.reply(reply)

    async def run() -> None:
        async with (
            anthropic.AsyncAnthropic(
                base_url=slow.url, api_key="k", middleware=[middleware]
            ) as client,
            asyncio.timeout(0.3),
            client.messages.stream(**ASKED) as stream,
        ):
            async for _ in stream:
                pass

    with pytest.raises(TimeoutError):
        asyncio.run(run())

    assert only(ledger).state == "unsettled"


def test_the_items_of_a_batch_belong_to_the_task_that_created_it(made, middleware, ledger, emu):
    client = made(middleware)
    with farthing.task("bulk") as bulk:
        rows: Any = [{"custom_id": "a", "params": ASKED}]
        batch = client.messages.batches.create(requests=rows)
    emu.advance(7_200)

    for _ in range(2):
        assert [row.custom_id for row in client.messages.batches.results(batch.id)] == ["a"]

    (item,) = (row for row in ledger.rows() if row.opened.endpoint == "batch_item")
    assert item.opened.attribution.task_id == bulk.id


def test_cache_auto_asks_for_the_prompt_cache(made, ledger, emu):
    long = ASKED | {"system": "Be brief. " * 5_000}
    with farthing.Farthing(ledger=ledger, cache="auto") as middleware:
        client = made(middleware)
        client.messages.create(**long)
        answer = client.messages.create(**long)

    assert (answer.usage.cache_read_input_tokens or 0) > 0
    assert [row.settlement.plan for row in ledger.rows()] == [("+cache.auto",)] * 2


# --- budgets --------------------------------------------------------------------------------------


def test_a_call_that_a_budget_does_not_hold_is_refused_once_and_never_sent(made, ledger, emu):
    with farthing.Farthing(ledger=ledger, task_usd="0.0001") as middleware:
        client = made(middleware, max_retries=5)
        with (
            farthing.task("dear") as dear,
            pytest.raises(farthing.BudgetExceededError, match="raise the budget") as raised,
        ):
            client.messages.create(**ASKED)

    assert emu.requests == []
    assert (only(ledger).state, end(ledger).notes) == ("released", ("budget.refused",))
    assert raised.value.scope == f"task:{dear.id}"
    assert str(raised.value.limit) == "0.0001"
    assert (raised.value.estimated or 0) > 0


def test_a_budget_over_a_window_says_scope_limit_spent_held_and_reset(made, tmp_path, emu):
    place = tmp_path / "ledger.db"
    budget = Budget(name="team", scope="everything", limit_pico=10**8, window="day")
    BudgetFile(budgets_path(place)).change(lambda _: (budget,))
    with farthing.Farthing(ledger=place) as middleware:
        client = made(middleware, max_retries=5)
        with pytest.raises(farthing.BudgetExceededError, match="'team'") as raised:
            client.messages.create(**ASKED)

    assert emu.requests == []
    said = raised.value
    assert str(said.scope).startswith("everything@day:")
    assert (str(said.limit), said.spent, said.held) == ("0.0001", 0, 0)
    assert said.resets_at is not None
    assert (said.estimated or 0) > 0.0001


def test_budget_usd_is_what_a_task_may_spend(made, ledger, emu):
    with farthing.Farthing(ledger=ledger, budget_usd=0.0001) as middleware:
        with farthing.task("dear") as dear, pytest.raises(farthing.BudgetExceededError) as raised:
            made(middleware).messages.create(**ASKED)
        assert raised.value.scope == f"task:{dear.id}"

    with pytest.raises(ConfigError, match="give one of them"):
        farthing.Farthing(ledger=ledger, budget_usd=1, task_usd=1)


def test_the_rows_of_a_batch_are_held_until_they_are_booked(made, tmp_path, emu):
    place = tmp_path / "ledger.db"
    budget = Budget(name="all", scope="everything", limit_pico=10**12, mode="strict")
    BudgetFile(budgets_path(place)).change(lambda _: (budget,))
    rows: Any = [{"custom_id": f"r{n}", "params": ASKED} for n in range(3)]
    key = "everything@total"
    with farthing.Farthing(ledger=place) as middleware:
        client = made(middleware)
        batch = client.messages.batches.create(requests=rows)
        spent, held = middleware.ledger.spent_and_held(key)
        assert (spent, held > 0) == (0, True)
        gone = client.messages.batches.create(requests=rows)
        client.messages.batches.cancel(gone.id)
        emu.advance(7_200)
        assert client.messages.batches.retrieve(gone.id).request_counts.succeeded == 0
        assert middleware.ledger.spent_and_held(key) == (0, held)
        list(client.messages.batches.results(batch.id))
        spent, held = middleware.ledger.spent_and_held(key)
        assert (spent > 0, held) == (True, 0)


def test_a_batch_that_a_budget_does_not_hold_is_never_sent(made, ledger, emu):
    rows: Any = [{"custom_id": "a", "params": ASKED}]
    with farthing.Farthing(ledger=ledger, budget_usd="0.00001") as middleware:
        client = made(middleware, max_retries=5)
        with pytest.raises(farthing.BudgetExceededError, match="rows of this batch") as raised:
            client.messages.batches.create(requests=rows)

    assert emu.requests == []
    assert (raised.value.estimated or 0) > (raised.value.limit or 0)
    assert end(ledger).notes == ("budget.refused",)


def test_a_budget_may_be_said_for_one_call(made, middleware, emu):
    headers = {"x-farthing-budget-usd": "0.000001"}

    with pytest.raises(farthing.BudgetExceededError):
        made(middleware).messages.create(**ASKED, stream=True, extra_headers=headers)

    assert emu.requests == []


def test_an_async_call_is_refused_alike(ledger, emu):
    async def run(middleware: farthing.Farthing) -> None:
        async with anthropic.AsyncAnthropic(
            base_url=emu.url, api_key=emu.api_key, middleware=[middleware]
        ) as client:
            await client.messages.create(**ASKED)

    with (
        farthing.Farthing(ledger=ledger, task_usd=0.0001) as middleware,
        pytest.raises(farthing.BudgetExceededError),
    ):
        asyncio.run(run(middleware))

    assert emu.requests == []


# --- our own faults -------------------------------------------------------------------------------


def test_a_ledger_that_cannot_write_costs_the_record_and_no_call(made, tmp_path, caplog):
    ledger = SqliteLedger(tmp_path / "ledger.db")
    middleware = farthing.Farthing(ledger=ledger)
    ledger.close()

    with caplog.at_level(logging.WARNING):
        answer = made(middleware).messages.create(**ASKED)
        with made(middleware).messages.stream(**ASKED) as stream:
            streamed = stream.get_final_message()

    assert answer.usage.output_tokens > 0
    assert streamed.usage.output_tokens > 0
    assert any("ledger" in record.getMessage() for record in caplog.records)


def test_another_middleware_may_answer_by_itself(made, middleware, ledger, emu):
    answer = made().messages.create(**ASKED)

    def remembered(request: anthropic.APIRequest, call_next: anthropic.CallNext) -> Any:
        return answer

    assert made(middleware, remembered).messages.create(**ASKED) is answer
    assert len(emu.requests) == 1
    assert only(ledger).state == "released"
