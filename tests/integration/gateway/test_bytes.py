"""What reaches Claude is what the client sent, and what reaches the client is what Claude said."""

from __future__ import annotations

import gzip
import json
import zlib

import brotli  # type: ignore[import-untyped]  # it ships no types
import pytest
import zstandard

from farthing.compose import RunningGateway
from tests.integration.gateway.raw_http import (
    RawClient,
    RawUpstream,
    chunked,
    http_answer,
    http_request,
)

MESSAGE = (
    b'{"id":"msg_1","type":"message","role":"assistant","model":"claude-opus-4-5","content":[],'
    b'"stop_reason":"end_turn","usage":{"input_tokens":12,"output_tokens":3}}'
)
JSON = [(b"content-type", b"application/json")]
MANY_MB = json.dumps(
    {
        "model": "claude-opus-4-5",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "word " * 1_000_000}],
    }
).encode()

BODIES = {
    "plain": (
        b'{"model":"claude-opus-4-5","max_tokens":9,"messages":[{"role":"user","content":"a"}]}'
    ),
    "unknown fields": (
        b'{"new_field":{"deep":[1,{"x":null}]},"model":"m","max_tokens":1,"messages":[]}'
    ),
    "spelling": (
        b'{ "model" : "m",\n "max_tokens":1e2, "temperature": 1.0, "messages":[{"role":"user",'
        b'"content":"\\u00e9\\ud83d\\ude00 / \\/"}]}'
    ),
    "a key twice": b'{"model":"a","model":"b","max_tokens":9,"messages":[]}',
    "big integers": b'{"model":"m","max_tokens":9,"messages":[],"n":1234567890123456789012345}',
    "no json": b"this is no json \x00\xff\xfe",
    "empty": b"",
    "five MB": MANY_MB,
}


def without_framing(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [field for field in headers if field[0].lower() not in (b"host", b"content-length")]


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize(
    "path", ["/v1/messages", "/v1/messages?beta=true", "/v1/messages/batches", "/v1/new/thing"]
)
def test_a_body_arrives_as_it_was_sent(
    client: RawClient, upstream: RawUpstream, name: str, path: str
) -> None:
    client.send(http_request("POST", path, BODIES[name], JSON))

    assert client.answer().status == 200
    assert upstream.received[-1].body == BODIES[name]
    assert upstream.received[-1].line == f"POST {path} HTTP/1.1".encode()


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/files"])
def test_a_chunked_body_arrives_whole_however_it_was_cut(
    client: RawClient, upstream: RawUpstream, path: str
) -> None:
    body = BODIES["plain"] * 50
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    pieces = [body[at : at + 7] for at in range(0, len(body), 7)]

    client.send(head, *(b"%x;ext=1\r\n%b\r\n" % (len(p), p) for p in pieces), b"0\r\n\r\n")

    assert client.answer().status == 200
    assert upstream.received[-1].body == body


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_compressed_request_is_not_unfolded(
    client: RawClient, upstream: RawUpstream, coding: str
) -> None:
    body = FOLD[coding](BODIES["plain"])
    client.send(
        http_request("POST", "/v1/messages", body, [*JSON, (b"content-encoding", coding.encode())])
    )

    assert client.answer().status == 200
    assert upstream.received[-1].body == body
    assert upstream.received[-1].values(b"content-encoding") == [coding.encode()]


FOLD = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


def test_request_headers_keep_their_order_duplicates_and_bytes(
    client: RawClient, upstream: RawUpstream
) -> None:
    fields = [
        (b"x-app", b"cli"),
        (b"anthropic-beta", b"b-2026-01-01,a-2025-01-01"),
        (b"anthropic-version", b"2023-06-01"),
        (b"x-utf8", "é→日本".encode()),
        (b"x-latin1", b"caf\xe9 \xff\xfe"),
        (b"anthropic-beta", b"c-2024-01-01"),
        (b"x-claude-code-session-id", b"s1"),
        (b"accept-encoding", b"gzip, deflate, br, zstd"),
        (b"user-agent", b"claude-cli/2.1.300"),
        (b"x-empty", b""),
        *JSON,
    ]
    client.send(http_request("POST", "/v1/messages", BODIES["plain"], fields))

    assert client.answer().status == 200
    assert without_framing(upstream.received[-1].headers) == fields


def test_nothing_is_added_to_a_request_that_says_nothing(
    client: RawClient, upstream: RawUpstream
) -> None:
    client.send(http_request("POST", "/v1/messages", BODIES["plain"]))
    client.answer()

    assert without_framing(upstream.received[-1].headers) == []


def test_bytes_in_a_header_survive_where_there_is_no_body(
    client: RawClient, upstream: RawUpstream
) -> None:
    client.send(http_request("GET", "/v1/models", headers=[(b"x-latin1", b"caf\xe9")]))
    client.answer()

    assert upstream.received[-1].values(b"x-latin1") == [b"caf\xe9"]


def test_hop_by_hop_and_our_own_headers_stay_here(client: RawClient, upstream: RawUpstream) -> None:
    fields = [
        (b"connection", b"keep-alive, x-hop"),
        (b"keep-alive", b"timeout=5"),
        (b"te", b"trailers"),
        (b"x-hop", b"1"),
        (b"x-farthing-task", b"t1"),
        (b"x-api-key", b"sk-test"),
    ]
    client.send(http_request("POST", "/v1/messages", BODIES["plain"], fields))
    client.answer()

    assert without_framing(upstream.received[-1].headers) == [(b"x-api-key", b"sk-test")]


@pytest.mark.parametrize(
    "target",
    ["/v1/models/a%2Fb?x=%20y&x=2&z", "/v1/files/caf%C3%A9", "/v1/models?limit=20&after_id=a+b"],
)
def test_the_target_is_not_written_anew(
    client: RawClient, upstream: RawUpstream, target: str
) -> None:
    client.send(http_request("GET", target))
    client.answer()

    assert upstream.received[-1].line == f"GET {target} HTTP/1.1".encode()


def test_the_probe_of_claude_code_is_relayed(client: RawClient, upstream: RawUpstream) -> None:
    upstream.reply(b"HTTP/1.1 200 OK\r\ncontent-length: 17\r\nx-up: 1\r\n\r\n")
    client.send(http_request("HEAD", "/api/hello"))

    answer = client.answer(is_head=True)

    assert answer.status == 200
    assert answer.values(b"content-length") == [b"17"]
    assert answer.values(b"x-up") == [b"1"]


# -- answers --------------------------------------------------------------------------------------


def test_an_answer_keeps_its_header_in_order_with_duplicates_and_bytes(
    client: RawClient, upstream: RawUpstream
) -> None:
    fields = [
        (b"date", b"Fri, 20 Nov 2026 12:00:00 GMT"),
        (b"content-type", b"application/json"),
        (b"request-id", b"req_1"),
        (b"anthropic-ratelimit-requests-remaining", b"9"),
        (b"x-dup", b"1"),
        (b"x-latin1", b"caf\xe9"),
        (b"x-dup", b"2"),
        (b"set-cookie", b"a=1; Path=/"),
        (b"server", b"cloudflare"),
    ]
    upstream.reply(http_answer(MESSAGE, headers=fields))
    client.send(http_request("POST", "/v1/messages", BODIES["plain"], JSON))

    answer = client.answer()
    theirs = [
        field
        for field in answer.headers
        if field[0] != b"content-length" and not field[0].startswith(b"x-farthing-")
    ]

    assert theirs == fields
    assert answer.body == MESSAGE


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (b"400 Bad Request", b'{"type":"error","error":{"type":"invalid_request_error"}}'),
        (b"404 Not Found", b""),
        (b"429 Too Many Requests", b'{"type":"error","error":{"type":"rate_limit_error"}}'),
        (b"500 Oops", b"<html>not json</html>"),
        (b"529 Overloaded", b'{"type":"error","error":{"type":"overloaded_error"}}'),
        (b"307 Temporary Redirect", b""),
    ],
)
def test_an_error_of_the_provider_is_its_own(
    client: RawClient, upstream: RawUpstream, status: bytes, body: bytes
) -> None:
    upstream.reply(http_answer(body, status=status, headers=[(b"location", b"/elsewhere")]))
    client.send(http_request("POST", "/v1/messages", BODIES["plain"], JSON))

    answer = client.answer()

    assert (answer.status, answer.body) == (int(status[:3]), body)
    assert answer.values(b"location") == [b"/elsewhere"]


def test_an_answer_without_a_body(client: RawClient, upstream: RawUpstream) -> None:
    upstream.reply(b"HTTP/1.1 204 No Content\r\nx-up: 1\r\n\r\n")
    client.send(http_request("DELETE", "/v1/files/file_1"))

    answer = client.answer()

    assert (answer.status, answer.values(b"x-up")) == (204, [b"1"])


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_compressed_answer_stays_compressed(
    client: RawClient, upstream: RawUpstream, coding: str
) -> None:
    body = FOLD[coding](MESSAGE)
    fields = [*JSON, (b"content-encoding", coding.encode())]
    upstream.reply(http_answer(body, headers=fields))
    client.send(http_request("POST", "/v1/messages", BODIES["plain"], JSON))

    answer = client.answer()

    assert answer.body == body
    assert answer.values(b"content-encoding") == [coding.encode()]
    assert answer.values(b"x-farthing-cost-usd") == [b"0.000135"]


def test_an_answer_that_unfolds_to_too_much_is_passed_on_unread(
    gateway: RunningGateway, client: RawClient, upstream: RawUpstream
) -> None:
    body = brotli.compress(b" " * (100 << 20) + MESSAGE, quality=2)
    upstream.reply(http_answer(body, headers=[*JSON, (b"content-encoding", b"br")]))
    client.send(http_request("POST", "/v1/messages", BODIES["plain"], JSON))

    answer = client.answer()
    row = gateway.ledger.row(answer.values(b"x-farthing-exchange-id")[0].decode())

    assert (answer.status, answer.body) == (200, body)
    assert row is not None
    assert (row.state, answer.values(b"x-farthing-cost-usd")) == ("unsettled", [])


def test_an_answer_that_ends_with_its_connection_is_relayed(
    client: RawClient, upstream: RawUpstream
) -> None:
    upstream.reply(
        lambda connection: connection.sendall(
            b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n" + MESSAGE
        )
    )
    client.send(http_request("POST", "/v1/messages", BODIES["plain"], JSON))

    assert client.answer().body == MESSAGE


STREAM = [
    b": a comment line\n\n",
    (
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","model":'
        b'"claude-opus-4-5","usage":{"input_tokens":12,"output_tokens":1}}}\n\n'
    ),
    b'event: ping\ndata: {"type": "ping"}\n\n',
    b"event: new_event\r\ndata: {}\r\nid: 7\r\nretry: 10\r\n\r\n",
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":',
    b'{"type":"text_delta","text":"\xc3',
    b'\xa9"}}\n\n',
    (
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
        b'"usage":{"output_tokens":3}}\n\n'
    ),
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
]


def test_a_stream_passes_with_its_pings_comments_and_unknown_events(
    client: RawClient, upstream: RawUpstream
) -> None:
    upstream.reply(chunked(*STREAM))
    body = BODIES["plain"].replace(b"{", b'{"stream":true,', 1)
    client.send(http_request("POST", "/v1/messages", body, JSON))

    assert client.answer().body == b"".join(STREAM)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_compressed_stream_passes_as_it_came(
    client: RawClient, upstream: RawUpstream, coding: str
) -> None:
    folded = FOLD[coding](b"".join(STREAM))
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: "
        + coding.encode()
        + b"\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    upstream.reply([head, *chunked(folded[:20], folded[20:])[1:]])
    body = BODIES["plain"].replace(b"{", b'{"stream":true,', 1)
    client.send(http_request("POST", "/v1/messages", body, JSON))

    assert client.answer().body == folded
