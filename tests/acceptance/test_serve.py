"""`farthing serve` as a process: what it says, how it stops, what a killed one leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from farthing.ledger import SqliteLedger
from tests.integration.gateway.raw_http import (
    RawClient,
    RawUpstream,
    http_request,
    raw_upstream,
    says_nothing_more,
)
from tests.integration.gateway.test_bytes import BODIES, JSON, MESSAGE
from tests.waiting import PATIENCE

MAIN = "from farthing.cli.main import main; raise SystemExit(main())"


def farthing(*words: str, **environment: str) -> list[str]:
    return [sys.executable, "-c", MAIN, *words]


@contextmanager
def serving(upstream: RawUpstream, folder: Path, *words: str) -> Iterator[tuple[Any, str]]:
    """A gateway in a process of its own, and its URL as it printed it."""
    command = farthing("serve", "--port", "0", "--upstream", upstream.url, *words)
    command += ["--ledger", str(folder / "ledger.db"), "--log-format", "json"]
    environment = {**os.environ, "HOME": str(folder)}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("export ANTHROPIC_BASE_URL=http://127.0.0.1:"), process.stderr
        yield process, line.strip().partition("=")[2]
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def upstream() -> Iterator[RawUpstream]:
    with raw_upstream() as running:
        yield running


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            status: int = answer.status
    except urllib.error.HTTPError as error:
        return error.code
    return status


def test_it_says_what_to_set_and_serves(upstream: RawUpstream, tmp_path: Path) -> None:
    with serving(upstream, tmp_path) as (process, url):
        assert status_of(f"{url}/readyz") == 200
        with RawClient(url) as client:
            client.send(http_request("POST", "/v1/messages", BODIES["plain"], JSON))
            assert client.answer().status == 200
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0
    assert f"farthing serves {upstream.url}" in said
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert [line["action"] for line in lines] == ["exchange.unsettled", "gateway.stopped"]


def test_a_port_in_use_is_said_in_one_line(upstream: RawUpstream, tmp_path: Path) -> None:
    with serving(upstream, tmp_path) as (_, url):
        port = url.rpartition(":")[2]
        command = farthing("serve", "--port", port, "--ledger", str(tmp_path / "other.db"))
        run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert run.returncode == 2
    assert "the port is in use" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_ledger_in_use_is_said_in_one_line(upstream: RawUpstream, tmp_path: Path) -> None:
    with serving(upstream, tmp_path):
        command = farthing("serve", "--port", "0", "--ledger", str(tmp_path / "ledger.db"))
        run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert "export" not in run.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_calls_under_way_end_before_the_process_does(
    upstream: RawUpstream, tmp_path: Path, number: signal.Signals
) -> None:
    go_on = threading.Event()

    def slowly(connection: Any) -> None:
        go_on.wait(PATIENCE)
        connection.sendall(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (len(MESSAGE), MESSAGE)
        )

    upstream.reply(slowly)
    with serving(upstream, tmp_path) as (process, url), RawClient(url) as client:
        client.send(http_request("POST", "/v1/messages", BODIES["plain"], JSON))
        while not upstream.received:
            time.sleep(0.01)
        process.send_signal(number)
        time.sleep(0.3)
        assert process.poll() is None
        go_on.set()
        answer = client.answer()
        process.communicate(timeout=PATIENCE)

    assert answer.body == MESSAGE
    assert process.returncode == 0
    assert [row.state for row in stored(tmp_path)] == ["settled"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_waits_for_no_call(
    upstream: RawUpstream, tmp_path: Path, number: signal.Signals
) -> None:
    upstream.reply(says_nothing_more)
    with (
        serving(upstream, tmp_path, "--drain-seconds", "3600") as (process, url),
        RawClient(url) as client,
    ):
        client.send(http_request("POST", "/v1/messages", BODIES["plain"], JSON))
        while not upstream.received:
            time.sleep(0.01)
        process.send_signal(number)
        while "gateway.stopping" not in (line := process.stderr.readline()):
            assert line, "the gateway does not say that it stops"
        process.send_signal(number)
        answer = client.answer()
        _, said = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0
    assert answer.status == 503
    assert json.loads(answer.body)["error"]["details"]["error_code"] == "farthing.gateway.stopping"
    actions = [json.loads(line)["action"] for line in said.splitlines()]
    assert actions == ["gateway.hurried", "exchange.unsettled", "gateway.stopped"]
    assert [row.state for row in stored(tmp_path)] == ["unsettled"]


def test_what_does_not_end_in_time_is_cut_and_settled(
    upstream: RawUpstream, tmp_path: Path
) -> None:
    upstream.reply(says_nothing_more)
    with (
        serving(upstream, tmp_path, "--drain-seconds", "1") as (process, url),
        RawClient(url) as client,
    ):
        client.send(http_request("POST", "/v1/messages", BODIES["plain"], JSON))
        while not upstream.received:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)

    assert [row.state for row in stored(tmp_path)] == ["unsettled"]


def test_a_killed_gateway_leaves_a_row_of_every_call_it_sent(
    upstream: RawUpstream, tmp_path: Path
) -> None:
    upstream.reply(says_nothing_more)
    with serving(upstream, tmp_path) as (process, url), RawClient(url) as client:
        client.send(http_request("POST", "/v1/messages", BODIES["plain"], JSON))
        while not upstream.received:
            time.sleep(0.01)
        process.kill()
        process.communicate()
    with serving(upstream, tmp_path):
        pass

    [row] = stored(tmp_path)
    assert row.state == "unsettled"
    assert row.settlement is not None
    assert row.settlement.high_pico is not None


def stored(folder: Path) -> list[Any]:
    ledger = SqliteLedger(folder / "ledger.db")
    try:
        ledger.flush()
        return list(ledger.rows())
    finally:
        ledger.close()


def test_settings_say_where_they_come_from(tmp_path: Path) -> None:
    file = tmp_path / "farthing.toml"
    file.write_text('[gateway]\nport = 9999\n[levers]\ncache = "auto"\n')
    command = farthing("config", "show", "--json", "--config", str(file), "--port", "1234")
    environment = {**os.environ, "FARTHING_HOST": "127.0.0.2", "FARTHING_API_KEY": "sk-secret"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    shown = json.loads(run.stdout)["settings"]

    assert shown["gateway.port"]["value"] == "1234"
    assert shown["gateway.port"]["origin"] == "flag --port"
    assert shown["gateway.host"]["origin"] == "environment FARTHING_HOST"
    assert shown["levers.cache"]["origin"] == f"file {file}"
    assert shown["upstream.url"]["origin"] == "default"
    assert "sk-secret" not in run.stdout


@pytest.mark.parametrize(
    ("words", "environment", "hint"),
    [
        (["--prot", "1"], {}, "--port"),
        ([], {"FARTHING_PROT": "1"}, "FARTHING_PORT"),
        (["--cache", "on"], {}, "engine, auto, off"),
    ],
)
def test_a_wrong_setting_is_refused_with_a_hint(
    words: list[str], environment: dict[str, str], hint: str
) -> None:
    command = farthing("serve", *words)
    run = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )

    assert run.returncode == 2
    assert hint in run.stderr
