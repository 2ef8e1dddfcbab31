"""A library of this field as the witness: both read the same out of anything a server may say."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from farthing.errors import UpstreamCut
from farthing.transport import Upstream, UpstreamSettings
from farthing.transport.proxied import ProxiedUpstream
from tests.integration.transport.peers import Peer, answers, body_of, claude

_NAMES: Final = st.sampled_from([b"x-a", b"X-A", b"request-id", b"Set-Cookie", b"x-b"])
_VALUES: Final = st.binary(max_size=20).map(
    lambda value: bytes(each for each in value if each in b"\t" or 32 <= each != 127).strip()
)
_BODIES: Final = st.binary(max_size=200)


@st.composite
def framed(draw: st.DrawFn) -> bytes:
    """An answer: any status, fields and framing, whole, cut anywhere or with a byte too many."""
    status = draw(st.sampled_from([200, 201, 204, 304, 400, 429, 500, 529]))
    fields = draw(st.lists(st.tuples(_NAMES, _VALUES), max_size=4))
    pieces = draw(st.lists(_BODIES, max_size=4))
    body = b"".join(pieces)
    match draw(st.sampled_from(["length", "chunks", "end"])):
        case "length":
            fields.append((b"Content-Length", b"%d" % len(body)))
        case "chunks":
            fields.append((b"Transfer-Encoding", b"chunked"))
            parts = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece]
            body = b"".join(
                [*parts, b"0\r\n", draw(st.sampled_from([b"", b"x-sum: 1\r\n"])), b"\r\n"]
            )
        case _:
            fields.append((b"Connection", b"close"))
    head = b"".join(b"%b: %b\r\n" % field for field in draw(st.permutations(fields)))
    said = b"HTTP/1.1 %d Any\r\n%b\r\n" % (status, head) + (b"" if status in {204, 304} else body)
    announced = draw(st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n"]))
    return (announced + said)[: draw(st.sampled_from([None, len(said) // 2, len(said) - 1]))]


_Heard = tuple[int, list[tuple[bytes, bytes]], bytes] | None


async def heard(upstream: Upstream | ProxiedUpstream) -> _Heard:
    """What a client makes of an answer; None: it says that it was cut."""
    try:
        answer = await upstream.send("POST", (b"/v1/messages", b""), [], b"{}")
        fields = [(name, value.strip()) for name, value in answer.headers]
        return answer.status, fields, await body_of(answer)
    except UpstreamCut:
        return None


@contextlib.asynccontextmanager
async def library(port: int) -> AsyncIterator[ProxiedUpstream]:
    settings = UpstreamSettings(url=f"http://127.0.0.1:{port}")
    upstream = ProxiedUpstream(settings, trust=None, proxy=None)
    try:
        yield upstream
    finally:
        await upstream.close()


@given(said=framed(), borders=st.lists(st.integers(0, 400), max_size=5))
def test_both_clients_hear_the_same(said: bytes, borders: list[int]) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        cuts = [0, *sorted(borders), len(said)]
        for start, end in pairwise(cuts):
            await peer.say(said[start:end])
            await asyncio.sleep(0)

    async def test() -> None:
        async with claude(script) as (served, own), library(served.port) as other:
            assert await heard(own) == await heard(other)

    asyncio.run(test())


def test_the_witness_hears_what_is_said() -> None:
    async def test() -> None:
        async with claude(answers) as (served, _), library(served.port) as other:
            assert await heard(other) == (200, [(b"content-length", b"2")], b"ok")

    asyncio.run(test())
