"""HTTP as bytes on sockets: an upstream that keeps what it was sent, a client that keeps all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

HELLO = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


@dataclass
class Received:
    """One request as it came over the wire."""

    line: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    connection: int

    def values(self, name: bytes) -> list[bytes]:
        return [value for field_name, value in self.headers if field_name.lower() == name]


@dataclass
class Script:
    """What the upstream does: pieces of bytes to write, or a function that uses the socket."""

    replies: list[bytes | list[bytes] | Callable[[socket.socket], None]] = field(
        default_factory=list
    )


@dataclass
class RawUpstream:
    """An upstream on loopback that says exactly what it is told."""

    url: str
    received: list[Received]
    script: Script
    #: connections that the other side has closed
    closed: list[int]

    def reply(self, *replies: bytes | list[bytes] | Callable[[socket.socket], None]) -> None:
        self.script.replies.extend(replies)


@contextmanager
def raw_upstream() -> Iterator[RawUpstream]:
    listener = socket.create_server(("127.0.0.1", 0))
    upstream = RawUpstream(f"http://127.0.0.1:{listener.getsockname()[1]}", [], Script(), closed=[])
    stop = threading.Event()
    threading.Thread(target=_accept, args=(listener, upstream, stop), daemon=True).start()
    try:
        yield upstream
    finally:
        stop.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _accept(listener: socket.socket, upstream: RawUpstream, stop: threading.Event) -> None:
    number = 0
    while not stop.is_set():
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        number += 1
        threading.Thread(target=_converse, args=(connection, upstream, number), daemon=True).start()


def _converse(connection: socket.socket, upstream: RawUpstream, number: int) -> None:
    buffered = b""
    with connection, suppress(OSError):
        while True:
            read = read_request(connection, buffered)
            if read is None:
                upstream.closed.append(number)
                return
            received, buffered = read
            received.connection = number
            upstream.received.append(received)
            reply = upstream.script.replies.pop(0) if upstream.script.replies else HELLO
            if callable(reply):
                reply(connection)
                upstream.closed.append(number)
                return
            for piece in [reply] if isinstance(reply, bytes) else reply:
                connection.sendall(piece)


def says_nothing_more(connection: socket.socket) -> None:
    """A reply: none, until the other side has hung up."""
    connection.recv(1)


def read_request(connection: socket.socket, buffered: bytes) -> tuple[Received, bytes] | None:
    while b"\r\n\r\n" not in buffered:
        chunk = connection.recv(65536)
        if not chunk:
            return None
        buffered += chunk
    head, _, rest = buffered.partition(b"\r\n\r\n")
    line, headers = parse_head(head)
    body, rest = read_body(connection, headers, rest)
    return Received(line, headers, body, 0), rest


def parse_head(head: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    line, *fields = head.split(b"\r\n")
    headers = [(name, value.strip()) for name, _, value in (f.partition(b":") for f in fields)]
    return line, headers


def read_body(
    connection: socket.socket, headers: list[tuple[bytes, bytes]], rest: bytes
) -> tuple[bytes, bytes]:
    named = {name.lower(): value for name, value in headers}
    if b"chunked" in named.get(b"transfer-encoding", b"").lower():
        return read_chunks(connection, rest)
    length = int(named.get(b"content-length", b"0"))
    while len(rest) < length:
        chunk = connection.recv(1 << 20)
        if not chunk:
            return rest, b""
        rest += chunk
    return rest[:length], rest[length:]


def read_chunks(connection: socket.socket, rest: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        while b"\r\n" not in rest:
            rest += connection.recv(1 << 16) or _cut()
        size_line, _, rest = rest.partition(b"\r\n")
        size = int(size_line.partition(b";")[0], 16)
        while len(rest) < size + 2:
            rest += connection.recv(1 << 16) or _cut()
        if size == 0:
            return body, rest[2:]
        body, rest = body + rest[:size], rest[size + 2 :]


def _cut() -> bytes:
    raise ConnectionError("the connection ended inside a chunked body")


@dataclass
class RawAnswer:
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def values(self, name: bytes) -> list[bytes]:
        return [value for field_name, value in self.headers if field_name.lower() == name]


class RawClient:
    """One connection to a gateway."""

    def __init__(self, url: str, timeout: float = 20) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.socket.sendall(piece)

    def head(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        while b"\r\n\r\n" not in self._rest:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise ConnectionError(f"the gateway hung up after {self._rest!r}")
            self._rest += chunk
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        line, headers = parse_head(head)
        return int(line.split(b" ")[1]), headers

    def until(self, said: bytes) -> None:
        """Read on until this has come, and forget what came up to there."""
        while said not in self._rest:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise ConnectionError(f"the gateway hung up before {said!r}")
            self._rest += chunk
        self._rest = self._rest.partition(said)[2]

    def answer(self, *, is_head: bool = False) -> RawAnswer:
        status, headers = self.head()
        if is_head or status in (204, 304):
            return RawAnswer(status, headers, b"")
        body, self._rest = read_body(self.socket, headers, self._rest)
        return RawAnswer(status, headers, body)


def http_request(
    method: str, path: str, body: bytes = b"", headers: list[tuple[bytes, bytes]] | None = None
) -> bytes:
    """A request with its length, host and the headers given, in that order."""
    fields = [(b"host", b"gateway.localhost"), *(headers or [])]
    if body or method in ("POST", "PUT", "PATCH"):
        fields.append((b"content-length", b"%d" % len(body)))
    lines = [f"{method} {path} HTTP/1.1".encode("latin-1")]
    lines += [b"%b: %b" % field for field in fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def http_answer(
    body: bytes, *, status: bytes = b"200 OK", headers: list[tuple[bytes, bytes]] | None = None
) -> bytes:
    fields = headers if headers is not None else [(b"content-type", b"application/json")]
    lines = [b"HTTP/1.1 " + status, *(b"%b: %b" % field for field in fields)]
    lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(*pieces: bytes) -> list[bytes]:
    """A streamed answer, piece by piece as written to the socket."""
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    return [head, *(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces), b"0\r\n\r\n"]
