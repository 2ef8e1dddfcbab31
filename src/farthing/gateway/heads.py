"""Heads of requests as they arrive: how long one may be, and what of it is not taken up.

Theory of operation. The library reads on for as long as somebody writes. What came and has not been
handed on yet is a head, or trailers, without an end so far; its size is what a stranger could make
us keep before anybody asks for a key. So it is counted, and beyond the limit the connection ends,
with an answer where one is due. A body is handed on as it comes and is bounded by its route
(``gateway.routes``).

The limit is that of the network in front of Claude (Cloudflare, platform limits, read 2026-11:
128 KB for all fields of a request): a head that is refused here would be refused there.

An offer to go on in another protocol (``Upgrade``) is not taken up, as a server may (RFC 9110,
section 7.8). Java's own HTTP client offers ``h2c`` with each first request, body and all; but the
library's parser ends such a request at its head. So it is told that head again without the offer.
"""

from __future__ import annotations

from array import array
from http import HTTPStatus
from typing import Any, Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from farthing.errors import RequestError
from farthing.wire.envelope import dump_refusal

__all__ = ["MAX_HEAD_BYTES", "BoundedHeads"]

MAX_HEAD_BYTES: Final = 128 * 1024


class _HeadTooLarge(RequestError):
    """The head of the request has no end within what is read of one."""

    code = "request.head_too_large"
    status_hint = 431


class _NoHttp(RequestError):
    """What came cannot be read as a request."""

    code = "request.no_http"


class BoundedHeads(HttpToolsProtocol):
    """One connection; reads requests whose heads have an end."""

    _unread = 0
    _is_in_head = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser = _Parser(self)
        # as the library sets its own: what follows the last request of a connection is no error
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def data_received(self, data: bytes) -> None:
        """Bytes of whatever comes next."""
        self._unread += len(data)
        super().data_received(data)
        if self._unread > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse()

    def on_headers_complete(self) -> None:
        """The head has an end."""
        if self.parser.should_upgrade():
            return  # it is told again, without the offer
        self._unread, self._is_in_head = 0, False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body, which whoever answers counts."""
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """What comes now is the next head."""
        if self.parser.should_upgrade():
            return
        self._unread, self._is_in_head = 0, True
        super().on_message_complete()

    def head_without_offer(self) -> bytes:
        """The head just read, as one that offers no other protocol."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            raise HttpParserError("a tunnel is no call")
        lines = [b"%b %b HTTP/%b" % (method, self.url, version)]
        lines += [b"%b: %b" % field for field in self.headers if field[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP; the library's own answer is no JSON."""
        self._end_with(_NoHttp(msg))

    def _refuse(self) -> None:
        error = _HeadTooLarge(f"the head of the request is longer than {MAX_HEAD_BYTES} bytes")
        self._end_with(error if self._is_in_head else None)

    def _end_with(self, error: RequestError | None) -> None:
        """End the connection; an answer that is under way is not written into."""
        if error is not None and self._may_answer():
            said = dump_refusal(error)
            fields = {**said.headers, "content-length": len(said.body), "connection": "close"}
            lines = [f"HTTP/1.1 {said.status} {HTTPStatus(said.status).phrase}"]
            lines += [f"{name}: {value}" for name, value in fields.items()]
            self.transport.write("\r\n".join([*lines, "", ""]).encode("latin-1") + said.body)
        self.transport.close()

    def _may_answer(self) -> bool:
        """Would the next bytes be the answer to what cannot be read?"""
        if self.cycle is None or self.cycle.response_complete:
            return True
        return not (self._is_in_head or self.cycle.response_started or self.pipeline)


class _Parser(HttpRequestParser):
    """The library's parser, with offers of other protocols left out."""

    def __init__(self, connection: BoundedHeads) -> None:
        super().__init__(connection)
        self._connection = connection

    def feed_data(self, data: bytes | bytearray | memoryview | array[int]) -> None:
        """Read what came."""
        left = bytes(data)
        while left:
            try:
                super().feed_data(left)
            except HttpParserUpgrade as offer:
                left = self._connection.head_without_offer() + left[offer.args[0] :]
            else:
                return
