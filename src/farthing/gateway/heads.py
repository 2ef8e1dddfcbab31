"""How long the head of a request may be: the library reads on for as long as somebody writes.

Theory of operation. What came and has not been handed on yet is a head, or trailers, without an end
so far; its size is what a stranger could make us keep before anybody asks for a key. So it is
counted, and beyond the limit the connection ends, with an answer where one is due. A body is handed
on as it comes and is bounded by its route (``gateway.routes``).

The limit is that of the network in front of Claude (Cloudflare, platform limits, read 2026-11:
128 KB for all fields of a request): a head that is refused here would be refused there.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from farthing.errors import RequestError
from farthing.wire.envelope import dump_refusal

__all__ = ["MAX_HEAD_BYTES", "BoundedHeads"]

MAX_HEAD_BYTES: Final = 128 * 1024


class _HeadTooLarge(RequestError):
    """The head of the request has no end within what is read of one."""

    code = "request.head_too_large"
    status_hint = 431


class BoundedHeads(HttpToolsProtocol):
    """One connection; reads requests whose heads have an end."""

    _unread = 0
    _is_in_head = True

    def data_received(self, data: bytes) -> None:
        """Bytes of whatever comes next."""
        self._unread += len(data)
        super().data_received(data)
        if self._unread > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse()

    def on_headers_complete(self) -> None:
        """The head has an end."""
        self._unread, self._is_in_head = 0, False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body, which whoever answers counts."""
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """What comes now is the next head."""
        self._unread, self._is_in_head = 0, True
        super().on_message_complete()

    def _refuse(self) -> None:
        if self._is_in_head and (self.cycle is None or self.cycle.response_complete):
            said = dump_refusal(
                _HeadTooLarge(f"the head of the request is longer than {MAX_HEAD_BYTES} bytes")
            )
            fields = {**said.headers, "content-length": len(said.body), "connection": "close"}
            lines = [f"HTTP/1.1 {said.status} {HTTPStatus(said.status).phrase}"]
            lines += [f"{name}: {value}" for name, value in fields.items()]
            self.transport.write("\r\n".join([*lines, "", ""]).encode("latin-1") + said.body)
        self.transport.close()
