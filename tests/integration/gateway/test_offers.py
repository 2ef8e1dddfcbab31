"""Requests that offer another protocol (``Upgrade``), and what is no request at all."""

from __future__ import annotations

import json

import pytest

from tests.integration.gateway.raw_http import RawClient, RawUpstream, http_answer, http_request
from tests.integration.gateway.test_bytes import BODIES, JSON, MESSAGE

#: as Java's own HTTP client sends its first request over plain HTTP
H2C = [
    (b"connection", b"Upgrade, HTTP2-Settings"),
    (b"upgrade", b"h2c"),
    (b"http2-settings", b"AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"),
]
WEBSOCKET = [(b"connection", b"Upgrade"), (b"upgrade", b"websocket"), (b"sec-websocket-key", b"x")]


@pytest.mark.parametrize("offer", [H2C, WEBSOCKET], ids=["h2c", "websocket"])
@pytest.mark.parametrize("size", [1, 7, 1 << 20], ids=["bytes", "pieces", "whole"])
def test_an_offer_is_not_taken_up_and_the_request_is_relayed(
    client: RawClient, upstream: RawUpstream, offer: list[tuple[bytes, bytes]], size: int
) -> None:
    upstream.reply(http_answer(MESSAGE), http_answer(MESSAGE))
    request = http_request("POST", "/v1/messages", BODIES["plain"], [*JSON, *offer])
    client.send(*(request[start : start + size] for start in range(0, len(request), size)))

    assert client.answer().body == MESSAGE
    client.send(http_request("POST", "/v1/messages", BODIES["plain"], JSON))
    assert client.answer().body == MESSAGE
    assert [received.body for received in upstream.received] == [BODIES["plain"]] * 2
    assert not upstream.received[0].values(b"upgrade")
    assert not upstream.received[0].values(b"http2-settings")


def test_a_chunked_body_with_an_offer_is_relayed(client: RawClient, upstream: RawUpstream) -> None:
    fields = [*JSON, *H2C, (b"transfer-encoding", b"chunked")]
    head = http_request("GET", "/v1/files", headers=fields).replace(b"GET", b"POST", 1)
    client.send(head, b"3\r\nabc\r\n0\r\n\r\n")

    assert client.answer().status == 200
    assert upstream.received[0].body == b"abc"


def test_offers_in_a_row_are_answered_in_their_order(
    client: RawClient, upstream: RawUpstream
) -> None:
    upstream.reply(http_answer(b'{"n":1}'), http_answer(b'{"n":2}'), http_answer(b'{"n":3}'))
    client.send(http_request("POST", "/v1/files", b"{}", [*JSON, *H2C]) * 3)

    assert [json.loads(client.answer().body)["n"] for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize(
    "said",
    [
        b"CONNECT api.anthropic.com:443 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["tunnel", "tls", "two-lengths", "no-chunk"],
)
def test_what_is_no_http_is_refused_in_the_envelope(client: RawClient, said: bytes) -> None:
    client.send(said)

    answer = client.answer()
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["type"] == "invalid_request_error"
    assert client.socket.recv(1) == b""


def test_an_answer_under_way_is_not_written_into(client: RawClient, upstream: RawUpstream) -> None:
    upstream.reply(
        [b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n"]
    )
    client.send(http_request("GET", "/v1/models"))
    assert client.head()[0] == 200
    client.send(b"\x00 no request\r\n\r\n")

    assert client.socket.recv(100) == b""
