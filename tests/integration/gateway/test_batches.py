"""Batches through the gateway: their results pass here, and each item is booked once."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anthropic
import pytest

from farthing.compose import RunningGateway, running_gateway
from farthing.config import Settings
from farthing.core.records import ExchangeRow, Refused
from farthing.lab.emulator import RunningEmulator, emulator
from farthing.ledger.checking import check
from tests.integration.gateway.raw_http import (
    RawClient,
    RawUpstream,
    http_answer,
    http_request,
)
from tests.waiting import eventually

MODEL = "claude-opus-4-5"
KEY = "sk-emu-acme"
PARAMS: Any = {
    "model": MODEL,
    "max_tokens": 50,
    "messages": [{"role": "user", "content": "hello"}],
}
REQUESTS: list[Any] = [{"custom_id": f"row-{n}", "params": PARAMS} for n in range(3)]
TASK = {"x-farthing-task": "nightly", "x-farthing-task-type": "import"}
PATH = "/v1/messages/batches"


@pytest.fixture
def emu() -> Iterator[RunningEmulator]:
    with emulator() as running:
        yield running


@contextmanager
def gateway(emu: RunningEmulator, folder: Path, **given: Any) -> Iterator[RunningGateway]:
    settings = Settings(upstream=emu.url, port=0, ledger=str(folder / "ledger.db"), **given)
    with running_gateway(settings) as running:
        yield running


def sdk(running: RunningGateway, key: str = KEY) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=running.url, api_key=key, max_retries=0)


def items(running: RunningGateway) -> list[ExchangeRow]:
    running.ledger.flush()
    return [row for row in running.ledger.rows() if row.opened.endpoint == "batch_item"]


def assert_booked_at_half_price(rows: list[ExchangeRow], emu: RunningEmulator) -> None:
    assert [row.state for row in rows] == ["settled"] * len(REQUESTS)
    cost = 0
    for row in rows:
        assert row.settlement is not None
        usage = row.settlement.usage
        assert usage is not None
        assert row.settlement.cost is not None
        cost += row.settlement.cost.total
    bills = [line.bill.everything for line in emu.billed]
    # 5 and 25 $/Mtok, half of it in a batch
    assert cost == sum(a.uncached * 2_500_000 + output * 12_500_000 for a, output in bills)
    assert len(bills) == len(REQUESTS)


# -- the SDK --------------------------------------------------------------------------------------


@pytest.mark.parametrize("own_key", [None, KEY], ids=["the client's key", "the gateway's key"])
def test_the_results_that_the_sdk_reads_are_booked_once_at_half_the_price(
    emu: RunningEmulator, tmp_path: Path, own_key: str | None
) -> None:
    given = {} if own_key is None else {"api_key": own_key, "batch_poll_seconds": 0.0}
    with (
        gateway(emu, tmp_path, **given) as running,
        sdk(running, "nobody" if own_key else KEY) as claude,
    ):
        batch = claude.messages.batches.create(requests=REQUESTS, extra_headers=TASK)
        emu.advance(7200)
        ended = claude.messages.batches.retrieve(batch.id)
        for _ in range(2):
            read = [result.result.type for result in claude.messages.batches.results(batch.id)]
            assert read == ["succeeded"] * 3

        assert ended.results_url == f"{running.url}{PATH}/{batch.id}/results"
        assert eventually(lambda: ending(running)) == "booked"
        rows = items(running)
        assert_booked_at_half_price(rows, emu)
        assert {row.opened.attribution.task_id for row in rows} == {"nightly"}
        assert {row.opened.attribution.task_type for row in rows} == {"import"}


def test_creating_a_batch_is_a_row_of_its_task_that_costs_nothing(
    emu: RunningEmulator, tmp_path: Path
) -> None:
    with gateway(emu, tmp_path) as running, sdk(running) as claude:
        claude.messages.batches.create(requests=REQUESTS, extra_headers=TASK)
        running.ledger.flush()
        [row] = running.ledger.rows()

    assert row.opened.attribution.task_id == "nightly"
    assert row.opened.hold_pico is None
    assert row.settlement is not None
    assert row.settlement.cost is not None
    assert row.settlement.cost.total == 0


def test_what_a_batch_cost_counts_as_spent_in_its_tasks_budget(
    emu: RunningEmulator, tmp_path: Path
) -> None:
    with gateway(emu, tmp_path, task_usd=10**12) as running, sdk(running) as claude:
        batch = claude.messages.batches.create(requests=REQUESTS, extra_headers=TASK)
        emu.advance(7200)
        list(claude.messages.batches.results(batch.id))
        # the last line is read before it is booked
        assert eventually(lambda: ending(running)) == "booked"
        endings = [row.settlement for row in items(running)]
        spent = sum(ending.cost.total for ending in endings if ending and ending.cost)
        now = items(running)[0].opened.opened_at
        refused = running.ledger.hold(
            "task:nightly", 10**12, 10**12, reservation_id="probe", now=now
        )

    assert spent > 0
    assert isinstance(refused, Refused)
    assert (refused.spent_pico, refused.held_pico) == (spent, 0)
    assert {finding.level for finding in check(tmp_path / "ledger.db")} == {"ok"}


# -- the poller -----------------------------------------------------------------------------------


def test_a_batch_nobody_reads_is_booked_with_the_gateways_own_key(
    emu: RunningEmulator, tmp_path: Path
) -> None:
    with (
        gateway(emu, tmp_path, api_key=KEY, batch_poll_seconds=0.02) as running,
        sdk(running) as claude,
    ):
        batch = claude.messages.batches.create(requests=REQUESTS, extra_headers=TASK)
        assert eventually(lambda: asked(emu, f"{PATH}/{batch.id}") > 2)
        assert items(running) == []
        emu.advance(7200)
        assert eventually(lambda: ending(running)) == "booked"
        assert_booked_at_half_price(items(running), emu)
        assert asked(emu, f"{PATH}/{batch.id}/results") == 1
        polls = asked(emu, f"{PATH}/{batch.id}")
        time.sleep(0.2)

        assert asked(emu, f"{PATH}/{batch.id}") == polls
        assert {row.opened.attribution.task_id for row in items(running)} == {"nightly"}


def asked(emu: RunningEmulator, path: str) -> int:
    return sum(received.http_request.path == path for received in emu.requests)


def test_a_batch_is_booked_by_the_next_process_if_this_one_ends(
    emu: RunningEmulator, tmp_path: Path
) -> None:
    with (
        gateway(emu, tmp_path, api_key=KEY, batch_poll_seconds=100.0) as running,
        sdk(running) as claude,
    ):
        claude.messages.batches.create(requests=REQUESTS, extra_headers=TASK)
    emu.advance(7200)
    with gateway(emu, tmp_path, api_key=KEY, batch_poll_seconds=0.02) as running:
        assert eventually(lambda: ending(running)) == "booked"
        assert_booked_at_half_price(items(running), emu)
        assert {row.opened.attribution.task_id for row in items(running)} == {"nightly"}


def test_polling_goes_on_after_failures(emu: RunningEmulator, tmp_path: Path) -> None:
    with (
        gateway(emu, tmp_path, api_key=KEY, batch_poll_seconds=0.01) as running,
        sdk(running) as claude,
    ):
        emu.fault("status=529", times=2, path="/results")
        claude.messages.batches.create(requests=REQUESTS)
        emu.advance(7200)

        assert eventually(lambda: ending(running)) == "booked"
        assert_booked_at_half_price(items(running), emu)


def test_a_batch_that_was_deleted_is_given_up_and_said(
    emu: RunningEmulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        gateway(emu, tmp_path, api_key=KEY, batch_poll_seconds=100.0) as running,
        sdk(running) as claude,
    ):
        batch = claude.messages.batches.create(requests=REQUESTS)
        emu.advance(7200)
        claude.messages.batches.retrieve(batch.id)
        claude.messages.batches.delete(batch.id)
    with (
        caplog.at_level(logging.WARNING, logger="farthing"),
        gateway(emu, tmp_path, api_key=KEY, batch_poll_seconds=0.02),
    ):
        assert eventually(lambda: "batch.lost" in actions(caplog))


def actions(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [getattr(record, "action", "") for record in caplog.records]


def test_without_a_key_of_its_own_the_gateway_asks_nothing_and_says_so(
    emu: RunningEmulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING, logger="farthing"),
        gateway(emu, tmp_path, batch_poll_seconds=0.01) as running,
        sdk(running) as claude,
    ):
        for _ in range(2):
            claude.messages.batches.create(requests=REQUESTS)
        time.sleep(0.1)
        with RawClient(running.url) as client:
            client.send(http_request("GET", "/readyz"))
            ready = client.answer()

    assert [received.http_request.method for received in emu.requests] == ["POST", "POST"]
    assert actions(caplog).count("batch.not_polled") == 1
    assert ready.status == 200
    assert ready.body.startswith(b"ready\n2 batches are not polled")


# -- answers of other servers ---------------------------------------------------------------------

CREATED = b'{"id":"msgbatch_1","type":"message_batch","processing_status":"in_progress"}'
ENDED = b'{"id":"msgbatch_1","type":"message_batch","processing_status":"ended"}'
ARCHIVED = ENDED.replace(b"}", b',"archived_at":"2026-11-21T00:00:00Z"}')
LINE = (
    b'{"custom_id":"a","result":{"type":"succeeded","message":{"model":"claude-opus-4-5",'
    b'"usage":{"input_tokens":100,"output_tokens":0}}}}'
)


def test_whatever_the_answers_to_polling_are_the_batch_is_booked_in_the_end(
    upstream: RawUpstream, tmp_path: Path
) -> None:
    upstream.reply(
        http_answer(CREATED),
        http_answer(b"no json"),
        http_answer(b"{}", status=b"401 Unauthorized"),
        lambda connection: connection.close(),
        http_answer(ENDED),
        http_answer(LINE + b"\nno result\n"),
        http_answer(ENDED),
        http_answer(LINE),
    )
    settings = Settings(
        upstream=upstream.url,
        port=0,
        ledger=str(tmp_path / "ledger.db"),
        api_key=KEY,
        batch_poll_seconds=0.003,
    )
    with running_gateway(settings) as running:
        with RawClient(running.url) as client:
            client.send(http_request("POST", PATH, b"{}"))
            assert client.answer().body == CREATED
        assert eventually(lambda: ending(running)) == "booked"
        assert [row.opened.exchange_id for row in items(running)] == ["msgbatch_1:a"]

    for received in upstream.received[1:]:
        assert received.values(b"x-api-key") == [KEY.encode()]
        assert received.values(b"anthropic-version") == [b"2023-06-01"]


def ending(running: RunningGateway) -> str | None:
    [known] = running.ledger.batches(created_from=datetime(2000, 1, 1, tzinfo=UTC))
    return known.ending


@pytest.mark.parametrize(
    "answer", [http_answer(ARCHIVED), http_answer(b"{}", status=b"404 Not Found")]
)
def test_a_batch_whose_results_are_gone_is_lost_and_asked_about_no_more(
    upstream: RawUpstream, tmp_path: Path, answer: bytes
) -> None:
    upstream.reply(http_answer(CREATED), answer)
    settings = Settings(
        upstream=upstream.url,
        port=0,
        ledger=str(tmp_path / "ledger.db"),
        api_key=KEY,
        batch_poll_seconds=0.01,
    )
    with running_gateway(settings) as running:
        with RawClient(running.url) as client:
            client.send(http_request("POST", PATH, b"{}"))
            client.answer()
        assert eventually(lambda: ending(running)) == "lost"
        time.sleep(0.1)

    assert len(upstream.received) == 2
