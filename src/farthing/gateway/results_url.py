"""Lets the ``results_url`` of a batch name the address that the client itself used.

Why: SDKs fetch a batch's results from that absolute URL. It names the provider's host, so through
a gateway they would go past it: not booked, and with the gateway's own key refused (ADR 0016).

Rules of this file: bytes in, bytes out; a splice, so nothing else of the body changes; only a URL
whose origin is the upstream's and whose path is that of a batch's results; whatever cannot be read
stays as it came.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from farthing.errors import RequestError
from farthing.gateway.asgi import header
from farthing.wire.json import decode_string, elements, encode, members
from farthing.wire.splice import Splice, spliced

__all__ = ["client_origin", "origin_of", "with_results_urls"]

_NAME: Final = "results_url"
_PATH: Final = re.compile(r"/v1/messages/batches/[^/?#]+/results", re.ASCII)
#: a name or an address, perhaps with a port; nothing that could end the authority of a URL
_HOST: Final = re.compile(r"[\w.-]+(?::\d{1,5})?|\[[0-9A-Fa-f:.]+\](?::\d{1,5})?", re.ASCII)
_PORTS: Final = {"http": 80, "https": 443}

_Headers = Sequence[tuple[bytes, bytes]]


def client_origin(headers: _Headers) -> str | None:
    """The origin that a client addressed, as it or the proxy before us says; None: not said."""
    host = header(headers, b"x-forwarded-host") or header(headers, b"host") or b""
    scheme = (header(headers, b"x-forwarded-proto") or b"http").decode("latin-1").strip().lower()
    name = host.decode("latin-1").partition(",")[0].strip()
    if scheme not in _PORTS or not _HOST.fullmatch(name):
        return None
    return f"{scheme}://{name}"


def origin_of(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None where that is no http URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, port or _PORTS[parts.scheme]


def with_results_urls(body: bytes, *, upstream: str, client: str) -> bytes | None:
    """The body with its results URLs at the client's origin; None where there is none to change."""
    if _NAME.encode() not in body:
        return None
    try:
        splices = list(_splices(body, upstream, client))
    except RequestError:
        return None
    return spliced(body, splices) if splices else None


def _splices(body: bytes, upstream: str, client: str) -> Iterator[Splice]:
    """Of the batch itself, or of each in a list's ``data``."""
    for start, end in _batches(body):
        for member in members(body[start:end]):
            if member.name != _NAME:
                continue
            span = start + member.start, start + member.end
            moved = _moved(body[span[0] : span[1]], upstream, client)
            if moved is not None:
                yield Splice(*span, moved)


def _batches(body: bytes) -> Iterator[tuple[int, int]]:
    yield 0, len(body)
    for member in members(body):
        if member.name == "data" and body[member.start : member.start + 1] == b"[":
            for start, end in elements(body[member.start : member.end]):
                if body[member.start + start : member.start + start + 1] == b"{":
                    yield member.start + start, member.start + end


def _moved(raw: bytes, upstream: str, client: str) -> bytes | None:
    if raw[:1] != b'"':
        return None
    url = decode_string(raw)
    origin = origin_of(url)
    if origin is None or origin != origin_of(upstream):
        return None
    # urlsplit has read it, so a third slash ends the authority if there is a path at all
    rest = url.partition("://")[2]
    path = rest[rest.find("/") :] if "/" in rest else ""
    return encode(f"{client}{path}") if _PATH.fullmatch(path) else None
