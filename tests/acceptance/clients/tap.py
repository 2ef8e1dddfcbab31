"""A wire between a client and its server that keeps what passed: the third witness.

It copies bytes on sockets and knows no HTTP while it does; what the client sent is read out of the
copy afterwards.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from tests.integration.gateway.raw_http import parse_head

_CHUNK: Final = 1 << 16
_OF_CONNECTION: Final = frozenset({"host", "connection", "content-length", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as a client wrote it, or as a server received it."""

    method: str
    target: str
    #: without those of the connection, which each side says for itself
    headers: frozenset[tuple[str, str]]
    body: bytes


def end_to_end(headers: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """The headers that a server in between has to leave alone."""
    return frozenset((name, value) for name, value in headers if name not in _OF_CONNECTION)


@dataclass(frozen=True, slots=True)
class Tap:
    """A listening wire; ``url`` is what the client is told."""

    url: str
    #: what each connection's client wrote
    written: list[bytearray] = field(default_factory=list)

    @property
    def requests(self) -> list[Sent]:
        """What clients sent, connection by connection."""
        return [sent for copy in self.written for sent in requests_in(bytes(copy))]


@contextmanager
def tap(upstream_url: str) -> Iterator[Tap]:
    """A tap in front of a server on loopback."""
    listener = socket.create_server(("127.0.0.1", 0))
    wire = Tap(f"http://127.0.0.1:{listener.getsockname()[1]}")
    parts = urlsplit(upstream_url)
    assert parts.hostname is not None
    assert parts.port is not None
    target = (parts.hostname, parts.port)
    threading.Thread(target=_accept, args=(listener, target, wire), daemon=True).start()
    try:
        yield wire
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def requests_in(wire: bytes) -> list[Sent]:
    """The complete requests of one connection."""
    found = []
    while b"\r\n\r\n" in wire:
        head, _, rest = wire.partition(b"\r\n\r\n")
        line, headers = parse_head(head)
        named = {name.lower(): value for name, value in headers}
        is_chunked = b"chunked" in named.get(b"transfer-encoding", b"").lower()
        length = int(named.get(b"content-length", b"0"))
        if not is_chunked and len(rest) < length:
            break
        body, wire = _unchunk(rest) if is_chunked else (rest[:length], rest[length:])
        method, target, _ = line.decode("latin-1").split(" ")
        texts = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in named.items())
        found.append(Sent(method, target, end_to_end(texts), body))
    return found


def _unchunk(rest: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        size_line, _, rest = rest.partition(b"\r\n")
        size = int(size_line.partition(b";")[0], 16)
        body, rest = body + rest[:size], rest[size + 2 :]
        if size == 0:
            return body, rest


def _accept(listener: socket.socket, target: tuple[str, int], wire: Tap) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        try:
            server = socket.create_connection(target)
        except OSError:
            client.close()
            continue
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        copy = bytearray()
        wire.written.append(copy)
        threading.Thread(target=_carry, args=(client, server, copy), daemon=True).start()
        threading.Thread(target=_carry, args=(server, client, None), daemon=True).start()


def _carry(source: socket.socket, sink: socket.socket, copy: bytearray | None) -> None:
    """Bytes of one direction; when it ends, so does the connection."""
    with suppress(OSError):
        while piece := source.recv(_CHUNK):
            if copy is not None:
                copy += piece
            sink.sendall(piece)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    source.close()
