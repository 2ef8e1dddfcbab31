"""The way to Claude through a proxy: a tunnel for https, a forwarded request for http.

Theory of operation. aiohttp speaks to the proxy, frames requests, parses answers and keeps
connections; all that it adds on its own is switched off (cookies, redirects, decompression, default
headers, ``.netrc``). Reading is paused by flow control while whoever reads from
``ProxiedAnswer.chunks`` is not ready for more, so a slow client slows Claude down and nothing piles
up here. Slower than a connection of our own (``connection``), and seldom needed.
"""

from __future__ import annotations

import io
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from typing import Any, Final

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from yarl import URL

from farthing.transport.headers import response_headers
from farthing.transport.settings import UpstreamSettings
from farthing.transport.translation import FOREIGN, translation_of

__all__ = ["ProxiedAnswer", "ProxiedUpstream"]

_Body = bytes | AsyncIterable[bytes] | None

#: aiohttp adds these where the client sent none
_NEVER_ADDED: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

#: from here on a body is written piece by piece, so that no single write holds up the event loop
_PIECEWISE_BYTES: Final = 1 << 20

#: Answer headers: the provider's rate-limit fields make a few KB; the library's limit is 8.
_MAX_FIELD_BYTES: Final = 65_536

#: paths and queries remembered as parsed URLs; real clients use a dozen
_URLS: Final = 512


class ProxiedAnswer:
    """An answer whose head has come; read its chunks, then it gives its connection back."""

    __slots__ = ("_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        #: what may go to the client: lower-case names, hop-by-hop fields left out
        self.headers = response_headers(response.raw_headers)

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, in pieces cut anywhere, still compressed if it is."""
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._response.content.readany()
        except FOREIGN as error:
            raise translation_of(error) from error
        if not chunk:
            raise StopAsyncIteration
        return chunk

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else cut it."""
        self._response.close()


class ProxiedUpstream:
    """One connection pool to one base URL; made inside a running event loop."""

    def __init__(
        self, settings: UpstreamSettings, trust: ssl.SSLContext | None, proxy: str | None
    ) -> None:
        self._base = settings.url.rstrip("/")
        self._urls: dict[tuple[bytes, bytes], URL] = {}
        self._proxy = proxy
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=settings.max_connections,
                keepalive_timeout=settings.idle_seconds,
                ssl=True if trust is None else trust,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_NEVER_ADDED,
            request_class=_FaithfulRequest,
            timeout=aiohttp.ClientTimeout(
                total=None,
                sock_connect=settings.connect_seconds,
                sock_read=settings.silence_seconds,
            ),
            max_line_size=_MAX_FIELD_BYTES,
            max_field_size=_MAX_FIELD_BYTES,
        )

    async def send(
        self,
        method: str,
        target: tuple[bytes, bytes],
        headers: Sequence[tuple[bytes, bytes]],
        body: _Body = None,
    ) -> ProxiedAnswer:
        """Send one request and wait for the head of its answer.

        Args:
            method: as the client spelled it.
            target: raw path and raw query.
            headers: what ``request_headers`` left, or the same plus a length for a streamed body.
            body: bytes, or pieces of a body that is not held in memory.
        """
        try:
            response = await self._session.request(
                method,
                self._url(target),
                headers=_spelled(headers),
                data=_payload(method, headers, body),
                allow_redirects=False,
                proxy=self._proxy,
            )
        except FOREIGN as error:
            raise translation_of(error) from error
        return ProxiedAnswer(response)

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    def _url(self, target: tuple[bytes, bytes]) -> URL:
        url = self._urls.get(target)
        if url is None:
            path, query = target
            text = self._base + path.decode("latin-1")
            # encoded: what the client wrote is not written better
            url = URL(f"{text}?{query.decode('latin-1')}" if query else text, encoded=True)
            if len(self._urls) < _URLS:
                self._urls[target] = url
        return url


class _FaithfulRequest(ClientRequest):
    """A request whose header values leave as the bytes they came as.

    aiohttp writes header text as UTF-8. Values that are no UTF-8 are therefore handed over as
    Latin-1 text, marked by ``_LATIN``, and the written head is turned back into those bytes.
    """

    async def write_bytes(self, writer: Any, *args: Any, **kwargs: Any) -> None:
        """Repair the head, then send it and the body."""
        head = getattr(writer, "_headers_buf", None)
        if head and _LATIN in self.headers:
            lines = head.decode("utf-8").split("\r\n")
            kept = [line for line in lines if not line.startswith(_LATIN)]
            writer._headers_buf = "\r\n".join(kept).encode("latin-1")  # noqa: SLF001  no public way
        await super().write_bytes(writer, *args, **kwargs)


#: Never sent: says that this request's header text is Latin-1 for bytes, not text.
_LATIN: Final = "x-farthing-latin-1"


def _spelled(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Header bytes as the text that aiohttp turns into the same bytes."""
    try:
        return [(name.decode("ascii"), value.decode("utf-8")) for name, value in headers]
    except UnicodeDecodeError:
        as_is = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        return [*as_is, (_LATIN, "1")]


def _payload(method: str, headers: Sequence[tuple[bytes, bytes]], body: _Body) -> Any:
    if isinstance(body, bytes):
        if len(body) >= _PIECEWISE_BYTES:
            return io.BytesIO(body)
        if body or method in ("POST", "PUT", "PATCH"):
            return body
        body = None
    if body is None and any(not value.isascii() for _, value in headers):
        # only a request with a body passes where its head can be repaired
        return aiohttp.BytesPayload(b"")
    return body
