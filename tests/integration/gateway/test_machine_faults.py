"""Faults of the machine: a full disk, a locked database, a wall clock that jumps.

In each the client sees what it would have seen without us; no row is lost and none is doubled.
"""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from farthing.compose import RunningGateway, running_gateway
from farthing.config import Settings
from farthing.core.records import ExchangeRow, Refused, RowFilter
from farthing.driver import system
from farthing.ledger.checking import check
from farthing.ledger.database import select_rows
from tests.integration.gateway.raw_http import (
    RawAnswer,
    RawClient,
    RawUpstream,
    chunked,
    http_answer,
    http_request,
)
from tests.integration.gateway.test_bytes import BODIES, JSON, MESSAGE, STREAM
from tests.waiting import eventually

STREAMED = BODIES["plain"].replace(b"{", b'{"stream":true,', 1)
#: 12 tokens in at 5 $/Mtok, 3 out at 25
COST = 135_000_000


def ask(running: RunningGateway, upstream: RawUpstream, *, stream: bool = False) -> RawAnswer:
    upstream.reply(chunked(*STREAM) if stream else http_answer(MESSAGE))
    with RawClient(running.url) as client:
        client.send(
            http_request("POST", "/v1/messages", STREAMED if stream else BODIES["plain"], JSON)
        )
        return client.answer()


def exchange_id(answer: RawAnswer) -> str:
    return answer.values(b"x-farthing-exchange-id")[0].decode()


def ready(running: RunningGateway) -> bytes:
    with RawClient(running.url) as client:
        client.send(http_request("GET", "/readyz"))
        return client.answer().body


def assert_each_once(path: Path, answers: list[RawAnswer]) -> None:
    """Every answer has one settled row with its cost, and the ledger agrees with itself."""
    rows = list(select_rows(path, RowFilter()))
    assert sorted(row.opened.exchange_id for row in rows) == sorted(map(exchange_id, answers))
    endings = [row.settlement for row in rows]
    assert [e.cost.total for e in endings if e and e.cost] == [COST] * len(answers)
    assert {finding.level for finding in check(path)} == {"ok"}


# -- the disk -------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(folder)]
    try:
        made = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("a full disk needs the command mount")
    if made.returncode:
        pytest.skip("a full disk needs the right to mount a small one")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (4096, 1):
            with suppress(OSError):
                while True:
                    file.write(b"x" * size)
    return filler


def test_a_full_disk_costs_no_call_and_no_row(upstream: RawUpstream, disk: Path) -> None:
    path = disk / "ledger.db"
    settings = Settings(upstream=upstream.url, port=0, ledger=str(path), task_usd=10**12)
    with running_gateway(settings) as running:
        answers = [ask(running, upstream)]
        running.ledger.flush()
        filler = fill(disk)
        answers += [ask(running, upstream, stream=n % 2 == 1) for n in range(30)]
        assert eventually(lambda: b"disk is full" in ready(running))
        assert b'code="ledger.' in running.metrics.render()
        filler.unlink()
        answers.append(ask(running, upstream))
        assert eventually(lambda: ready(running).startswith(b"ready"))
        running.ledger.flush()

    assert [answer.body for answer in answers[:3]] == [MESSAGE, MESSAGE, b"".join(STREAM)]
    assert {answer.status for answer in answers} == {200}
    assert_each_once(path, answers)


# -- the database ---------------------------------------------------------------------------------


def test_a_database_that_somebody_has_locked_costs_no_call_and_no_row(
    upstream: RawUpstream, gateway: RunningGateway
) -> None:
    path = gateway.ledger.path
    with closing(sqlite3.connect(path, isolation_level=None)) as somebody:
        somebody.execute("BEGIN IMMEDIATE")
        answers = [ask(gateway, upstream, stream=n % 2 == 1) for n in range(6)]
        # SQLite itself waits two seconds before it says that it is locked
        assert eventually(lambda: b"another program holds the database" in ready(gateway))
        answers.append(ask(gateway, upstream))
        somebody.execute("ROLLBACK")
    gateway.ledger.flush()

    assert {answer.status for answer in answers} == {200}
    assert eventually(lambda: ready(gateway).startswith(b"ready"))
    assert_each_once(path, answers)


# -- the clock ------------------------------------------------------------------------------------


class Wall:
    """The wall clock of this machine, which somebody sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.offset = timedelta()
        wall = self

        class Jumping(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # a plain instant
                return datetime.now(tz) + wall.offset

        class Time:
            monotonic_ns = staticmethod(time.monotonic_ns)

            @staticmethod
            def time_ns() -> int:
                return time.time_ns() + round(wall.offset.total_seconds() * 1e9)

        monkeypatch.setattr(system, "datetime", Jumping)
        monkeypatch.setattr(system, "time", Time)


@pytest.mark.parametrize("jump", [timedelta(days=-2), timedelta(hours=30)], ids=["back", "forward"])
def test_a_clock_that_jumps_in_mid_stream_leaves_times_costs_and_budgets_right(
    upstream: RawUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: timedelta
) -> None:
    wall = Wall(monkeypatch)
    path = tmp_path / "ledger.db"
    settings = Settings(upstream=upstream.url, port=0, ledger=str(path), task_usd=10**12)

    def jumps(connection: socket.socket) -> None:
        first, *rest = chunked(*STREAM)
        # this upstream hangs up behind it: unsaid, the next call might be sent into the closing
        # connection, and that is rightly `unsettled`
        first = first.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
        connection.sendall(first + rest[0])
        time.sleep(0.05)
        wall.offset += jump
        connection.sendall(b"".join(rest[1:]))

    with running_gateway(settings) as running:
        before = ask(running, upstream)
        upstream.reply(jumps)
        with RawClient(running.url) as client:
            client.send(http_request("POST", "/v1/messages", STREAMED, JSON))
            middle = client.answer()
        after = ask(running, upstream)
        running.ledger.flush()
        rows = {row.opened.exchange_id: row for row in running.ledger.rows()}
        scope = rows[exchange_id(before)].opened.scope
        assert scope is not None
        now = datetime.now(UTC)
        refused = running.ledger.hold(scope, 1, 0, reservation_id="probe", now=now)

    assert middle.body == b"".join(STREAM)
    for answer in (before, middle, after):
        assert_is_sane(rows[exchange_id(answer)])
    ending = rows[exchange_id(middle)].settlement
    assert ending is not None
    # both instants are what the wall said then
    moved = ending.ended_at - rows[exchange_id(middle)].opened.opened_at
    assert abs(moved - jump) < timedelta(seconds=5)
    assert ending.total_us >= 50_000
    assert isinstance(refused, Refused)
    assert (refused.spent_pico, refused.held_pico) == (3 * COST, 0)
    # ids sort by when they were made, whatever the wall says
    made = [exchange_id(answer) for answer in (before, middle, after)]
    assert made == sorted(made)
    assert_each_once(path, [before, middle, after])


def assert_is_sane(row: ExchangeRow) -> None:
    ending = row.settlement
    assert ending is not None
    assert row.state == "settled"
    assert 0 <= ending.overhead_us <= ending.total_us < 5_000_000
    assert ending.ttft_us is None or 0 <= ending.ttft_us <= ending.total_us
