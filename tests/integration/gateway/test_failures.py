"""Every way a call can fail: the client sees what it would have seen, or a clear error."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from farthing.compose import RunningGateway, running_gateway
from farthing.config import Settings
from farthing.core.records import ExchangeRow
from farthing.errors import LedgerError
from farthing.ledger import SqliteLedger
from tests.integration.gateway.raw_http import (
    RawAnswer,
    RawClient,
    RawUpstream,
    chunked,
    http_answer,
    http_request,
)
from tests.integration.gateway.test_bytes import BODIES, JSON, MESSAGE, STREAM
from tests.waiting import PATIENCE, eventually

STREAMED = BODIES["plain"].replace(b"{", b'{"stream":true,', 1)


def error_of(answer: RawAnswer) -> dict[str, Any]:
    said = json.loads(answer.body)
    assert said["type"] == "error"
    error: dict[str, Any] = said["error"]
    return error


def exchange_id(answer: RawAnswer) -> str:
    return answer.values(b"x-farthing-exchange-id")[0].decode()


def row_of(gateway: RunningGateway, answer_id: str) -> ExchangeRow:
    row = gateway.ledger.row(answer_id)
    assert row is not None
    return row


def rows(gateway: RunningGateway) -> list[ExchangeRow]:
    gateway.ledger.flush()
    return list(gateway.ledger.rows())


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


# -- the upstream ---------------------------------------------------------------------------------


@pytest.fixture
def nowhere(tmp_path: Path) -> Iterator[RunningGateway]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = Settings(
        upstream=f"http://127.0.0.1:{port}", port=0, ledger=str(tmp_path / "ledger.db")
    )
    with running_gateway(settings) as running:
        yield running


def test_an_upstream_that_is_down_is_a_502_that_clients_try_again(nowhere: RunningGateway) -> None:
    with RawClient(nowhere.url) as client:
        client.send(http_request("POST", "/v1/messages", BODIES["plain"], JSON))
        answer = client.answer()

    assert answer.status == 502
    assert error_of(answer)["type"] == "api_error"
    assert answer.values(b"x-should-retry") == []
    assert row_of(nowhere, exchange_id(answer)).state == "released"


def test_a_name_that_does_not_resolve_is_a_502(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    settings = Settings(
        upstream="http://claude.invalid", port=0, ledger=str(tmp_path / "ledger.db")
    )
    with running_gateway(settings) as running, RawClient(running.url) as client:
        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        client.send(http_request("POST", "/v1/messages", BODIES["plain"], JSON))
        answer = client.answer()

    assert answer.status == 502
    assert "cannot be resolved" in error_of(answer)["message"]
    assert "claude.invalid" not in error_of(answer)["message"]


def test_an_upstream_that_hangs_up_without_a_word_is_a_502_and_unsettled(
    client: RawClient, upstream: RawUpstream, gateway: RunningGateway
) -> None:
    upstream.reply(reset)
    client.send(http_request("POST", "/v1/messages", BODIES["plain"], JSON))
    answer = client.answer()

    assert answer.status == 502
    row = row_of(gateway, exchange_id(answer))
    assert row.state == "unsettled"
    assert row.settlement is not None
    assert row.settlement.low_pico == 0
    assert row.settlement.high_pico is not None


def test_a_plain_answer_cut_short_is_a_502(client: RawClient, upstream: RawUpstream) -> None:
    upstream.reply(lambda connection: connection.sendall(http_answer(MESSAGE)[:-20]))
    client.send(http_request("POST", "/v1/messages", BODIES["plain"], JSON))

    assert client.answer().status == 502


def test_a_stream_cut_short_is_cut_short_and_unsettled(
    client: RawClient, upstream: RawUpstream, gateway: RunningGateway
) -> None:
    upstream.reply(lambda connection: connection.sendall(b"".join(chunked(*STREAM)[:4])))
    client.send(http_request("POST", "/v1/messages", STREAMED, JSON))

    with pytest.raises(ConnectionError):
        client.answer()

    assert eventually(lambda: [row.state for row in rows(gateway)] == ["unsettled"])


def test_an_upstream_that_speaks_no_http_is_a_502(client: RawClient, upstream: RawUpstream) -> None:
    upstream.reply(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"))
    client.send(http_request("POST", "/v1/messages", BODIES["plain"], JSON))

    assert client.answer().status == 502


def test_a_slow_upstream_is_waited_for(client: RawClient, upstream: RawUpstream) -> None:
    def slowly(connection: socket.socket) -> None:
        time.sleep(0.4)
        connection.sendall(http_answer(MESSAGE))

    upstream.reply(slowly)
    client.send(http_request("POST", "/v1/messages", BODIES["plain"], JSON))

    assert client.answer().body == MESSAGE


def test_a_slow_stream_arrives_piece_by_piece(client: RawClient, upstream: RawUpstream) -> None:
    arrived = threading.Semaphore(0)

    def one_by_one(connection: socket.socket) -> None:
        head, *pieces, end = chunked(*STREAM)
        connection.sendall(head)
        for piece in pieces:
            connection.sendall(piece)
            arrived.acquire()
        connection.sendall(end)

    upstream.reply(one_by_one)
    client.send(http_request("POST", "/v1/messages", STREAMED, JSON))
    client.head()
    for piece in STREAM:
        client.until(piece)
        arrived.release()
    client.until(b"0\r\n\r\n")


def test_a_burst_of_429_and_529_passes_and_the_retry_is_the_same_exchange(
    client: RawClient, upstream: RawUpstream, gateway: RunningGateway
) -> None:
    busy = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    upstream.reply(
        http_answer(busy, status=b"529 ", headers=[(b"retry-after", b"1")]),
        http_answer(busy, status=b"429 Too Many Requests"),
        http_answer(MESSAGE),
    )
    answers = []
    for count in range(3):
        retry = [(b"x-stainless-retry-count", str(count).encode())]
        client.send(http_request("POST", "/v1/messages", BODIES["plain"], [*JSON, *retry]))
        answers.append(client.answer())

    assert [answer.status for answer in answers] == [529, 429, 200]
    assert answers[0].body == busy
    assert answers[0].values(b"retry-after") == [b"1"]
    assert len({exchange_id(answer) for answer in answers}) == 1
    row = row_of(gateway, exchange_id(answers[-1]))
    assert row.settlement is not None
    assert (row.settlement.attempts, row.state) == (3, "settled")


# -- the client -----------------------------------------------------------------------------------


def test_a_client_that_leaves_cancels_the_upstream_call(
    gateway: RunningGateway, upstream: RawUpstream
) -> None:
    gone = threading.Event()

    def wait(connection: socket.socket) -> None:
        # not before the client has left: it is never answered
        if connection.recv(1) == b"":
            gone.set()

    upstream.reply(wait)
    with RawClient(gateway.url) as client:
        client.send(http_request("POST", "/v1/messages", BODIES["plain"], JSON))
        assert eventually(lambda: len(upstream.received) == 1)
        time.sleep(0.15)  # so long that the client is being watched

    assert gone.wait(PATIENCE)
    assert eventually(lambda: [row.state for row in rows(gateway)] == ["unsettled"])


def test_a_client_that_leaves_in_mid_stream_leaves_an_interval(
    gateway: RunningGateway, upstream: RawUpstream
) -> None:
    def trickle(connection: socket.socket) -> None:
        for piece in chunked(*STREAM)[:4]:
            connection.sendall(piece)
        connection.recv(1)

    upstream.reply(trickle)
    with RawClient(gateway.url) as client:
        client.send(http_request("POST", "/v1/messages", STREAMED, JSON))
        client.head()
        client.until(STREAM[0])
        time.sleep(0.15)  # so long that the client is being watched

    assert eventually(lambda: [row.state for row in rows(gateway)] == ["unsettled"])
    settled = rows(gateway)[0].settlement
    assert settled is not None
    assert settled.usage is not None
    assert settled.usage.uncached == 12


def test_a_client_that_leaves_in_mid_request_costs_nothing(
    gateway: RunningGateway, upstream: RawUpstream
) -> None:
    with RawClient(gateway.url) as client:
        client.send(http_request("POST", "/v1/messages", BODIES["plain"], JSON)[:-10])
        time.sleep(0.1)

    with RawClient(gateway.url) as client:
        client.send(http_request("GET", "/v1/models"))
        client.answer()

    assert [received.line for received in upstream.received] == [b"GET /v1/models HTTP/1.1"]
    assert rows(gateway) == []


def test_a_slow_reader_slows_the_upstream_down(
    gateway: RunningGateway, upstream: RawUpstream
) -> None:
    sent = [0]
    piece = b"x" * 65536

    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (1 << 28))
        for _ in range(1 << 12):
            connection.sendall(piece)
            sent[0] += len(piece)

    upstream.reply(flood)
    with RawClient(gateway.url) as client:
        client.send(http_request("GET", "/v1/files/file_1/content"))
        client.head()
        time.sleep(0.7)
        assert sent[0] < 40 * 1024 * 1024


# -- limits ---------------------------------------------------------------------------------------


@pytest.fixture
def narrow(upstream: RawUpstream, tmp_path: Path) -> Iterator[RunningGateway]:
    settings = Settings(
        upstream=upstream.url,
        port=0,
        ledger=str(tmp_path / "ledger.db"),
        body_limit=1000,
        batch_limit=5000,
    )
    with running_gateway(settings) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("/v1/messages", 1000, 200),
        ("/v1/messages", 1001, 413),
        ("/v1/messages/count_tokens", 1001, 413),
        ("/v1/messages/batches", 5000, 200),
        ("/v1/messages/batches", 5001, 413),
    ],
)
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_body_beyond_the_limit_is_a_413_in_the_providers_envelope(
    narrow: RunningGateway, path: str, size: int, status: int, framing: str
) -> None:
    body = b"x" * size
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    with RawClient(narrow.url) as client:
        if framing == "length":
            client.send(http_request("POST", path, body))
        else:
            client.send(head, b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        answer = client.answer()

        assert answer.status == status
        if status == 413:
            assert error_of(answer)["type"] == "request_too_large"
            limit = "5000 bytes" if path.endswith("batches") else "1000 bytes"
            assert f"maximum size of {limit} at" in error_of(answer)["message"]
            [exchange_id] = answer.values(b"x-farthing-exchange-id")
            assert json.loads(answer.body)["request_id"] == exchange_id.decode()
        client.send(http_request("GET", "/v1/models"))
        assert client.answer().status == 200


def test_a_client_that_is_still_sending_reads_its_413(narrow: RunningGateway) -> None:
    with RawClient(narrow.url) as client:
        client.send(http_request("POST", "/v1/messages", b"x" * 20_000_000))

        assert client.answer().status == 413


def test_a_request_without_a_path_is_refused_in_words(
    client: RawClient, upstream: RawUpstream
) -> None:
    client.send(b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n")
    refused = client.answer()
    client.send(http_request("OPTIONS", "/v1/messages"))

    assert refused.status == 400
    assert "'*' is no path of the Claude API" in error_of(refused)["message"]
    assert client.answer().status == 200
    assert [received.line for received in upstream.received] == [b"OPTIONS /v1/messages HTTP/1.1"]


# -- connections ----------------------------------------------------------------------------------


def test_connections_are_kept_on_both_sides(client: RawClient, upstream: RawUpstream) -> None:
    for _ in range(5):
        client.send(http_request("POST", "/v1/messages", BODIES["plain"], JSON))
        assert client.answer().status == 200

    assert {received.connection for received in upstream.received} == {1}


def test_requests_sent_before_the_answer_are_answered_in_order(
    client: RawClient, upstream: RawUpstream
) -> None:
    upstream.reply(http_answer(b'{"n":1}'), http_answer(b'{"n":2}'))
    client.send(http_request("GET", "/v1/models") + http_request("GET", "/v1/models"))

    assert [client.answer().body for _ in range(2)] == [b'{"n":1}', b'{"n":2}']


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(
    client: RawClient, upstream: RawUpstream
) -> None:
    request = http_request("POST", "/v1/messages", BODIES["plain"], [(b"expect", b"100-continue")])
    head, body = request[: -len(BODIES["plain"])], BODIES["plain"]
    client.send(head)
    status, _ = client.head()
    client.send(body)

    assert status == 100
    assert client.answer().status == 200
    assert upstream.received[-1].body == body


# -- the ledger -----------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["open", "settle"])
def test_a_ledger_that_fails_changes_nothing_for_the_client(
    client: RawClient,
    upstream: RawUpstream,
    gateway: RunningGateway,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
) -> None:
    def fail(*_: object) -> None:
        raise LedgerError("the disk is full")

    monkeypatch.setattr(SqliteLedger, broken, fail)
    upstream.reply(http_answer(MESSAGE), chunked(*STREAM))
    client.send(http_request("POST", "/v1/messages", BODIES["plain"], JSON))
    assert client.answer().body == MESSAGE
    client.send(http_request("POST", "/v1/messages", STREAMED, JSON))
    assert client.answer().body == b"".join(STREAM)

    assert b"ledger." in gateway.metrics.render()
