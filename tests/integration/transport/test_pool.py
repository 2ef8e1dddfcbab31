"""Connections that are kept, that end, that are too many or too slow."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from farthing.errors import UpstreamCut, UpstreamTimeout, UpstreamUnreachable
from farthing.transport import Upstream, UpstreamSettings
from tests.integration.transport.peers import (
    MESSAGES,
    OK,
    Peer,
    answers,
    body_of,
    claude,
    endless,
    eventually,
    sent,
)


def test_a_connection_that_claude_closed_while_it_was_idle_is_not_used(run):
    async def test() -> None:
        closed = asyncio.Event()

        async def once(peer: Peer) -> None:
            await peer.request()
            await peer.say(OK)
            await closed.wait()

        async with claude(once, answers) as (served, upstream):
            await body_of(await sent(upstream))
            sock = served.peers[0].writer.get_extra_info("socket")
            # behind the back of this loop, which learns of it only in its next turn
            with socket.socket(fileno=socket.dup(sock.fileno())) as twin:
                twin.shutdown(socket.SHUT_RDWR)
            answer = await sent(upstream)
            assert (answer.status, await body_of(answer)) == (200, b"ok")
            closed.set()

    run(test)


def test_what_is_said_while_nobody_asked_ends_the_connection(run):
    async def test() -> None:
        async def timed_out(peer: Peer) -> None:
            await peer.request()
            await peer.say(OK)
            await asked.wait()
            await peer.say(b"HTTP/1.1 408 Timeout\r\ncontent-length: 0\r\n\r\n")
            await peer.ended()
            gone.set()

        asked, gone = asyncio.Event(), asyncio.Event()
        async with claude(timed_out, answers) as (served, upstream):
            await body_of(await sent(upstream))
            asked.set()
            await gone.wait()
            assert (await sent(upstream)).status == 200
            assert len(served.peers) == 2

    run(test)


@pytest.mark.parametrize(("method", "is_again"), [("GET", True), ("POST", False)])
def test_only_what_changes_nothing_is_sent_again_on_a_new_connection(run, method, is_again):
    async def test() -> None:
        async def once(peer: Peer) -> None:
            await peer.request()
            await peer.say(OK)
            await peer.request()  # and hangs up on the second one

        async with claude(once, answers) as (served, upstream):
            await body_of(await upstream.send(method, MESSAGES, []))
            if is_again:
                assert await body_of(await upstream.send(method, MESSAGES, [])) == b"ok"
            else:
                with pytest.raises(UpstreamCut):
                    await upstream.send(method, MESSAGES, [])
            assert len(served.peers) == (2 if is_again else 1)

    run(test)


def test_whoever_stops_waiting_hangs_up_on_claude(run):
    async def test() -> None:
        gone = asyncio.Event()

        async def silent(peer: Peer) -> None:
            await peer.request()
            await peer.ended()
            gone.set()

        async with claude(silent) as (served, upstream):
            call = asyncio.create_task(sent(upstream))
            await eventually(lambda: bool(served.peers))
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await gone.wait()

    run(test)


def test_an_answer_that_is_closed_before_its_end_cuts_its_connection(run):
    async def test() -> None:
        gone = asyncio.Event()

        async with claude(endless(gone), answers) as (served, upstream):
            answer = await sent(upstream)
            assert await anext(answer.chunks()) == b"first"
            answer.close()
            answer.close()
            await gone.wait()
            await body_of(await sent(upstream))
            assert len(served.peers) == 2

    run(test)


def test_an_answer_that_was_read_does_not_touch_whoever_has_its_connection_now(run):
    async def test() -> None:
        async with claude(answers) as (served, upstream):
            first = await sent(upstream)
            await body_of(first)
            second = await sent(upstream)
            first.close()
            assert await body_of(second) == b"ok"
            assert await body_of(first) == b""
            assert len(served.peers) == 1

    run(test)


def test_idle_connections_are_closed_after_a_while(run):
    async def test() -> None:
        gone = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.say(OK)
            await peer.ended()
            gone.set()

        async with claude(script, answers, idle_seconds=0.05) as (served, upstream):
            await body_of(await sent(upstream))
            await gone.wait()  # closed without anybody asking for another
            await body_of(await sent(upstream))
            assert len(served.peers) == 2

    run(test)


def test_no_more_connections_are_open_than_there_may_be(run):
    async def test() -> None:
        most, now = 0, 0

        async def script(peer: Peer) -> None:
            nonlocal most, now
            while True:
                await peer.request()
                now += 1
                most = max(most, now)
                await asyncio.sleep(0.002)
                now -= 1
                await peer.say(OK)

        async with claude(script, max_connections=2) as (served, upstream):

            async def call() -> bytes:
                return await body_of(await sent(upstream))

            assert await asyncio.gather(*(call() for _ in range(20))) == [b"ok"] * 20
            assert (most, len(served.peers)) == (2, 2)

    run(test)


def test_a_place_is_given_back_by_whoever_fails_leaves_or_never_comes(run):
    async def test() -> None:
        async def hangs_up(peer: Peer) -> None:
            await peer.request()

        async def silent(peer: Peer) -> None:
            await peer.request()
            await peer.ended()

        async with claude(hangs_up, silent, answers, max_connections=1) as (served, upstream):
            with pytest.raises(UpstreamCut):
                await sent(upstream)
            call = asyncio.create_task(sent(upstream))
            await eventually(lambda: len(served.peers) == 2)
            waiting = asyncio.create_task(sent(upstream))
            await asyncio.sleep(0)
            waiting.cancel()
            call.cancel()
            await asyncio.wait([call, waiting])
            assert await body_of(await sent(upstream)) == b"ok"

    run(test)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nfirst"])
def test_a_silence_longer_than_the_operator_allows_is_a_timeout(run, said):
    async def test() -> None:
        async def silent(peer: Peer) -> None:
            await peer.request()
            await peer.say(said)
            await peer.ended()

        async with claude(silent, silence_seconds=0.1) as (_, upstream):
            with pytest.raises(UpstreamTimeout):
                await body_of(await sent(upstream))

    run(test)


def test_a_server_that_takes_no_connection_is_given_up(run):
    async def test() -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            port = listener.getsockname()[1]
            full = []
            for _ in range(4):  # its queue is full now
                one = socket.socket()
                one.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    one.connect(("127.0.0.1", port))
                full.append(one)
            settings = UpstreamSettings(url=f"http://127.0.0.1:{port}", connect_seconds=0.2)
            async with Upstream(settings) as upstream:
                with pytest.raises(UpstreamUnreachable, match="in time"):
                    await sent(upstream)
            for one in full:
                one.close()

    run(test)


def test_a_port_where_nobody_listens_is_unreachable(run):
    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        async with Upstream(UpstreamSettings(url=f"http://127.0.0.1:{port}")) as upstream:
            with pytest.raises(UpstreamUnreachable, match="cannot be reached"):
                await sent(upstream)

    run(test)
