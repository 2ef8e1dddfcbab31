"""Answers that no client could be given as they are, and paths spelled in other ways."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from farthing.compose import RunningGateway, running_gateway
from farthing.config import Settings
from tests.integration.gateway.raw_http import (
    RawClient,
    RawUpstream,
    chunked,
    http_answer,
    http_request,
)
from tests.integration.gateway.test_bytes import BODIES, JSON, MESSAGE, STREAM
from tests.waiting import eventually

STREAMED = BODIES["plain"].replace(b"{", b'{"stream":true,', 1)


@pytest.mark.parametrize("status", [b"101 Switching Protocols", b"600 Beyond", b"999 Weird"])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/models"])
def test_a_status_that_ends_nothing_is_a_502_in_the_envelope(
    client: RawClient, upstream: RawUpstream, status: bytes, path: str
) -> None:
    upstream.reply(http_answer(b"{}", status=status))
    method, body = ("POST", BODIES["plain"]) if path == "/v1/messages" else ("GET", b"")
    client.send(http_request(method, path, body, JSON))

    answer = client.answer()
    assert answer.status == 502
    assert json.loads(answer.body)["type"] == "error"


@pytest.mark.parametrize(
    "path",
    ["//v1/messages", "/v1//messages", "/v1/./messages", "/v1/x/../messages", "/%2Fv1/messages"],
)
def test_a_path_spelled_otherwise_is_metered_and_sent_as_it_was_spelled(
    client: RawClient, upstream: RawUpstream, gateway: RunningGateway, path: str
) -> None:
    upstream.reply(http_answer(MESSAGE))
    client.send(http_request("POST", path, BODIES["plain"], JSON))

    assert client.answer().values(b"x-farthing-cost-usd")
    assert upstream.received[0].line == f"POST {path} HTTP/1.1".encode()
    (row,) = gateway.ledger.rows()
    assert row.opened.endpoint == "messages"


def test_a_stream_that_was_cut_is_not_counted_as_without_a_price(
    client: RawClient, upstream: RawUpstream, gateway: RunningGateway
) -> None:
    upstream.reply(lambda connection: connection.sendall(b"".join(chunked(*STREAM)[:4])))
    client.send(http_request("POST", "/v1/messages", STREAMED, JSON))
    with pytest.raises(ConnectionError):
        client.answer()

    def shown() -> list[str]:
        return gateway.metrics.render().decode().splitlines()

    assert eventually(lambda: 'farthing_exchanges_total{state="unsettled"} 1' in shown())
    assert "farthing_unpriced_total 0" in shown()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_batch_object_cut_short_is_a_502_in_the_envelope(
    client: RawClient, upstream: RawUpstream, method: str
) -> None:
    batch = http_answer(b'{"id":"msgbatch_1","type":"message_batch","results_url":null}')
    upstream.reply(lambda connection: connection.sendall(batch[:-10]))
    path = "/v1/messages/batches" + ("/msgbatch_1" if method == "GET" else "")
    client.send(http_request(method, path, b"{}" if method == "POST" else b"", JSON))

    answer = client.answer()
    assert answer.status == 502
    assert json.loads(answer.body)["type"] == "error"


@pytest.mark.parametrize("data", [b"\xff", b"[" * 100_000], ids=["no-utf-8", "too-deep"])
def test_an_event_that_nobody_can_read_passes_through_a_recording_gateway(
    upstream: RawUpstream, tmp_path: Path, data: bytes
) -> None:
    pieces = [*STREAM[:3], b"event: content_block_delta\ndata: " + data + b"\n\n", *STREAM[3:]]
    upstream.reply(chunked(*pieces))
    settings = Settings(
        upstream=upstream.url, port=0, ledger=str(tmp_path / "l.db"), record=str(tmp_path / "r")
    )
    with running_gateway(settings) as running, RawClient(running.url) as client:
        client.send(http_request("POST", "/v1/messages", STREAMED, JSON))
        assert client.answer().body == b"".join(pieces)
