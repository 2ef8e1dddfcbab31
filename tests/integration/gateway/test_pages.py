"""The gateway's own pages, its headers, whose key goes upstream, and what it records."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from farthing.compose import RunningGateway, running_gateway
from farthing.config import Settings
from farthing.core.records import Outcome
from farthing.errors import ConfigError
from farthing.ledger.task_sums import select_outcome
from farthing.traces import read_trace
from tests.integration.gateway.raw_http import (
    RawAnswer,
    RawClient,
    RawUpstream,
    chunked,
    http_answer,
    http_request,
)
from tests.integration.gateway.test_bytes import BODIES, JSON, MESSAGE, STREAM
from tests.waiting import eventually

STREAMED = BODIES["plain"].replace(b"{", b'{"stream":true,', 1)
TASK = [(b"x-farthing-task", b"task-7"), (b"x-farthing-task-type", b"review")]
SECRET = b"sk-ant-very-secret"


def ask(
    client: RawClient,
    method: str,
    path: str,
    body: bytes = b"",
    headers: list[tuple[bytes, bytes]] | None = None,
) -> RawAnswer:
    client.send(http_request(method, path, body, headers))
    return client.answer(is_head=method == "HEAD")


def exchange_id(answer: RawAnswer) -> str:
    return answer.values(b"x-farthing-exchange-id")[0].decode()


def lookup(client: RawClient, answer: RawAnswer) -> dict[str, Any]:
    found = ask(client, "GET", f"/farthing/v1/exchanges/{exchange_id(answer)}")
    assert found.status == 200
    row: dict[str, Any] = json.loads(found.body)
    return row


def test_it_is_alive_and_ready(client: RawClient) -> None:
    assert ask(client, "GET", "/livez").status == 200
    assert ask(client, "GET", "/readyz").body == b"ready\n"
    assert ask(client, "HEAD", "/readyz").status == 200


def test_a_plain_answer_says_what_it_cost(client: RawClient, upstream: RawUpstream) -> None:
    upstream.reply(http_answer(MESSAGE))
    answer = ask(client, "POST", "/v1/messages", BODIES["plain"], JSON)

    # 12 tokens in at 5 $/Mtok, 3 out at 25
    assert answer.values(b"x-farthing-cost-usd") == [b"0.000135"]
    assert answer.values(b"x-farthing-saved-usd") == [b"0"]
    assert exchange_id(answer).startswith("ex_")


def test_what_a_stream_cost_is_looked_up(client: RawClient, upstream: RawUpstream) -> None:
    upstream.reply(chunked(*STREAM))
    answer = ask(client, "POST", "/v1/messages", STREAMED, [*JSON, *TASK])
    row = lookup(client, answer)

    assert answer.values(b"x-farthing-cost-usd") == []
    assert row["state"] == "settled"
    assert row["cost"]["total"] == "0.000135"
    assert row["attribution"]["task_id"] == "task-7"
    assert row["attribution"]["task_type"] == "review"
    assert row["usage"]["uncached"] == 12


def test_an_exchange_nobody_knows_is_a_404(client: RawClient) -> None:
    assert ask(client, "GET", "/farthing/v1/exchanges/ex_none").status == 404


@pytest.mark.parametrize("path", ["/farthing/", "/farthing/v1/nothing", "/farthing/v2/tasks"])
def test_no_page_of_ours_goes_upstream(client: RawClient, upstream: RawUpstream, path: str) -> None:
    assert ask(client, "GET", path).status == 404
    assert upstream.received == []


def test_an_outcome_is_recorded_for_a_task(client: RawClient, upstream: RawUpstream) -> None:
    upstream.reply(http_answer(MESSAGE))
    answer = ask(client, "POST", "/v1/messages", BODIES["plain"], [*JSON, *TASK])
    said = b'{"outcome":"passed","score":0.5}'

    assert ask(client, "POST", "/farthing/v1/tasks/task-7/outcome", said).status == 200
    row = lookup(client, answer)
    assert (row["outcome"], row["score"]) == ("passed", 0.5)


@pytest.mark.parametrize(
    ("name", "path", "task_id"),
    [
        ("tâche É".encode(), "t%C3%A2che%20%C3%89", "tâche É"),
        ("tâche".encode("latin-1"), "t%C3%A2che", "tâche"),
        (b"n" * 300, "n" * 300, "n" * 200),
        (b" spaced ", "%20spaced%0A", "spaced"),
    ],
    ids=["utf-8", "latin-1", "long", "space"],
)
def test_an_outcome_finds_the_task_under_the_name_its_calls_gave(
    client: RawClient, upstream: RawUpstream, name: bytes, path: str, task_id: str
) -> None:
    upstream.reply(http_answer(MESSAGE))
    fields = [*JSON, (b"x-farthing-task", name)]
    answer = ask(client, "POST", "/v1/messages", BODIES["plain"], fields)

    said = b'{"outcome":"passed"}'
    assert ask(client, "POST", f"/farthing/v1/tasks/{path}/outcome", said).status == 200

    row = lookup(client, answer)
    assert (row["attribution"]["task_id"], row["outcome"]) == (task_id, "passed")


def test_an_outcome_may_say_who_a_task_is_that_makes_no_call_itself(
    client: RawClient, gateway: RunningGateway
) -> None:
    said = b'{"outcome":"failed","task_type":"project","parent":"task-0"}'

    assert ask(client, "POST", "/farthing/v1/tasks/task-7/outcome", said).status == 200
    gateway.ledger.flush()
    with select_outcome(gateway.ledger.path) as outcome_of:
        assert outcome_of("task-7") == Outcome(
            outcome="failed", task_type="project", parent_task_id="task-0"
        )


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"[]",
        b'{"outcome":"great"}',
        b'{"outcome":"failed","parent":"' + b"x" * 201 + b'"}',
        b'{"outcome":"passed","x":1}',
        b'{"outcome":"passed","score":NaN}',
        b'{"outcome":"passed","score":1e999}',
        b'{"outcome":"passed","score":"0.9"}',
        b"\xff",
        b"x" * 70_000,
    ],
)
def test_an_outcome_that_makes_no_sense_is_refused(client: RawClient, said: bytes) -> None:
    answer = ask(client, "POST", "/farthing/v1/tasks/t/outcome", said)

    assert answer.status in (400, 413)
    assert json.loads(answer.body)["type"] == "error"


def test_a_page_takes_only_its_methods(client: RawClient) -> None:
    assert ask(client, "POST", "/livez").status == 405
    assert ask(client, "GET", "/farthing/v1/tasks/t/outcome").status == 405


def test_a_web_page_cannot_read_or_write_here(client: RawClient) -> None:
    foreign = [(b"origin", b"https://evil.test")]

    assert ask(client, "GET", "/farthing/v1/exchanges/ex_1", b"", foreign).status == 403
    said = b'{"outcome":"passed"}'
    assert ask(client, "POST", "/farthing/v1/tasks/t/outcome", said, foreign).status == 403


def test_the_figures_have_no_prompt_and_no_key(client: RawClient, upstream: RawUpstream) -> None:
    upstream.reply(http_answer(MESSAGE))
    body = BODIES["plain"].replace(b'"a"', b'"very-private-words"')
    ask(client, "POST", "/v1/messages", body, [*JSON, (b"x-api-key", SECRET)])
    answered = b'farthing_answers_total{route="/v1/messages",status="200"} 1'
    # a call is counted when its answer has gone
    assert eventually(lambda: answered in ask(client, "GET", "/metrics").body)
    shown = ask(client, "GET", "/metrics").body

    assert b'farthing_exchanges_total{state="settled"} 1' in shown
    assert b'farthing_cost_usd_total{model="claude-opus-4-5"} 0.000135' in shown
    assert b"very-private-words" not in shown
    assert SECRET not in shown


def test_an_exchange_is_one_line_in_the_log_without_text_or_key(
    client: RawClient, upstream: RawUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    body = BODIES["plain"].replace(b'"a"', b'"very-private-words"')
    with caplog.at_level(logging.INFO, logger="farthing"):
        upstream.reply(http_answer(MESSAGE))
        ask(client, "POST", "/v1/messages", body, [*JSON, (b"x-api-key", SECRET)])

    lines = [vars(record) for record in caplog.records if record.name.startswith("farthing")]
    assert [line["action"] for line in lines] == ["exchange.settled"]
    assert "very-private-words" not in str(lines)
    assert SECRET.decode() not in str(lines)


def test_nothing_secret_rests_in_the_ledger(
    client: RawClient, upstream: RawUpstream, gateway: RunningGateway
) -> None:
    body = BODIES["plain"].replace(b'"a"', b'"very-private-words"')
    upstream.reply(http_answer(MESSAGE))
    ask(client, "POST", "/v1/messages", body, [*JSON, (b"x-api-key", SECRET)])
    gateway.ledger.flush()

    folder = gateway.ledger.path.parent
    kept = b"".join(path.read_bytes() for path in folder.iterdir())
    assert b"very-private-words" not in kept
    assert SECRET not in kept


# -- bypass and levers ----------------------------------------------------------------------------


@pytest.fixture
def caching(upstream: RawUpstream, tmp_path: Path) -> Iterator[RunningGateway]:
    settings = Settings(
        upstream=upstream.url, port=0, ledger=str(tmp_path / "ledger.db"), cache="auto"
    )
    with running_gateway(settings) as running:
        yield running


LONG = BODIES["plain"].replace(b'"a"', b'"' + b"word " * 5000 + b'"')


def test_cache_auto_marks_what_the_client_left_unmarked(
    caching: RunningGateway, upstream: RawUpstream
) -> None:
    with RawClient(caching.url) as client:
        answer = ask(client, "POST", "/v1/messages", LONG, JSON)

        assert json.loads(upstream.received[-1].body)["cache_control"] == {"type": "ephemeral"}
        assert lookup(client, answer)["plan"] == ["+cache.auto"]


def test_a_bypass_goes_untouched_and_is_still_recorded(
    caching: RunningGateway, upstream: RawUpstream
) -> None:
    upstream.reply(http_answer(MESSAGE))
    with RawClient(caching.url) as client:
        bypass = [(b"x-farthing-bypass", b"1")]
        answer = ask(client, "POST", "/v1/messages", LONG, [*JSON, *bypass])
        row = lookup(client, answer)

    assert upstream.received[-1].body == LONG
    assert upstream.received[-1].values(b"x-farthing-bypass") == []
    assert row["plan"] == ["-all:bypass"]
    assert row["cost"]["total"] == "0.000135"


# -- keys -----------------------------------------------------------------------------------------


@pytest.fixture
def keyed(upstream: RawUpstream, tmp_path: Path) -> Iterator[RunningGateway]:
    key_file = tmp_path / "key"
    key_file.write_text("sk-own\n")
    settings = Settings(
        upstream=upstream.url,
        port=0,
        ledger=str(tmp_path / "ledger.db"),
        api_key_file=str(key_file),
    )
    with running_gateway(settings) as running:
        yield running


@pytest.mark.parametrize(
    "sent", [[], [(b"x-api-key", b"sk-client")], [(b"authorization", b"Bearer sk-client")]]
)
def test_the_gateways_own_key_takes_the_place_of_the_clients(
    keyed: RunningGateway, upstream: RawUpstream, sent: list[tuple[bytes, bytes]]
) -> None:
    with RawClient(keyed.url) as client:
        assert ask(client, "POST", "/v1/messages", BODIES["plain"], sent).status == 200

    assert upstream.received[-1].values(b"x-api-key") == [b"sk-own"]
    assert upstream.received[-1].values(b"authorization") == []


def test_a_web_page_cannot_spend_the_gateways_key(
    keyed: RunningGateway, upstream: RawUpstream
) -> None:
    with RawClient(keyed.url) as client:
        foreign = [(b"origin", b"https://evil.test")]
        assert ask(client, "POST", "/v1/messages", BODIES["plain"], foreign).status == 403

    assert upstream.received == []


def test_the_clients_credentials_pass_through(client: RawClient, upstream: RawUpstream) -> None:
    sent = [(b"x-api-key", b"k1"), (b"authorization", b"Bearer k2")]
    ask(client, "POST", "/v1/messages", BODIES["plain"], sent)

    assert upstream.received[-1].values(b"x-api-key") == [b"k1"]
    assert upstream.received[-1].values(b"authorization") == [b"Bearer k2"]


def test_an_own_key_is_not_offered_to_the_network(tmp_path: Path) -> None:
    settings = Settings(
        host="0.0.0.0", port=0, ledger=str(tmp_path / "ledger.db"), api_key="sk-own"
    )
    with pytest.raises(ConfigError, match="spend it"), running_gateway(settings):
        pass


# -- recording ------------------------------------------------------------------------------------


def turn(*texts: str, stream: bool = False) -> bytes:
    messages = [
        {"role": "user" if index % 2 == 0 else "assistant", "content": text}
        for index, text in enumerate(texts)
    ]
    body = {"model": "claude-opus-4-5", "max_tokens": 9, "stream": stream, "messages": messages}
    return json.dumps(body).encode()


def record(upstream: RawUpstream, folder: Path, redaction: Any = "none") -> None:
    settings = Settings(
        upstream=upstream.url,
        port=0,
        ledger=str(folder / "ledger.db"),
        record=str(folder / "rec"),
        record_redaction=redaction,
    )
    folded = gzip.compress(MESSAGE)
    upstream.reply(
        chunked(*STREAM),
        http_answer(folded, headers=[*JSON, (b"content-encoding", b"gzip")]),
        http_answer(b"{}", status=b"400 Bad Request"),
        http_answer(MESSAGE),
    )
    with running_gateway(settings) as running, RawClient(running.url) as client:
        ask(client, "POST", "/v1/messages", turn("one", stream=True), [(b"x-api-key", SECRET)])
        ask(client, "POST", "/v1/messages", turn("one", "é", "two"))
        ask(client, "POST", "/v1/messages", turn("one", "é", "bad"))
        ask(client, "POST", "/v1/messages", turn("elsewhere"))


def test_recorded_traffic_is_a_trace_with_each_conversation_once(
    upstream: RawUpstream, tmp_path: Path
) -> None:
    record(upstream, tmp_path)
    [file] = (tmp_path / "rec").iterdir()
    long, short = sorted(read_trace(file), key=lambda found: -len(found.calls))

    assert [call.prompt_messages for call in long.calls] == [1, 3]
    assert [call.streamed for call in long.calls] == [True, False]
    assert [message.role for message in long.messages] == ["user", "assistant", "user", "assistant"]
    assert [call.prompt_messages for call in short.calls] == [1]
    assert long.calls[0].message_id == "msg_1"
    assert json.loads(bytes(long.calls[1].usage)) == {"input_tokens": 12, "output_tokens": 3}
    assert file.stat().st_mode & 0o777 == 0o600
    assert SECRET not in gzip.decompress(file.read_bytes())


def test_a_redacted_recording_holds_no_text(upstream: RawUpstream, tmp_path: Path) -> None:
    record(upstream, tmp_path, "digest")
    [file] = (tmp_path / "rec").iterdir()

    assert b"elsewhere" not in gzip.decompress(file.read_bytes())
    assert len(list(read_trace(file))) == 2


def test_nothing_is_recorded_unless_asked(
    client: RawClient, upstream: RawUpstream, gateway: RunningGateway, tmp_path: Path
) -> None:
    ask(client, "POST", "/v1/messages", BODIES["plain"], JSON)

    assert not list(tmp_path.rglob("*.jsonl*"))
