"""An API that refuses marks of ours: the client's own request is sent, once, and remembered."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import anthropic

from farthing.compose import running_gateway
from farthing.config import Settings
from farthing.lab.emulator import emulator

_NO_MARKS = {
    "type": "error",
    "error": {"type": "invalid_request_error", "message": "tools.0.cache_control: not here"},
}
_TEXT = "You are an agent. " * 600


@contextmanager
def refusing(behind: str) -> Iterator[tuple[str, list[bytes]]]:
    """An API without prompt caching, in front of one that has it; what came to it."""
    came: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            came.append(body)
            status, answer = 400, json.dumps(_NO_MARKS).encode()
            if b"cache_control" not in body:
                names = ("authorization", "anthropic-version", "content-type")
                headers = {name: self.headers.get(name, "") for name in names}
                request = urllib.request.Request(behind + self.path, body, headers)
                with urllib.request.urlopen(request) as found:
                    status, answer = found.status, found.read()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        job = threading.Thread(target=server.serve_forever)
        job.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", came
        finally:
            server.shutdown()
            job.join()


def ask(client: anthropic.Anthropic, question: str) -> str | None:
    answer = client.messages.create(
        model="claude-opus-5-5",
        max_tokens=20,
        system=_TEXT,
        messages=[{"role": "user", "content": question}],
    )
    return answer.stop_reason


def test_a_refused_mark_costs_one_more_request_and_the_client_sees_an_answer(
    tmp_path: Path,
) -> None:
    with emulator() as emu, refusing(emu.url) as (url, came):
        settings = Settings(upstream=url, port=0, ledger=str(tmp_path / "ledger.db"))
        with (
            running_gateway(settings) as gateway,
            anthropic.Anthropic(base_url=gateway.url, api_key="sk-emu-a", max_retries=0) as client,
        ):
            seen = [ask(client, "How?"), ask(client, "How?")]
            gateway.ledger.flush()
            ended = [row.settlement for row in gateway.ledger.rows() if row.settlement]
        billed = len(emu.billed)

    assert seen == ["max_tokens", "max_tokens"]
    assert ["cache_control" in body.decode() for body in came] == [True, False, False]
    assert came[1] == came[2]  # the client's own bytes, both times
    assert billed == 2
    assert ["levers.refused" in one.notes for one in ended] == [True, False]
    assert [one.baseline_pico for one in ended] == [one.cost and one.cost.total for one in ended]
