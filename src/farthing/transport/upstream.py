"""The way to Claude: one HTTP request out, its answer in, nothing read into either.

Theory of operation. Straight to the server, requests go over connections of our own (``pool``,
``connection``): a general HTTP client costs a call as much as all of farthing's own work. Through a
proxy that the environment names, a library that knows proxies takes them (``proxied``).

No timeout but the one for connecting, unless an operator sets one: how long an answer may take is
the client's to say, and it says so by hanging up.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Sequence
from typing import TYPE_CHECKING, Final, Self

from farthing.driver.ports import AsyncAnswer
from farthing.errors import UpstreamCut, UpstreamUnreachable
from farthing.transport.pool import Pool
from farthing.transport.proxies import proxy_for
from farthing.transport.settings import Origin, UpstreamSettings, trust_of

if TYPE_CHECKING:
    from farthing.transport.proxied import ProxiedUpstream

__all__ = ["Upstream"]

_Headers = Sequence[tuple[bytes, bytes]]
_Body = bytes | AsyncIterable[bytes] | None

#: first lines with their ``host`` that are remembered; real clients use a dozen
_STARTS: Final = 512
#: what may be sent again where a kept connection turns out to be closed (RFC 9110, section 9.2.2)
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
#: their requests say a length even where it is 0
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


class Upstream:
    """All connections to one base URL; made inside a running event loop."""

    def __init__(self, settings: UpstreamSettings) -> None:
        origin = Origin.of(settings.url)
        trust = trust_of(origin, trust_env=settings.trust_env)
        proxy = proxy_for(settings.url) if settings.trust_env else None
        self._origin = origin
        self._starts: dict[tuple[str, tuple[bytes, bytes]], bytes] = {}
        self._pool = Pool(origin, settings, trust)
        self._proxied: ProxiedUpstream | None = None
        if proxy is not None:
            from farthing.transport.proxied import ProxiedUpstream  # noqa: PLC0415  seldom needed

            self._proxied = ProxiedUpstream(settings, trust, proxy)

    async def send(
        self,
        method: str,
        target: tuple[bytes, bytes],
        headers: _Headers,
        body: _Body = None,
    ) -> AsyncAnswer:
        """Send one request and wait for the head of its answer.

        Args:
            method: as the client spelled it.
            target: raw path and raw query.
            headers: what ``request_headers`` left, or the same plus a length for a streamed body.
            body: bytes, or pieces of a body that is not held in memory.
        """
        if self._proxied is not None:
            return await self._proxied.send(method, target, headers, body)
        content = body or b""
        is_chunked = not isinstance(content, bytes) and not _has_length(headers)
        head = self._head(method, target, headers, content, is_chunked=is_chunked)
        while True:
            connection, is_kept = await self._pool.lease()
            try:
                return await connection.send(
                    head, content, is_bodiless=method == "HEAD", is_chunked=is_chunked
                )
            except UpstreamCut:
                # one that was closed while it was idle; a new one is no such thing
                is_again = is_kept and method in _IDEMPOTENT and isinstance(content, bytes)
                if connection.was_heard or not is_again:
                    raise

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()
        if self._proxied is not None:
            await self._proxied.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _head(
        self,
        method: str,
        target: tuple[bytes, bytes],
        headers: _Headers,
        content: bytes | AsyncIterable[bytes],
        *,
        is_chunked: bool,
    ) -> bytes:
        """The head of a request, every value in the bytes it came in."""
        start = self._starts.get((method, target)) or self._start(method, target)
        lines = [b"%b: %b\r\n" % field for field in headers]
        if is_chunked:
            lines.append(b"transfer-encoding: chunked\r\n")
        elif isinstance(content, bytes) and (content or method in _WITH_BODY):
            lines.append(b"content-length: %d\r\n" % len(content))
        head = b"%b%b\r\n" % (start, b"".join(lines))
        ends = len(lines) + 3  # the first line, the host and the empty one
        if head.count(b"\n") != ends or head.count(b"\r") != ends or b"\0" in head:
            raise UpstreamUnreachable(
                "the request cannot be written as HTTP: a header holds a control character"
            )
        return head

    def _start(self, method: str, target: tuple[bytes, bytes]) -> bytes:
        path, query = target
        origin = self._origin
        full = origin.prefix + (b"%b?%b" % (path, query) if query else path)
        start = b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (method.encode(), full, origin.authority)
        if len(self._starts) < _STARTS:
            self._starts[method, target] = start
        return start


def _has_length(headers: _Headers) -> bool:
    return any(name == b"content-length" for name, _ in headers)
