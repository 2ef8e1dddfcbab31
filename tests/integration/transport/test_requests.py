"""What leaves for Claude: bytes, framing, pieces, and nothing that a header could smuggle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from farthing.errors import UpstreamCut, UpstreamUnreachable
from tests.integration.transport.peers import (
    MESSAGES,
    OK,
    Peer,
    answers,
    body_of,
    claude,
    sent,
)


def test_a_request_leaves_in_the_bytes_that_it_came_in(run):
    async def test() -> None:
        heads = []

        async def script(peer: Peer) -> None:
            heads.append(await peer.request())
            await peer.say(OK)

        async with claude(script) as (served, upstream):
            headers = [(b"x-odd", b"caf\xe9 \xff"), (b"X-Case", b""), (b"x-odd", b"2")]
            answer = await upstream.send("POST", (b"/v1/a%2Fb", b"q=%20&q"), headers, b"{}")
            assert (answer.status, await body_of(answer)) == (200, b"ok")
            assert heads == [
                b"POST /v1/a%2Fb?q=%20&q HTTP/1.1\r\nhost: 127.0.0.1:"
                + str(served.port).encode()
                + b"\r\nx-odd: caf\xe9 \xff\r\nX-Case: \r\nx-odd: 2\r\ncontent-length: 2\r\n\r\n{}"
            ]

    run(test)


@pytest.mark.parametrize(
    ("method", "length"), [("GET", None), ("DELETE", None), ("POST", b"0"), ("PUT", b"0")]
)
def test_only_a_method_that_has_a_body_tells_that_it_is_empty(run, method, length):
    async def test() -> None:
        heads = []

        async def script(peer: Peer) -> None:
            heads.append(await peer.request())
            await peer.say(OK)

        async with claude(script) as (_, upstream):
            await body_of(await upstream.send(method, MESSAGES, []))
        assert (b"content-length" in heads[0]) is (length is not None)

    run(test)


@pytest.mark.parametrize("value", [b"a\nb", b"a\rb", b"a\r\nx-evil: 1", b"a\0b"])
def test_a_header_that_would_begin_another_is_not_sent(run, value):
    async def test() -> None:
        async with claude(answers) as (served, upstream):
            with pytest.raises(UpstreamUnreachable, match="control character"):
                await upstream.send("POST", MESSAGES, [(b"x", value)], b"{}")
            assert served.peers == []

    run(test)


@pytest.mark.parametrize("size", [1 << 16, (1 << 16) + 1, 1 << 20, 5_000_000])
def test_a_body_of_any_size_arrives_whole(run, size):
    async def test() -> None:
        body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        got = []

        async def script(peer: Peer) -> None:
            while True:
                got.append((await peer.request()).partition(b"\r\n\r\n")[2])
                await peer.say(OK)

        async with claude(script) as (served, upstream):
            for _ in range(2):
                await body_of(await upstream.send("POST", MESSAGES, [], body))
            assert got == [body, body]
            assert len(served.peers) == 1

    run(test)


@pytest.mark.parametrize("has_length", [True, False])
def test_a_body_in_pieces_is_framed_as_its_client_said(run, has_length):
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"abc", b"de"):
            await asyncio.sleep(0)
            yield piece

    async def test() -> None:
        got = []

        async def script(peer: Peer) -> None:
            head = await peer.reader.readuntil(b"\r\n\r\n")
            got.append((head, await peer.reader.readexactly(5 if has_length else 20)))
            await peer.say(OK)

        async with claude(script) as (_, upstream):
            length = [(b"content-length", b"5")] if has_length else []
            await body_of(await upstream.send("POST", MESSAGES, length, pieces()))
        [(head, body)] = got
        assert (b"transfer-encoding: chunked" in head) is not has_length
        assert body == (b"abcde" if has_length else b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")

    run(test)


def test_whoever_cannot_bring_the_rest_of_a_body_cuts_the_connection(run):
    async def pieces() -> AsyncIterator[bytes]:
        yield b"abc"
        raise LookupError("the client has left")

    async def test() -> None:
        async def script(peer: Peer) -> None:
            await peer.ended()

        async with claude(script) as (_, upstream):
            with pytest.raises(UpstreamCut) as caught:
                await upstream.send("POST", MESSAGES, [], pieces())
        assert isinstance(caught.value.__cause__, LookupError)
        assert "has left" not in str(caught.value)

    run(test)


def test_an_answer_before_the_end_of_its_request_is_delivered(run):
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        await asyncio.Event().wait()

    async def test() -> None:
        async def refuses(peer: Peer) -> None:
            await peer.reader.readuntil(b"\r\n\r\n")
            await peer.say(b"HTTP/1.1 413 No\r\ncontent-length: 3\r\n\r\nbig")
            await peer.ended()

        async with claude(refuses, answers) as (served, upstream):
            answer = await upstream.send("POST", MESSAGES, [], pieces())
            assert (answer.status, await body_of(answer)) == (413, b"big")
            await body_of(await sent(upstream))
            assert len(served.peers) == 2  # what was half written serves nobody else

    run(test)


def test_a_slow_server_slows_down_whoever_brings_the_body(run):
    taken = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(1024):
            taken += 1
            yield b"x" * 65_536

    async def test() -> None:
        read_on = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.reader.readuntil(b"\r\n\r\n")
            await read_on.wait()
            await peer.reader.readexactly(64 << 20)
            await peer.say(OK)

        async with claude(script) as (_, upstream):
            length = [(b"content-length", b"%d" % (64 << 20))]
            call = asyncio.create_task(upstream.send("POST", MESSAGES, length, pieces()))
            seen = -1
            while seen != taken:  # until the buffers of the system are full
                seen = taken
                await asyncio.sleep(0.2)
            assert taken < 1024 / 2
            read_on.set()
            assert await body_of(await call) == b"ok"
            assert taken == 1024

    run(test)
