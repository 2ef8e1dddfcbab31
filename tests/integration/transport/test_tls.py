"""The same connections behind TLS: who is believed, and that nothing else is different."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from farthing.errors import UpstreamCut, UpstreamUnreachable
from farthing.transport import Upstream, UpstreamSettings
from tests.integration.gateway.tls import Certificates, make_certificates
from tests.integration.transport.peers import (
    MESSAGES,
    OK,
    Peer,
    answers,
    body_of,
    claude,
    endless,
    sent,
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.chain, certificates.key)
    return context


def test_bodies_and_answers_of_any_size_pass(run, tls):
    async def test() -> None:
        got = []
        large = b"y" * 3_000_000

        async def script(peer: Peer) -> None:
            while True:
                got.append((await peer.request()).partition(b"\r\n\r\n")[2])
                await peer.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(large))
                await peer.say(large)

        async with claude(script, tls=tls) as (served, upstream):
            for body in (b"{}", b"x" * 100_000, b"x" * 3_000_000):
                answer = await upstream.send("POST", MESSAGES, [], body)
                assert await body_of(answer) == large
                assert got[-1] == body
            assert len(served.peers) == 1

    run(test)


@pytest.mark.parametrize("said", [b"", OK[:-1]])
def test_a_cut_is_a_cut(run, tls, said):
    async def test() -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.say(said)

        async with claude(script, answers, tls=tls) as (_, upstream):
            with pytest.raises(UpstreamCut):
                await body_of(await sent(upstream))
            assert await body_of(await sent(upstream)) == b"ok"

    run(test)


def test_a_connection_that_was_closed_while_idle_is_not_used(run, tls):
    async def test() -> None:
        async def once(peer: Peer) -> None:
            await peer.request()
            await peer.say(OK)

        async with claude(once, answers, tls=tls) as (served, upstream):
            for _ in range(2):
                assert await body_of(await sent(upstream)) == b"ok"
                await asyncio.sleep(0.05)
            assert len(served.peers) == 2

    run(test)


def test_whoever_leaves_in_the_middle_of_an_answer_hangs_up(run, tls):
    async def test() -> None:
        gone = asyncio.Event()

        async with claude(endless(gone), tls=tls) as (_, upstream):
            answer = await sent(upstream)
            assert await anext(answer.chunks()) == b"first"
            answer.close()
            await gone.wait()

    run(test)


def test_a_certificate_for_another_name_is_not_believed(run, tls):
    async def test() -> None:
        async with claude(answers, tls=tls, host="localhost") as (_, upstream):
            with pytest.raises(UpstreamUnreachable, match="certificate"):
                await sent(upstream)

    run(test)


def test_a_certificate_nobody_vouches_for_is_not_believed(run, tls):
    async def test() -> None:
        async with claude(answers, tls=tls, trust_env=False) as (_, upstream):
            with pytest.raises(UpstreamUnreachable, match="certificate"):
                await sent(upstream)

    run(test)


def test_a_server_that_never_shakes_hands_is_given_up(run, tls):
    async def test() -> None:
        async def mute(peer: Peer) -> None:
            await peer.ended()

        async with claude(mute) as (plain, _):
            url = f"https://127.0.0.1:{plain.port}"
            async with Upstream(UpstreamSettings(url=url, connect_seconds=0.3)) as upstream:
                with pytest.raises(UpstreamUnreachable, match="in time"):
                    await sent(upstream)

    run(test)
