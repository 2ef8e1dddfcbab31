"""Everything fails, one way after the other, and no key comes to light: logs at their loudest with
tracebacks, the ledger's files, the journal, alerts, what clients are told, standard error."""

from __future__ import annotations

import io
import logging
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from farthing.cli.logs import configure_logging
from farthing.cli.main import main
from tests.integration.gateway.keyed import PROVIDER_KEY, Keyed, keyed_gateway
from tests.integration.gateway.raw_http import (
    RawAnswer,
    RawClient,
    RawUpstream,
    chunked,
    http_answer,
    http_request,
)
from tests.integration.gateway.test_bytes import BODIES, JSON, MESSAGE
from tests.integration.gateway.test_secrets import files_of, found_in, secret_parts
from tests.integration.notify.endpoints import slack

Step = Callable[[Keyed, RawUpstream], "RawAnswer | None"]
FOREIGN = ("uvicorn", "aiohttp", "asyncio")
STREAMED = BODIES["plain"].replace(b"{", b'{"stream":true,', 1)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that anybody logs, ours as lines of JSON and everybody's as text, with tracebacks."""
    ours, root, text = logging.getLogger("farthing"), logging.getLogger(), io.StringIO()
    before = (ours.handlers, ours.level, ours.propagate, root.level)
    loud = logging.StreamHandler(text)
    foreign = {name: logging.getLogger(name).level for name in FOREIGN}
    configure_logging("debug", "json", text)
    root.addHandler(loud)
    for name in ("", *FOREIGN):
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield text
    root.removeHandler(loud)
    ours.handlers, ours.level, ours.propagate = before[:3]
    root.setLevel(before[3])
    for name, level in foreign.items():
        logging.getLogger(name).setLevel(level)


def call(body: bytes = BODIES["plain"], *fields: tuple[bytes, bytes]) -> Step:
    """A call with the client's key."""

    def step(keyed: Keyed, upstream: RawUpstream) -> RawAnswer | None:
        try:
            return keyed.ask(
                "POST",
                "/v1/messages",
                body,
                key=keyed.texts["client"],
                headers=[*JSON, *fields],
            )
        except (ConnectionError, ValueError):  # an answer that was cut short
            return None

    return step


def answered(reply: bytes | list[bytes] | Callable[[socket.socket], None]) -> Step:
    """The same, where the provider says this."""

    def step(keyed: Keyed, upstream: RawUpstream) -> RawAnswer | None:
        upstream.reply(reply)
        return call(BODIES["plain"] if isinstance(reply, bytes) else STREAMED)(keyed, upstream)

    return step


def failed(status: bytes, body: bytes = b'{"type":"error","error":{"type":"x"}}') -> Step:
    return answered(http_answer(body, status=status))


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def cut(said: bytes) -> Callable[[socket.socket], None]:
    """Says so much, and no more."""

    def say(connection: socket.socket) -> None:
        connection.sendall(said)

    return say


def page(method: str, path: str, body: bytes, role: str) -> Step:
    def step(keyed: Keyed, _: RawUpstream) -> RawAnswer:
        return keyed.ask(method, path, body, key=keyed.texts[role], headers=JSON)

    return step


def broken(where: str) -> Step:
    """A bug of ours, while a key is at hand."""

    def step(keyed: Keyed, upstream: RawUpstream) -> RawAnswer | None:
        def fail(*_: object) -> None:
            raise RuntimeError("a bug of ours")

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(where, fail)
            return call()(keyed, upstream)

    return step


def unfinished(keyed: Keyed, upstream: RawUpstream) -> None:
    """Half a request, with its key, and gone."""
    whole = http_request(
        "POST",
        "/v1/messages",
        BODIES["plain"],
        [*JSON, (b"x-api-key", keyed.texts["client"].encode())],
    )
    with RawClient(keyed.gateway.url) as client:
        client.send(whole[:-20])


def garbled(keyed: Keyed, upstream: RawUpstream) -> RawAnswer:
    """A head that is none, with a key in it."""
    with RawClient(keyed.gateway.url) as client:
        client.send(b"POST /v1/messages HTTP/1.1\r\nx-api-key %b\r\n\r\n" % PROVIDER_KEY.encode())
        return client.answer()


def misplaced(where: str) -> Step:
    """A key where a name belongs."""

    def step(keyed: Keyed, upstream: RawUpstream) -> RawAnswer | None:
        secret = keyed.texts["client"].encode()
        if where == "model":
            body = BODIES["plain"].replace(b"claude-opus-4-5", secret)
            assert secret in body
            return call(body)(keyed, upstream)
        if where == "path":
            return keyed.ask("POST", f"/v1/{secret.decode()}", b"{}", key=secret.decode())
        return call(BODIES["plain"], (where.encode(), secret))(keyed, upstream)

    return step


EVENTS = chunked(b"event: message_start\ndata: {not json\n\n", b"event: error\ndata: {}\n\n")
STEPS: dict[str, Step] = {
    "unauthorised upstream": failed(b"401 Unauthorized"),
    "forbidden upstream": failed(b"403 Forbidden"),
    "too many": failed(b"429 Too Many Requests"),
    "overloaded": failed(b"529 Overloaded"),
    "a fault": failed(b"500 Internal Server Error", b"<html>no JSON"),
    "an answer that is no JSON": answered(http_answer(b"nonsense")),
    "an answer cut short": answered(cut(http_answer(MESSAGE)[:-9])),
    "a stream of nonsense": answered(EVENTS),
    "a stream cut short": answered(cut(b"".join(EVENTS[:2]))),
    "hung up": answered(lambda connection: None),
    "reset": answered(reset),
    "no HTTP": answered(b"SSH-2.0-OpenSSH\r\n\r\n"),
    "no JSON sent": call(b"{"),
    "no model": call(b"{}"),
    "a header that is no text": call(BODIES["plain"], (b"x-farthing-task", b"\xff\xfe")),
    "a budget of its own": call(BODIES["plain"], (b"x-farthing-budget-usd", b"0.0000001")),
    "a key for a task": misplaced("x-farthing-task"),
    "a key for a task type": misplaced("x-farthing-task-type"),
    "a key for a session": misplaced("x-claude-code-session-id"),
    "a key for a model": misplaced("model"),
    "a key for a path": misplaced("path"),
    "a page for others": page("GET", "/farthing/v1/keys", b"", "client"),
    "a key that cannot be": page("POST", "/farthing/v1/keys", b'{"name":"A B"}', "admin"),
    "a budget that cannot be": page("PUT", "/farthing/v1/budgets/x", b'{"limit":1}', "admin"),
    "half a request": unfinished,
    "no request": garbled,
    **{f"failing all the time {number}": failed(b"500 No") for number in range(20)},
    "a bug at the gate": broken("farthing.gateway.access.check_route"),
    "a bug at the door": broken("farthing.gateway.credentials.request_headers"),
}


def journal_of(ledger: Path, capfd: pytest.CaptureFixture[str]) -> str:
    assert main(["journal", "export", "--ledger", str(ledger)]) == 0
    return capfd.readouterr().out


def test_no_failure_brings_a_key_to_light(
    upstream: RawUpstream,
    tmp_path: Path,
    log: io.StringIO,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """All steps one after the other, on one gateway."""
    told: dict[str, bytes] = {}
    statuses = set[int]()
    with slack() as endpoint:
        given = {"alerts_slack_url": endpoint.url, "alerts_digest_minutes": 0}
        with keyed_gateway(upstream.url, tmp_path, **given) as keyed:
            for name, step in STEPS.items():
                upstream.script.replies.clear()
                answer = step(keyed, upstream)
                if answer is not None:
                    statuses.add(answer.status)
                    told[name] = b"%r %b" % (answer.headers, answer.body)
            endpoint.wait(1)
            running = files_of(tmp_path)
            texts = keyed.texts
        alerts = b"\n".join(body for _, body in endpoint.attempts)
    shown = capfd.readouterr()
    journal = journal_of(tmp_path / "ledger.db", capfd)
    secrets = secret_parts(texts)
    places = {
        **{f"answer: {name}": said for name, said in told.items()},
        **{f"file: {name}": content for name, content in {**running, **files_of(tmp_path)}.items()},
        "log": log.getvalue().encode(),
        "alerts": alerts,
        "journal": journal.encode(),
        "standard output": (shown.out + shown.err).encode(),
    }

    assert {
        name: found for name, said in places.items() if (found := found_in(said, secrets))
    } == {}
    assert PROVIDER_KEY.encode() in b"".join(upstream.received[0].values(b"x-api-key"))
    assert {400, 401, 402, 403, 429, 500, 502, 529} <= statuses
    assert "calls failed at the provider" in alerts.decode()
    assert '"key.created"' in journal
    assert log.getvalue().count("Traceback") >= 2
    assert "a bug of ours" in log.getvalue()
