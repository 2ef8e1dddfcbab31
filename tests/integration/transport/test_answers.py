"""What comes from Claude: where answers end, what is no answer, and who slows whom down."""

from __future__ import annotations

import asyncio

import pytest

from farthing.errors import UpstreamCut
from tests.integration.transport.peers import (
    MESSAGES,
    OK,
    Peer,
    answers,
    body_of,
    claude,
    sent,
)

CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    b"2\r\nok\r\n1;x=y\r\n!\r\n0\r\nx-sum: 1\r\n\r\n"
)


@pytest.mark.parametrize(
    ("said", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 200, b"ok"),
        (CHUNKED, 200, b"ok!"),
        (b"HTTP/1.1 204 No\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 No\r\ncontent-length: 9\r\n\r\n", 304, b""),
        (b"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 103 Hint\r\nlink: x\r\n\r\n" + OK, 200, b"ok"),
    ],
    ids=["length", "chunks", "204", "304", "1xx"],
)  # fmt: skip
def test_answers_end_where_they_say_and_their_connection_is_used_again(run, said, status, body):
    async def test() -> None:
        async def script(peer: Peer) -> None:
            while True:
                await peer.request()
                for at in range(len(said)):  # no border means anything
                    await peer.say(said[at : at + 1])

        async with claude(script) as (served, upstream):
            for _ in range(3):
                answer = await sent(upstream)
                assert (answer.status, await body_of(answer)) == (status, body)
                names = {name for name, _ in answer.headers}
                assert names <= {b"content-length"}
            assert len(served.peers) == 1

    run(test)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length: 2\r\n\r\nok",
    ],
    ids=["until the end", "1.0", "close"],
)
def test_a_connection_that_is_over_is_not_used_again(run, said):
    async def test() -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.say(said)

        async with claude(script) as (served, upstream):
            for _ in range(2):
                assert await body_of(await sent(upstream)) == b"ok"
            assert len(served.peers) == 2

    run(test)


@pytest.mark.parametrize(
    "more", [b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", OK[:9], b"\0garbage"]
)
def test_a_server_that_says_too_much_is_not_asked_again(run, more):
    async def test() -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.say(OK + more)
            assert await peer.ended() == b""

        async with claude(script) as (served, upstream):
            for _ in range(2):
                assert await body_of(await sent(upstream)) == b"ok"
            assert len(served.peers) == 2

    run(test)


def test_the_answer_to_head_has_no_body_whatever_its_length_says(run):
    async def test() -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.say(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n")
            await peer.ended()

        async with claude(script) as (_, upstream):
            answer = await upstream.send("HEAD", MESSAGES, [])
            assert await body_of(answer) == b""
            assert answer.headers == [(b"content-length", b"500")]

    run(test)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nokay\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 101 No\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n\0\0",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\nok",
    ],
    ids=["nothing", "half a line", "short", "no last chunk", "long chunk", "no HTTP", "upgrade",
         "two lengths", "two framings"],
)  # fmt: skip
def test_what_is_no_whole_answer_is_cut(run, said):
    async def test() -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.say(said)

        async with claude(script, answers) as (served, upstream):
            with pytest.raises(UpstreamCut):
                await body_of(await sent(upstream))
            assert await body_of(await sent(upstream)) == b"ok"
            assert len(served.peers) == 2

    run(test)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 300_000,
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 50_000,
        b"HTTP/1.1 100 Go on\r\n\r\n" * 20_000,
    ],
    ids=["one field", "many fields", "many promises"],
)
def test_a_head_without_an_end_is_not_waited_for(run, said):
    async def test() -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.say(said)
            await peer.ended()

        async with claude(script) as (_, upstream):
            with pytest.raises(UpstreamCut):
                await sent(upstream)

    run(test)


def test_chunks_are_passed_on_as_they_come(run):
    async def test() -> None:
        taken = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
            await taken.wait()
            await peer.say(b"1\r\nb\r\n0\r\n\r\n")

        async with claude(script) as (_, upstream):
            answer = await sent(upstream)
            chunks = answer.chunks()
            assert await anext(chunks) == b"a"
            taken.set()
            assert await anext(chunks) == b"b"
            with pytest.raises(StopAsyncIteration):
                await anext(chunks)

    run(test)


def test_a_slow_reader_slows_claude_down(run):
    async def test() -> None:
        whole = 64 << 20
        said = 0

        async def script(peer: Peer) -> None:
            nonlocal said
            await peer.request()
            await peer.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % whole)
            while said < whole:
                await peer.say(b"x" * 65_536)
                said += 65_536

        async with claude(script) as (_, upstream):
            answer = await sent(upstream)
            seen = -1
            while seen != said:  # until the buffers of the system are full
                seen = said
                await asyncio.sleep(0.2)
            assert said < whole / 2
            assert len(await body_of(answer)) == whole

    run(test)
