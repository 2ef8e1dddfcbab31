"""What each setting of a gateway changes, seen from outside; that each is read is a meta test."""

from __future__ import annotations

import io
import json
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from farthing.cli.logs import configure_logging
from farthing.compose import RunningGateway, running_gateway
from farthing.config import Settings
from farthing.errors import LedgerError
from farthing.ledger import SqliteLedger
from tests.contract.exchanges import opened, settled
from tests.integration.gateway.raw_http import (
    RawAnswer,
    RawClient,
    RawUpstream,
    chunked,
    http_answer,
    http_request,
    says_nothing_more,
)
from tests.integration.gateway.test_bytes import BODIES, JSON, MESSAGE, STREAM
from tests.waiting import eventually

STREAMED = BODIES["plain"].replace(b"{", b'{"stream":true,', 1)


@contextmanager
def gateway(upstream: str, folder: Path, **given: Any) -> Iterator[RunningGateway]:
    settings = Settings(upstream=upstream, port=0, ledger=str(folder / "ledger.db"), **given)
    with running_gateway(settings) as running:
        yield running


def ask(running: RunningGateway, method: str, path: str, body: bytes = b"") -> RawAnswer:
    with RawClient(running.url) as client:
        client.send(http_request(method, path, body, JSON))
        return client.answer()


def call(running: RunningGateway, body: bytes = BODIES["plain"]) -> RawAnswer:
    return ask(running, "POST", "/v1/messages", body)


def until(goal: int, running: RunningGateway) -> int:
    """How many rows there are, once there are so many."""
    eventually(lambda: sum(1 for _ in running.ledger.rows()) == goal)
    return sum(1 for _ in running.ledger.rows())


# -- the record -----------------------------------------------------------------------------------


def old_rows(folder: Path) -> None:
    ledger = SqliteLedger(folder / "ledger.db")
    now = datetime.now(UTC)
    for days in (1, 5, 9):
        name = f"x{days}"
        ledger.open(opened(name, opened_at=now - timedelta(days=days)))
        ledger.settle(settled(name))
    ledger.close()


@pytest.mark.parametrize(("days", "left"), [(0, 3), (7, 2), (3, 1)])
def test_rows_older_than_the_retention_go(
    upstream: RawUpstream, tmp_path: Path, days: int, left: int
) -> None:
    old_rows(tmp_path)
    with gateway(upstream.url, tmp_path, retention_days=days) as running:
        assert until(left, running) == left


def test_a_retention_that_fails_once_does_not_stop_the_gateway(
    upstream: RawUpstream,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> int:
        raise LedgerError("the disk is full")

    monkeypatch.setattr(SqliteLedger, "delete_before", fail)
    with gateway(upstream.url, tmp_path, retention_days=1) as running:
        assert call(running).status == 200
    assert "ledger.not_deleted" in [getattr(record, "action", "") for record in caplog.records]


# -- the way upstream -----------------------------------------------------------------------------


def test_an_upstream_that_is_silent_for_too_long_is_a_504(
    upstream: RawUpstream, tmp_path: Path
) -> None:
    upstream.reply(says_nothing_more)
    with gateway(upstream.url, tmp_path, silence_seconds=0.2) as running:
        begun = time.monotonic()
        answer = call(running)
        took = time.monotonic() - begun
        running.ledger.flush()
        states = [row.state for row in running.ledger.rows()]

    assert (answer.status, states) == (504, ["unsettled"])
    assert took > 0.15
    assert json.loads(answer.body)["error"]["type"] == "timeout_error"


def test_a_stream_that_falls_silent_is_cut(upstream: RawUpstream, tmp_path: Path) -> None:
    def stop(connection: socket.socket) -> None:
        connection.sendall(b"".join(chunked(*STREAM)[:4]))
        says_nothing_more(connection)

    upstream.reply(stop)
    with gateway(upstream.url, tmp_path, silence_seconds=0.2) as running:
        with pytest.raises(ConnectionError):
            call(running, STREAMED)
        running.ledger.flush()
        [row] = running.ledger.rows()

    assert row.state == "unsettled"


def test_connecting_takes_no_longer_than_it_may(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        # nobody accepts: beyond the backlog a connection is neither made nor refused
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        with gateway(f"http://127.0.0.1:{port}", tmp_path, connect_seconds=0.3) as running:
            begun = time.monotonic()
            answer = call(running)
            took = time.monotonic() - begun
        for each in waiting:
            each.close()

    assert answer.status == 502
    assert "no connection" in json.loads(answer.body)["error"]["message"]
    # without the setting it would be ten seconds
    assert 0.2 < took < 9


# -- limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "costs"), [(len(MESSAGE), [b"0.000135"]), (10, [])])
def test_a_plain_answer_beyond_the_limit_passes_unmetered(
    upstream: RawUpstream, tmp_path: Path, limit: int, costs: list[bytes]
) -> None:
    upstream.reply(http_answer(MESSAGE))
    with gateway(upstream.url, tmp_path, answer_limit=limit) as running:
        answer = call(running)

    assert answer.body == MESSAGE
    assert answer.values(b"x-farthing-cost-usd") == costs


# -- figures and log ------------------------------------------------------------------------------


@pytest.mark.parametrize(("is_on", "status"), [(True, 200), (False, 404)])
def test_the_figures_can_be_switched_off(
    upstream: RawUpstream, tmp_path: Path, is_on: bool, status: int
) -> None:
    with gateway(upstream.url, tmp_path, metrics=is_on) as running:
        assert ask(running, "GET", "/metrics").status == status


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    logger = logging.getLogger("farthing")
    before = (logger.handlers, logger.level, logger.propagate)
    yield io.StringIO()
    logger.handlers, logger.level, logger.propagate = before


@pytest.mark.parametrize(("level", "lines"), [("debug", 1), ("info", 1), ("warning", 0)])
def test_the_level_decides_what_is_logged(
    upstream: RawUpstream, tmp_path: Path, log: io.StringIO, level: str, lines: int
) -> None:
    configure_logging(level, "text", log)
    upstream.reply(http_answer(MESSAGE))
    with gateway(upstream.url, tmp_path) as running:
        call(running)

    assert log.getvalue().count("exchange settled") == lines


def test_the_format_decides_how(upstream: RawUpstream, tmp_path: Path, log: io.StringIO) -> None:
    configure_logging("info", "json", log)
    upstream.reply(http_answer(MESSAGE))
    with gateway(upstream.url, tmp_path) as running:
        call(running)

    line, last = [json.loads(line) for line in log.getvalue().splitlines()]
    assert last["action"] == "gateway.stopped"
    assert (line["action"], line["cost_usd"]) == ("exchange.settled", "0.000135")
