"""Which header fields cross the gateway: all but those that speak of one connection.

Rules from outside (RFC 9110 section 7.6.1, read 2026-11): a proxy drops ``Connection``, what it
names, and the fields that frame or manage this hop. ``Host`` names the other hop's server. A body's
length is said anew where the body is framed anew. Everything else goes through: order, duplicates,
spelling of values, also where they are not UTF-8.

Rules of this file: names come in lower case (ASGI) or any case (upstream); values are bytes and are
never decoded here. Our own ``x-farthing-*`` fields steer farthing and stay with it.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["OWN_PREFIX", "RawHeaders", "request_headers", "response_headers"]

#: name and value as bytes, in the order of the wire
RawHeaders = Iterable[tuple[bytes, bytes]]

#: fields of farthing itself: read here, never sent on
OWN_PREFIX = b"x-farthing-"

#: They speak of one connection. ``proxy-authenticate`` is not among them: an answer of 407 means
#: nothing without it, and our own proxy's answers never come this far.
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
#: ``expect`` was answered by our server; asking again would cost a round trip
_NOT_SENT_ON = _HOP_BY_HOP | {b"host", b"content-length", b"expect"}


def request_headers(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    """The fields of a client's request that go upstream; the length of the body is not among them.

    ``headers`` have lower-case names, as ASGI gives them.
    """
    named = _named_by_connection(headers)
    dropped = _NOT_SENT_ON | named if named else _NOT_SENT_ON
    return [
        field
        for field in headers
        if field[0] not in dropped and not field[0].startswith(OWN_PREFIX)
    ]


def response_headers(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    """The fields of an upstream answer that go to the client, the length of the body included."""
    lowered = [(name.lower(), value) for name, value in headers]
    named = _named_by_connection(lowered)
    dropped = _HOP_BY_HOP | named if named else _HOP_BY_HOP
    return [field for field in lowered if field[0] not in dropped]


def _named_by_connection(headers: RawHeaders) -> frozenset[bytes]:
    """The fields that ``Connection`` says belong to this hop."""
    for name, value in headers:
        if name == b"connection" and value.lower() not in (b"keep-alive", b"close"):
            return _all_named(headers)
    return frozenset()


def _all_named(headers: RawHeaders) -> frozenset[bytes]:
    values = [value.lower() for name, value in headers if name == b"connection"]
    return frozenset(word.strip() for value in values for word in value.split(b",")) - {b""}
