"""A private CA, an upstream behind TLS, and a proxy that tunnels: for tests of the way upstream."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.gateway.raw_http import http_answer, parse_head, read_request

_CONFIG = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = farthing test
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[leaf]
basicConstraints = CA:FALSE
subjectAltName = DNS:claude.test,IP:127.0.0.1
"""


@dataclass(frozen=True)
class Certificates:
    """What a company's CA leaves on a machine, and what its server uses."""

    ca: Path
    chain: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    """A CA and a certificate for ``claude.test`` and 127.0.0.1."""
    (folder / "openssl.cnf").write_text(_CONFIG)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    request = ["req", "-config", "openssl.cnf", *key]
    ca = ["-x509", "-days", "2", "-extensions", "ca", "-keyout", "ca.key", "-out", "ca.pem"]
    leaf = ["-extfile", "openssl.cnf", "-extensions", "leaf", "-out", "leaf.pem"]
    _openssl(folder, [*request, *ca])
    _openssl(folder, [*request, "-keyout", "leaf.key", "-out", "leaf.csr"])
    signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"]
    _openssl(folder, ["x509", "-req", "-in", "leaf.csr", *signing, *leaf])
    return Certificates(folder / "ca.pem", folder / "leaf.pem", folder / "leaf.key")


def _openssl(folder: Path, words: list[str]) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


@dataclass
class Served:
    """A server of the test's own and what it was asked."""

    port: int
    lines: list[bytes] = field(default_factory=list)
    headers: list[dict[bytes, bytes]] = field(default_factory=list)


@contextmanager
def tls_upstream(certificates: Certificates, body: bytes) -> Iterator[Served]:
    """Answers every request alike, behind TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.chain, certificates.key)

    def serve(connection: socket.socket, served: Served) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            read = read_request(wrapped, b"")
            while read is not None:
                served.lines.append(read[0].line)
                wrapped.sendall(http_answer(body))
                read = read_request(wrapped, read[1])

    with _server(serve) as served:
        yield served


@contextmanager
def tunnel_proxy(target: int) -> Iterator[Served]:
    """An HTTP proxy: whatever host is asked for, it tunnels to one port of this machine."""

    def serve(connection: socket.socket, served: Served) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        line, headers = parse_head(head.partition(b"\r\n\r\n")[0])
        served.lines.append(line)
        served.headers.append({name.lower(): value for name, value in headers})
        with socket.create_connection(("127.0.0.1", target)) as other:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(other, connection), daemon=True)
            back.start()
            _pump(connection, other)
            back.join(5)

    with _server(serve) as served:
        yield served


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def _server(serve: Callable[[socket.socket, Served], None]) -> Iterator[Served]:
    listener = socket.create_server(("127.0.0.1", 0))
    served = Served(listener.getsockname()[1])

    def one(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            serve(connection, served)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=one, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield served
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
