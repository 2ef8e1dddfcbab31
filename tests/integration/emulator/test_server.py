"""The shells around the emulator: its server, its own endpoints, its command, its fixtures."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from farthing.errors import ConfigError
from farthing.lab.emulator import RunningEmulator, Settings, emulator

pytest_plugins = ["farthing.testing"]

BODY = {
    "model": "claude-opus-4-5",
    "max_tokens": 50,
    "messages": [{"role": "user", "content": "a"}],
}
MAIN = "from farthing.cli.main import main; raise SystemExit(main())"
HEADERS = {"x-api-key": "sk-emu-acme", "anthropic-version": "2023-06-01"}


def call(url: str, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    host = url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)
    sent = {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body else None
    connection.request(method, path, body=data, headers=sent)
    with connection.getresponse() as reply:
        text = reply.read()
    connection.close()
    return reply.status, json.loads(text) if text.startswith((b"{", b"[")) else text


def test_the_clock_is_moved_by_an_admin_call(emu: RunningEmulator) -> None:
    _, before = call(emu.url, "GET", "/emulator/clock")
    _, after = call(emu.url, "POST", "/emulator/clock", {"advance": 3600})
    assert after["now"] - before["now"] == 3600


def test_faults_are_planned_and_called_off_by_admin_calls(emu: RunningEmulator) -> None:
    call(emu.url, "POST", "/emulator/faults", {"fault": "status=529", "times": 5})
    assert call(emu.url, "POST", "/v1/messages", BODY)[0] == 529
    call(emu.url, "DELETE", "/emulator/faults")
    assert call(emu.url, "POST", "/v1/messages", BODY)[0] == 200


def test_the_latency_profile_is_set_by_an_admin_call(emu: RunningEmulator) -> None:
    _, before = call(emu.url, "GET", "/emulator/clock")
    told = call(emu.url, "POST", "/emulator/latency", {"profile": "typical", "base_seconds": 3})[1]
    assert told["base_seconds"] == 3
    assert told["seconds_per_output_token"] > 0
    call(emu.url, "POST", "/v1/messages", BODY)
    _, after = call(emu.url, "GET", "/emulator/clock")
    assert 3 < after["now"] - before["now"] < 5


def test_scripts_and_rules_are_loaded_by_admin_calls(emu: RunningEmulator) -> None:
    assert call(emu.url, "POST", "/emulator/script", [{"content": "one"}])[1]["unused"] == 1
    assert call(emu.url, "POST", "/emulator/rules", [{"content": "rule"}])[1] == {"rules": 1}
    texts = [call(emu.url, "POST", "/v1/messages", BODY)[1]["content"][0]["text"] for _ in "abc"]
    assert texts == ["one", "rule", "rule"]


def test_what_was_received_is_shown_without_bodies_or_keys(emu: RunningEmulator) -> None:
    call(emu.url, "POST", "/v1/messages", BODY)
    _, shown = call(emu.url, "GET", "/emulator/requests")
    assert shown[0]["path"] == "/v1/messages"
    assert shown[0]["status"] == 200
    assert "sk-emu" not in json.dumps(shown)


def test_state_and_prompt_cache_can_be_looked_at_and_cleared(emu: RunningEmulator) -> None:
    system = [{"type": "text", "text": "with " * 6000, "cache_control": {"type": "ephemeral"}}]
    call(emu.url, "POST", "/v1/messages", {**BODY, "system": system})
    assert call(emu.url, "GET", "/emulator/state")[1]["prompt_cache_entries"] == 1
    call(emu.url, "DELETE", "/emulator/prompt_cache")
    call(emu.url, "DELETE", "/emulator/threads")
    assert call(emu.url, "GET", "/emulator/state")[1]["prompt_cache_entries"] == 0


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/emulator/nothing", {}, 404),
        ("/emulator/clock", {"back": 1}, 400),
        ("/emulator/clock", {"advance": -1}, 400),
        ("/emulator/faults", {"fault": "explode"}, 400),
        ("/emulator/script", [{"contents": ""}], 400),
        ("/emulator/script", b"{", 400),
    ],
)
def test_a_bad_admin_call_is_explained(
    emu: RunningEmulator, path: str, body: Any, status: int
) -> None:
    answered, told = call(emu.url, "POST", path, body)
    assert answered == status
    assert told["error"]


def test_the_real_clock_cannot_be_moved_and_really_waits() -> None:
    with emulator(Settings(clock="real")) as running:
        assert call(running.url, "POST", "/emulator/clock", {"advance": 1})[0] == 400
        status, _ = call(running.url, "POST", "/v1/messages", BODY, x_emulator_fault="latency=0.05")
        assert status == 200


def test_a_body_that_is_announced_too_large_is_refused_before_it_is_read(
    emu: RunningEmulator,
) -> None:
    host, port = emu.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as wire:
        wire.sendall(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n")
        answer = wire.recv(4096)
    assert answer.startswith(b"HTTP/1.1 413")


def test_a_chunked_body_that_grows_too_large_is_refused(emu: RunningEmulator) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(33):
            yield b" " * 1024 * 1024

    host = emu.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=20)
    connection.request("POST", "/v1/messages", body=chunks(), headers=HEADERS, encode_chunked=True)
    with connection.getresponse() as reply:
        assert reply.status == 413
    connection.close()


def test_a_taken_port_is_the_operators_error(emu: RunningEmulator) -> None:
    taken = int(emu.url.rsplit(":", 1)[1])
    with pytest.raises(ConfigError, match="cannot listen"), emulator(port=taken):
        pass


def test_a_handle_scripts_counts_and_looks(emu: RunningEmulator) -> None:
    emu.script([{"content": "one"}])
    emu.rules([{"content": "two"}])
    emu.fault("status=500")
    statuses = [call(emu.url, "POST", "/v1/messages", BODY)[0] for _ in "abc"]
    assert statuses == [500, 200, 200]
    assert len(emu.billed) == 2
    assert [received.status for received in emu.requests] == statuses


def test_the_fixture_for_other_projects_points_the_environment_here(
    claude_environment: RunningEmulator,
) -> None:
    assert os.environ["ANTHROPIC_BASE_URL"] == claude_environment.url
    assert call(os.environ["ANTHROPIC_BASE_URL"], "POST", "/v1/messages", BODY)[0] == 200


@contextmanager
def command(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``farthing emulate`` as a process, and the address it prints."""
    words = [sys.executable, "-c", MAIN, "emulate", "--port", "0", *options]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip().removeprefix("export ANTHROPIC_BASE_URL=")
            key = process.stdout.readline().strip()
            assert key == "export ANTHROPIC_API_KEY=sk-emu-default"
            yield process, url
        finally:
            process.kill()


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_a_signal_and_exits_cleanly(name: signal.Signals) -> None:
    with command("--clock", "virtual") as (process, url):
        assert call(url, "POST", "/v1/messages", BODY)[0] == 200
        process.send_signal(name)
        assert process.wait(timeout=10) == 0
        assert process.stderr is not None
        assert "served 1 calls" in process.stderr.read()


def test_the_command_takes_a_script_and_rules(tmp_path: Path) -> None:
    script, rules = tmp_path / "s.jsonl", tmp_path / "r.json"
    script.write_text('{"content": "scripted"}\n')
    rules.write_text('[{"content": "ruled"}]')
    with command("--script", str(script), "--rules", str(rules)) as (_, url):
        texts = [call(url, "POST", "/v1/messages", BODY)[1]["content"][0]["text"] for _ in "ab"]
    assert texts == ["scripted", "ruled"]


def test_a_script_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    words = [sys.executable, "-c", MAIN, "emulate", "--script", str(tmp_path / "missing")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "cannot read the script" in done.stderr
    assert "Traceback" not in done.stderr
