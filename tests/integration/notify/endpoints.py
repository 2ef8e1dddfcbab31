"""Receivers of alerts as they are outside: like Slack, like PagerDuty, a webhook with TLS."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.integration.gateway.tls import Certificates
from tests.waiting import PATIENCE

SEVERITIES = {"critical", "error", "warning", "info"}
Answer = tuple[int, bytes]
Headers = dict[str, str]


@dataclass
class Endpoint:
    """A receiver and what it took; ``script`` is what it answers first, status by status."""

    url: str = ""
    script: list[int] = field(default_factory=list)
    taken: list[tuple[Headers, bytes]] = field(default_factory=list)
    attempts: list[tuple[Headers, bytes]] = field(default_factory=list)
    #: when each attempt came, by a clock that only goes forward
    at: list[float] = field(default_factory=list)
    #: said beside what ``script`` answers
    retry_after: str | None = None
    #: a request is held, unanswered, for as long as this is set
    held: threading.Event = field(default_factory=threading.Event)

    @property
    def documents(self) -> list[Any]:
        return [json.loads(body) for _, body in self.taken]

    def wait(self, count: int, seconds: float = PATIENCE) -> None:
        """Until so many messages were taken."""
        self.until(lambda: len(self.taken) >= count, seconds)

    def until(self, condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{len(self.taken)} taken of {len(self.attempts)}"
            time.sleep(0.01)


@contextmanager
def slack() -> Iterator[Endpoint]:
    """``ok`` for a JSON object with a text, ``invalid_payload`` for anything else."""

    def answer(headers: Headers, body: bytes) -> Answer:
        try:
            document = json.loads(body)
        except ValueError:
            return 400, b"invalid_payload"
        is_text = isinstance(document.get("text"), str) and document["text"]
        if headers["content-type"] != "application/json" or not is_text:
            return 400, b"no_text"
        return 200, b"ok"

    with _served(answer, "/services/T0/B0/SECRETSECRET") as endpoint:
        yield endpoint


@contextmanager
def pagerduty() -> Iterator[Endpoint]:
    """202 for a valid event, 400 with the reasons for another."""

    def answer(headers: Headers, body: bytes) -> Answer:
        event = json.loads(body)
        wrong = []
        if len(event.get("routing_key", "")) != 32:
            wrong.append("Length of 'routing_key' is incorrect (should be 32 characters)")
        if event.get("event_action") not in {"trigger", "resolve", "acknowledge"}:
            wrong.append("'event_action' is invalid")
        if not 0 < len(event.get("dedup_key", "")) <= 255:
            wrong.append("'dedup_key' is invalid")
        if event.get("event_action") == "trigger":
            payload = event.get("payload", {})
            wrong += [f"'{name}' is missing" for name in ("summary", "source") if not payload[name]]
            wrong += [] if payload.get("severity") in SEVERITIES else ["'severity' is invalid"]
            wrong += [] if len(payload["summary"]) <= 1024 else ["'summary' is too long"]
        if wrong:
            return 400, json.dumps({"status": "invalid event", "errors": wrong}).encode()
        return 202, json.dumps({"status": "success", "dedup_key": event["dedup_key"]}).encode()

    with _served(answer, "/v2/enqueue") as endpoint:
        yield endpoint


@contextmanager
def webhook(secret: str, certificates: Certificates | None) -> Iterator[Endpoint]:
    """204 for what is signed with the secret and not old; 401 for anything else."""

    def answer(headers: Headers, body: bytes) -> Answer:
        return (204, b"") if is_signed(headers, body, secret) else (401, b"bad signature")

    with _served(answer, "/alerts", certificates) as endpoint:
        yield endpoint


def is_signed(headers: Headers, body: bytes, secret: str) -> bool:
    """Checked with another implementation: the openssl program."""
    found = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", headers.get("x-farthing-signature", ""))
    if found is None or abs(time.time() - int(found[1])) > 300:
        return False
    command = ["openssl", "dgst", "-sha256", "-hmac", secret]
    signed = found[1].encode() + b"." + body
    out = subprocess.run(command, input=signed, check=True, capture_output=True).stdout
    digest: str = out.decode().split()[-1]
    return digest == found[2]


@contextmanager
def _served(
    answer: Callable[[Headers, bytes], Answer], path: str, certificates: Certificates | None = None
) -> Iterator[Endpoint]:
    endpoint = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers["content-length"]))
            endpoint.at.append(time.monotonic())
            endpoint.attempts.append((headers, body))
            while endpoint.held.is_set():
                time.sleep(0.01)
            status, text = answer(headers, body)
            if self.path != path:
                status, text = 404, b"no_service"
            is_scripted = bool(endpoint.script)
            if is_scripted:
                status, text = endpoint.script.pop(0), b""
            if status < 300:
                endpoint.taken.append((headers, body))
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("location", "/elsewhere")
            if is_scripted and endpoint.retry_after is not None:
                self.send_header("retry-after", endpoint.retry_after)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: object) -> None:
            """A client that was killed, or does not trust us, is part of the test."""

    server = Server(("127.0.0.1", 0), Handler)
    scheme = "http"
    if certificates is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificates.chain, certificates.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    endpoint.url = f"{scheme}://127.0.0.1:{server.server_port}{path}"
    job = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    job.start()
    try:
        yield endpoint
    finally:
        endpoint.held.clear()
        server.shutdown()
        server.server_close()
        job.join(5)
