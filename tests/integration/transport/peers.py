"""A server that says exactly what a test wants, and counts the connections that it is asked for."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from farthing.driver.ports import AsyncAnswer
from farthing.transport import Upstream, UpstreamSettings

MESSAGES = (b"/v1/messages", b"")
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
SECONDS = 20.0

Script = Callable[["Peer"], Awaitable[None]]


@dataclass
class Peer:
    """One connection as the server sees it."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def request(self) -> bytes:
        """A head, and the body that its length tells of."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return head + await self.reader.readexactly(int(line.partition(b":")[2]))
        return head

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def ended(self) -> bytes:
        """What else the client sends until it hangs up."""
        with contextlib.suppress(ConnectionError):
            return await self.reader.read()
        return b""


@dataclass
class Claude:
    """The server: the first connection gets the first script, the last script all others."""

    scripts: list[Script]
    port: int = 0
    peers: list[Peer] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)

    async def met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(len(self.peers), reader, writer)
        self.peers.append(peer)
        try:
            await self.scripts[min(peer.number, len(self.scripts) - 1)](peer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except BaseException as fault:
            self.faults.append(fault)
            raise
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def claude(
    *scripts: Script, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", **given: Any
) -> AsyncIterator[tuple[Claude, Upstream]]:
    served = Claude(list(scripts))
    server = await asyncio.start_server(served.met, "127.0.0.1", 0, limit=1 << 16, ssl=tls)
    served.port = server.sockets[0].getsockname()[1]
    scheme = "http" if tls is None else "https"
    settings = UpstreamSettings(url=f"{scheme}://{host}:{served.port}", **given)
    try:
        async with Upstream(settings) as upstream:
            yield served, upstream
    finally:
        server.close()
    assert served.faults == []


async def body_of(answer: AsyncAnswer) -> bytes:
    try:
        return b"".join([chunk async for chunk in answer.chunks()])
    finally:
        answer.close()


async def eventually(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not true():  # noqa: ASYNC110  what is waited for rings no bell
            await asyncio.sleep(0.005)


async def answers(peer: Peer) -> None:
    """The same answer to every request of a connection."""
    while True:
        await peer.request()
        await peer.say(OK)


def endless(gone: asyncio.Event) -> Script:
    """Begins an answer that has no end; rings when its client has hung up."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nfirst")
        await peer.ended()
        gone.set()

    return script


async def sent(upstream: Upstream, method: str = "POST") -> AsyncAnswer:
    """A small request."""
    return await upstream.send(method, MESSAGES, [], b"{}" if method == "POST" else b"")
