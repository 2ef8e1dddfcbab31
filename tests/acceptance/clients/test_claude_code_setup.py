"""Claude Code itself behind `farthing run`, and after `farthing install claude`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from farthing.compose import running_gateway
from farthing.config import Settings
from farthing.lab.emulator import RunningEmulator, emulator
from tests.acceptance.clients.test_claude_code import errand

pytestmark = pytest.mark.long

PROMPT = "write hello.txt, read it, count it"
BILL = re.compile(
    r"farthing: \$0\.\d{4} for 4 calls to claude-opus-4-8\n"
    r"  tokens: \d\S* from the prompt cache \(hit rate \d+ %\), \d\S* written to it, "
    r"\d\S* uncached; \d\S* output\n"
    # a session that ends early may not have used what was kept for an hour: less than 1 % of it
    r"  (saved (nothing|\$0\.\d{4})|LOST \$0\.000\d) by levers; ledger \S+\n"
)


@pytest.fixture
def emu() -> Iterator[RunningEmulator]:
    with emulator() as running:
        yield running


class Machine:
    """A user's home with Claude Code and farthing, and nothing set but a key."""

    def __init__(self, node_modules: Path, folder: Path) -> None:
        self.work = folder / "work"
        self.work.mkdir()
        self.settings = folder / ".claude" / "settings.json"
        self.claude = str(node_modules / ".bin" / "claude")
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "ANTHROPIC_API_KEY": "sk-emu-acme",
            "IS_SANDBOX": "1",  # lets the client run tools without asking, also as root
        }

    def asking(self) -> list[str]:
        return [
            *(self.claude, "-p", PROMPT, "--output-format", "json"),
            *("--model", "claude-opus-4-8", "--dangerously-skip-permissions"),
        ]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words,
            cwd=self.work,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def farthing(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "farthing", *words)

    def files(self) -> dict[str, bytes]:
        folder = self.settings.parent
        return {path.name: path.read_bytes() for path in folder.glob("*settings*")}


@pytest.fixture
def machine(node_modules: Path, tmp_path: Path) -> Machine:
    return Machine(node_modules, tmp_path)


def assert_done(machine: Machine, done: subprocess.CompletedProcess[str]) -> None:
    result: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, result["is_error"]) == (0, False), done.stderr
    assert result["result"] == "The file has 6 bytes."
    assert (machine.work / "hello.txt").read_text() == "hello\n"


def tools_offered(emu: RunningEmulator) -> set[str]:
    sent = (received.http_request.body for received in emu.requests)
    bodies = [json.loads(body) for body in sent if body]
    return {tool["name"] for body in bodies for tool in body.get("tools", ())}


def test_a_multi_tool_session_under_run_ends_with_a_bill(
    machine: Machine, emu: RunningEmulator
) -> None:
    emu.script(errand(machine.work))
    done = machine.farthing("run", "--upstream", emu.url, "--", *machine.asking())

    assert_done(machine, done)
    assert BILL.fullmatch(done.stderr), done.stderr
    assert not machine.settings.exists()


def test_tool_search_is_on_under_run_and_off_without_us(
    machine: Machine, emu: RunningEmulator
) -> None:
    emu.script(errand(machine.work))
    machine.farthing("run", "--upstream", emu.url, "--", *machine.asking())
    assert "ToolSearch" in tools_offered(emu)

    with emulator() as other:
        other.script(errand(machine.work))
        machine.environment["ANTHROPIC_BASE_URL"] = other.url
        machine.run(*machine.asking())
        assert "ToolSearch" not in tools_offered(other)
        assert len(tools_offered(other)) > len(tools_offered(emu))


# Not `"model": "opus"`: Claude Code 2.1.197 takes that out itself and writes the file anew.
@pytest.mark.parametrize(
    "before", [None, b'{ "permissions" : {"allow":[]},\n\t"env": {"A":"1"} }\n']
)
def test_an_installed_session_runs_and_uninstalling_gives_the_same_bytes(
    before: bytes | None, machine: Machine, emu: RunningEmulator, tmp_path: Path
) -> None:
    if before is not None:
        machine.settings.parent.mkdir()
        machine.settings.write_bytes(before)
    files = machine.files() if before else {}
    emu.script(errand(machine.work))
    settings = Settings(upstream=emu.url, port=0, ledger=str(tmp_path / "ledger.db"))
    with running_gateway(settings) as gateway:
        port = gateway.url.rpartition(":")[2]
        assert machine.farthing("install", "claude", "--port", port).returncode == 0
        done = machine.run(*machine.asking())
        doctor = machine.farthing("doctor", "--json", "--port", port, "--upstream", emu.url)
        rows = len(list(gateway.ledger.rows()))
    undone = machine.farthing("uninstall", "claude")

    assert_done(machine, done)
    assert rows == len(emu.billed) == 4
    assert "ToolSearch" in tools_offered(emu)
    findings = {found["name"]: found["level"] for found in json.loads(doctor.stdout)["findings"]}
    assert {findings[name] for name in ("gateway", "claude", "tool search", "traffic")} == {"ok"}
    assert "byte for byte" in undone.stdout
    assert machine.files() == files


def test_installed_settings_win_over_run_so_run_listens_where_they_say(
    machine: Machine, emu: RunningEmulator
) -> None:
    with emulator() as gone:  # a port that is free once it has ended
        port = gone.url.rpartition(":")[2]
    machine.farthing("install", "claude", "--port", port)
    emu.script(errand(machine.work))
    done = machine.farthing("run", "--upstream", emu.url, "--", *machine.asking())

    assert_done(machine, done)
    assert BILL.fullmatch(done.stderr), done.stderr
