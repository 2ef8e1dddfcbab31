"""`farthing run` as a process: its command has the terminal, the signals and the exit code."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from farthing.core.records import RowFilter
from farthing.lab.emulator import RunningEmulator, emulator
from farthing.ledger.database import select_rows
from tests.acceptance.test_serve import farthing

KEY = "sk-emu-acme"
PATIENCE_SECONDS = 30

#: an agent of three calls with the real SDK, the prompt cache on, and an exit code of its own
AGENT = """
import os, sys
import anthropic
client = anthropic.Anthropic()
for _ in range(3):
    client.messages.create(
        model="claude-opus-4-8", max_tokens=100, messages=[{"role": "user", "content": "hello"}],
        system=[{"type": "text", "text": "with " * 6000, "cache_control": {"type": "ephemeral"}}],
    )
print(os.environ["ANTHROPIC_BASE_URL"], os.environ["ENABLE_TOOL_SEARCH"])
sys.exit(7)
"""

#: without the SDK, which takes a second to import; the credential may be given
ONE_CALL = """
import json, os, sys, urllib.request
body = {"model": "claude-opus-4-8", "max_tokens": 9,
        "messages": [{"role": "user", "content": "with " * 6000}]}
credential = {"x-api-key": "sk-emu-acme"}
if sys.argv[1:]:
    credential = {"authorization": f"Bearer {sys.argv[1]}"}
urllib.request.urlopen(urllib.request.Request(
    os.environ["ANTHROPIC_API_BASE"] + "/v1/messages", json.dumps(body).encode(),
    {"content-type": "application/json", "anthropic-version": "2023-06-01", **credential}))
"""

#: says that it is ready, then how it was ended
WAITING = """
import signal, sys, time
def stop(number, frame):
    print("got", signal.Signals(number).name, flush=True)
    sys.exit(5)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, stop)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def emu() -> Iterator[RunningEmulator]:
    with emulator() as running:
        yield running


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "ANTHROPIC_API_KEY": KEY,
    }


def command(emu: RunningEmulator, script: str, *words: str) -> list[str]:
    return farthing("run", "--upstream", emu.url, "--", sys.executable, "-c", script, *words)


def run(words: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_an_agent_runs_behind_a_gateway_and_its_bill_has_three_lines(emu, environment, tmp_path):
    done = run(command(emu, AGENT), environment)

    ledger = tmp_path / "state" / "farthing" / "ledger.db"
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+ true\n", done.stdout)
    assert done.returncode == 7
    cost, tokens, rest = done.stderr.splitlines()
    assert re.fullmatch(r"farthing: \$0\.\d{4} for 3 calls to claude-opus-4-8", cost)
    assert re.fullmatch(
        r"  tokens: 12\.0k from the prompt cache \(hit rate 67 %\), 6\.01k written to it, "
        r"\d+ uncached; \d+ output",
        tokens,
    )
    assert rest == f"  saved <$0.01 by levers; ledger {ledger}"
    assert len(list(select_rows(ledger, RowFilter()))) == 3 == len(emu.billed)


def test_a_bill_is_of_its_run_only_and_a_subscriptions_dollars_are_notional(emu, environment):
    run(command(emu, ONE_CALL), environment)
    done = run(command(emu, ONE_CALL, "sk-ant-oat01-emulated"), environment)

    assert "notional (a subscription pays" in done.stderr
    assert "for 1 call to claude-opus-4-8\n" in done.stderr
    assert "sk-ant-oat01" not in done.stderr


def test_levers_of_the_gateway_come_before_the_command(emu, environment):
    words = farthing(
        "run", "--cache", "auto", "--upstream", emu.url, sys.executable, "-c", ONE_CALL
    )
    done = run(words, environment)

    assert done.returncode == 0, done.stderr
    assert b'"cache_control"' in emu.requests[-1].http_request.body


def test_where_calls_went_before_is_where_they_go_on_to(emu, environment):
    environment["ANTHROPIC_BASE_URL"] = f"{emu.url}/"
    done = run(farthing("run", "--", sys.executable, "-c", ONE_CALL), environment)

    assert done.returncode == 0, done.stderr
    assert [received.status for received in emu.requests] == [200]
    assert f"calls go on to {emu.url}/" in done.stderr


def test_a_second_run_beside_the_first_has_a_ledger_of_its_own(emu, environment, tmp_path):
    inner = ["-m", "farthing", "run", "--upstream", emu.url, "--", sys.executable, "-c", ONE_CALL]
    done = run(farthing("run", "--upstream", emu.url, "--", sys.executable, *inner), environment)

    folder = tmp_path / "state" / "farthing"
    assert done.returncode == 0, done.stderr
    assert f"rows go to {folder / 'ledger.2.db'}" in done.stderr
    assert [
        len(list(select_rows(folder / name, RowFilter()))) for name in ("ledger.db", "ledger.2.db")
    ] == [
        0,
        1,
    ]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["no-such-program"], 127, "there is no command 'no-such-program'"),
        (["/"], 126, "cannot run '/'"),
        (["sh", "-c", "kill -9 $$"], 137, "no call to Claude came through"),
        ([], 2, "run needs a command: farthing run -- claude"),
    ],
)
def test_what_cannot_run_or_was_killed_exits_as_in_a_shell(words, code, says, environment):
    done = run(farthing("run", "--", *words), environment)

    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_log_lines_go_to_a_file_if_anywhere(emu, environment, tmp_path):
    log = tmp_path / "run.log"
    words = ["run", "--upstream", emu.url, "--log", str(log), "--log-format", "json", "--"]
    done = run(farthing(*words, sys.executable, "-c", ONE_CALL), environment)

    assert len(done.stderr.splitlines()) == 3
    actions = [json.loads(line)["action"] for line in log.read_text().splitlines()]
    assert actions == ["exchange.settled", "gateway.stopped"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_reach_the_command_and_its_exit_code_comes_back(number, emu, environment):
    process = subprocess.Popen(
        command(emu, WAITING),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # no terminal: the signal is for farthing alone
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    said, _ = process.communicate(timeout=PATIENCE_SECONDS)

    assert said == f"got {number.name}\n"
    assert process.returncode == 5


def test_ctrl_c_in_a_terminal_is_the_commands_business(emu, environment):
    child, terminal = pty.fork()
    if child == 0:
        words = command(emu, WAITING)
        os.execve(words[0], words, environment)
    printed = read_until(terminal, b"ready\r\n")
    os.write(terminal, b"\x03")
    printed += read_until(terminal, b"ledger ")
    _, status = os.waitpid(child, 0)
    os.close(terminal)

    assert os.waitstatus_to_exitcode(status) == 5
    # once: from the terminal, not a second time through farthing
    assert printed.count(b"got SIGINT") == 1
    lines = printed.replace(b"^C", b"").split(b"\r\n")
    assert lines[:2] == [b"ready", b"got SIGINT"]
    assert lines[2].startswith(b"farthing: no call to Claude")


def read_until(terminal: int, words: bytes) -> bytes:
    """What comes from a terminal up to and with these words."""
    read = b""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while words not in read and time.monotonic() < deadline:
        try:
            read += os.read(terminal, 4096)
        except OSError:  # Linux says so when the other end is closed
            break
    assert words in read, read
    return read


@pytest.fixture
def pinned(tmp_path: Path, environment: dict[str, str]) -> Path:
    """A Claude Code whose settings name a base URL."""
    program = tmp_path / "claude"
    program.write_text("#!/bin/sh\necho $ANTHROPIC_BASE_URL\n")
    program.chmod(0o755)
    environment["CLAUDE_CONFIG_DIR"] = str(tmp_path / ".claude")
    return program


def pin(tmp_path: Path, url: str) -> None:
    (tmp_path / ".claude").mkdir()
    text = json.dumps({"env": {"ANTHROPIC_BASE_URL": url}})
    (tmp_path / ".claude" / "settings.json").write_text(text)


def test_claudes_own_settings_say_where_the_gateway_listens(pinned, tmp_path, environment, emu):
    with emulator() as other:  # a port that is free once it has ended
        url = other.url
    pin(tmp_path, url)
    done = run(farthing("run", "--upstream", emu.url, "--", str(pinned)), environment)

    assert (done.returncode, done.stdout) == (0, f"{url}\n"), done.stderr


@pytest.mark.parametrize("is_taken", [True, False])
def test_claudes_own_settings_that_cannot_be_met_are_said(
    is_taken, pinned, tmp_path, environment, emu
):
    pin(tmp_path, emu.url if is_taken else "https://llm.corp")
    done = run(farthing("run", "--", str(pinned)), environment)

    assert done.returncode == 2
    assert ("uninstall claude" if is_taken else "give it as --upstream") in done.stderr
