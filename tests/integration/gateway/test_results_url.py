"""The one value of an answer that the gateway changes: where a batch's results are read."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from farthing.compose import RunningGateway, running_gateway
from farthing.config import Settings
from tests.integration.gateway.raw_http import (
    RawAnswer,
    RawClient,
    RawUpstream,
    http_answer,
    http_request,
)

PATH = "/v1/messages/batches"
ONE = f"{PATH}/msgbatch_1"
#: what the requests of ``http_request`` name as their host
CLIENT = b"http://gateway.localhost"
Headers = list[tuple[bytes, bytes]]


def batch(url: str | None) -> bytes:
    # spaced, with an escape, a number beyond a double and fields nobody knows
    return (
        b'{ "id":"msgbatch_1" , "type": "message_batch","x-\\u00e9": 1.00, "n":1234567890123456789,'
        b'\n "results_url" : ' + json.dumps(url).encode() + b' ,"tail":[ ] }'
    )


def results_url(upstream: RawUpstream) -> str:
    return f"{upstream.url}{ONE}/results"


def ask(
    url: str, path: str = ONE, headers: Headers | None = None, method: str = "GET"
) -> RawAnswer:
    with RawClient(url) as client:
        client.send(http_request(method, path, b"{}" if method == "POST" else b"", headers))
        return client.answer()


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ONE), ("POST", f"{ONE}/cancel"), ("POST", PATH)]
)
def test_only_the_url_changes_and_the_length_says_so(
    upstream: RawUpstream, gateway: RunningGateway, method: str, path: str
) -> None:
    body = batch(results_url(upstream))
    upstream.reply(http_answer(body))
    answer = ask(gateway.url, path, method=method)

    assert answer.body == body.replace(upstream.url.encode(), CLIENT)
    assert answer.values(b"content-length") == [b"%d" % len(answer.body)]
    assert answer.values(b"x-farthing-rewritten") == [b"results_url"]


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-farthing-bypass", b"1")],
        [(b"x-forwarded-host", b'evil"host')],
    ],
)
def test_a_call_that_cannot_or_must_not_be_changed_is_not(
    upstream: RawUpstream, gateway: RunningGateway, headers: Headers
) -> None:
    body = batch(results_url(upstream))
    upstream.reply(http_answer(body))
    answer = ask(gateway.url, headers=[*headers, (b"accept-encoding", b"br")])

    assert answer.body == body
    assert answer.values(b"x-farthing-rewritten") == []
    assert upstream.received[-1].values(b"accept-encoding") == [b"br"]


def test_compressed_answers_are_not_asked_for_and_pass_if_they_come(
    upstream: RawUpstream, gateway: RunningGateway
) -> None:
    folded = gzip.compress(batch(results_url(upstream)))
    upstream.reply(http_answer(folded, headers=[(b"content-encoding", b"gzip")]))
    answer = ask(gateway.url, headers=[(b"accept-encoding", b"gzip, br")])

    assert upstream.received[-1].values(b"accept-encoding") == [b"identity"]
    assert answer.body == folded
    assert b'farthing_notes_total{code="batch.url_compressed"} 1' in gateway.metrics.render()


def test_an_answer_beyond_the_limit_passes_unread(
    upstream: RawUpstream, gateway: RunningGateway
) -> None:
    long = b'{"data": [' + batch(results_url(upstream)) + b"]," + b" " * 5_000_000 + b'"x":1}'
    upstream.reply(http_answer(long))

    assert ask(gateway.url, PATH).body == long


def test_a_refusal_passes_as_it_is(upstream: RawUpstream, gateway: RunningGateway) -> None:
    body = batch(results_url(upstream))
    upstream.reply(http_answer(body, status=b"404 Not Found"))
    answer = ask(gateway.url)

    assert (answer.status, answer.body) == (404, body)


@pytest.fixture
def faithful(upstream: RawUpstream, tmp_path: Path) -> Iterator[RunningGateway]:
    settings = Settings(
        upstream=upstream.url,
        port=0,
        ledger=str(tmp_path / "ledger.db"),
        rewrite_results_url=False,
    )
    with running_gateway(settings) as running:
        yield running


def test_switched_off_nothing_is_changed_and_batches_are_still_known(
    upstream: RawUpstream, faithful: RunningGateway
) -> None:
    folded = gzip.compress(batch(results_url(upstream)))
    upstream.reply(http_answer(folded, headers=[(b"content-encoding", b"gzip")]))
    answer = ask(faithful.url, PATH, [(b"accept-encoding", b"gzip")], method="POST")

    assert answer.body == folded
    assert upstream.received[-1].values(b"accept-encoding") == [b"gzip"]
    [row] = faithful.ledger.rows()
    [known] = faithful.ledger.batches(created_from=row.opened.opened_at)
    assert (known.batch_id, known.exchange_id) == ("msgbatch_1", row.opened.exchange_id)


@pytest.mark.parametrize(
    ("body", "encoding"), [(b'{"id":"file_1","type":"file"}', b"identity"), (b"{}", b"gzip")]
)
def test_a_creation_that_cannot_be_read_is_counted(
    upstream: RawUpstream, gateway: RunningGateway, body: bytes, encoding: bytes
) -> None:
    upstream.reply(http_answer(body, headers=[(b"content-encoding", encoding)]))

    assert ask(gateway.url, PATH, method="POST").body == body
    assert b'farthing_notes_total{code="batch.not_remembered"} 1' in gateway.metrics.render()
