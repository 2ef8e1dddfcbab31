"""Clients that speak HTTP/1.0: they know no chunks, and a connection that ends is their end."""

from __future__ import annotations

from typing import Final

import pytest

from tests.integration.gateway.raw_http import (
    RawClient,
    RawUpstream,
    chunked,
    http_answer,
    http_request,
)
from tests.integration.gateway.test_bytes import BODIES, JSON, MESSAGE, STREAM

STREAMED: Final = BODIES["plain"].replace(b"{", b'{"stream":true,', 1)


def ask(client: RawClient, body: bytes) -> None:
    request = http_request("POST", "/v1/messages", body, JSON)
    client.send(request.replace(b"HTTP/1.1", b"HTTP/1.0", 1))


def to_the_end(client: RawClient) -> bytes:
    pieces = b""
    while piece := client.socket.recv(65536):
        pieces += piece
    return pieces


def test_a_stream_is_no_chunks_and_ends_with_its_connection(
    client: RawClient, upstream: RawUpstream
) -> None:
    upstream.reply(chunked(*STREAM))
    ask(client, STREAMED)

    head, _, body = to_the_end(client).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert b"connection: close" in head.lower()
    assert body == b"".join(STREAM)


def test_an_answer_with_a_length_keeps_it(client: RawClient, upstream: RawUpstream) -> None:
    upstream.reply(http_answer(MESSAGE))
    ask(client, BODIES["plain"])

    head, _, body = to_the_end(client).partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(MESSAGE) in head.lower()
    assert body == MESSAGE


def test_a_stream_that_was_cut_does_not_look_complete(
    client: RawClient, upstream: RawUpstream
) -> None:
    upstream.reply(lambda connection: connection.sendall(b"".join(chunked(*STREAM)[:4])))
    ask(client, STREAMED)

    with pytest.raises(ConnectionResetError):
        to_the_end(client)
