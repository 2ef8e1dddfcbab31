"""Conformance: Claude Code itself, unmodified, works through scripted sessions on the emulator."""

from __future__ import annotations

import json
import os
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from farthing.lab.emulator import RunningEmulator
from tests.acceptance.clients.route import WAYS, Route, open_route

pytestmark = pytest.mark.long

PROMPT = "write hello.txt, read it, count it"
MODELS = ("claude-opus-4-8", "claude-opus-5-5", "claude-sonnet-4-5", "claude-haiku-4-5")


class Session:
    """Runs ``claude -p`` in a home and a working folder of its own."""

    def __init__(self, claude: Path, folder: Path, url: str) -> None:
        self.work = folder / "work"
        self.work.mkdir()
        self._claude = claude
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "CLAUDE_CONFIG_DIR": str(folder / "config"),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_API_KEY": "sk-emu-acme",
            "IS_SANDBOX": "1",  # lets the client run tools without asking, also as root
        }

    def run(self, prompt: str, *more: str, model: str = MODELS[0]) -> dict[str, Any]:
        """The client's own result record."""
        command = [str(self._claude), "-p", prompt, "--output-format", "json"]
        done = subprocess.run(
            [*command, "--model", model, "--dangerously-skip-permissions", *more],
            cwd=self.work,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.stdout, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result


@pytest.fixture
def session(node_modules: Path, tmp_path: Path, claude_api_url: str) -> Session:
    return Session(node_modules / ".bin" / "claude", tmp_path, claude_api_url)


def tool(name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "name": name, "input": arguments}


def errand(work: Path) -> list[dict[str, Any]]:
    """Write a file, read it, count its bytes, say so. Side calls carry no tools."""
    path = str(work / "hello.txt")
    turns: list[list[dict[str, Any]] | str] = [
        [{"type": "text", "text": "I write it."}, tool("Write", file_path=path, content="hello\n")],
        [tool("Read", file_path=path)],
        [tool("Bash", command="wc -c hello.txt", description="Count the bytes")],
        "The file has 6 bytes.",
    ]
    return [{"when": {"has_tools": True}, "content": turn} for turn in turns]


@pytest.mark.parametrize("model", MODELS)
def test_a_multi_tool_session_completes(session: Session, emu: RunningEmulator, model: str) -> None:
    emu.script(errand(session.work))
    result = session.run(PROMPT, model=model)
    assert (result["is_error"], result["result"]) == (False, "The file has 6 bytes.")
    assert (session.work / "hello.txt").read_text() == "hello\n"
    assert emu.engine.script.unused == 0
    assert {received.status for received in emu.requests} == {200}


def test_the_tool_results_reach_the_model(session: Session, emu: RunningEmulator) -> None:
    emu.script(errand(session.work))
    session.run(PROMPT)
    assert b"6 hello.txt" in emu.requests[-1].http_request.body


def test_later_turns_read_what_earlier_ones_wrote(session: Session, emu: RunningEmulator) -> None:
    emu.script(errand(session.work))
    session.run(PROMPT)
    parts = [line.bill.accounting for line in emu.billed]
    assert parts[0].write_5m > 10_000
    for before, after in pairwise(parts):
        assert after.read == before.cached_end
        assert after.uncached < 10


def test_the_clients_own_sum_agrees_with_the_emulators_books(
    session: Session, emu: RunningEmulator
) -> None:
    emu.script(errand(session.work))
    usage = session.run(PROMPT)["usage"]
    bills = [line.bill for line in emu.billed]
    assert usage["output_tokens"] == sum(bill.output for bill in bills)
    assert usage["input_tokens"] == sum(bill.accounting.uncached for bill in bills)
    assert usage["cache_read_input_tokens"] == sum(bill.accounting.read for bill in bills)
    written = sum(bill.accounting.write_5m + bill.accounting.write_1h for bill in bills)
    assert usage["cache_creation_input_tokens"] == written


def test_the_gateway_costs_it_no_token_of_its_hit_rate(
    node_modules: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    read = {}
    for way in WAYS:
        folder = tmp_path_factory.mktemp(way)
        with open_route(way, folder) as route:
            session = Session(node_modules / ".bin" / "claude", folder, route.url)
            route.emu.script(errand(session.work))
            session.run(PROMPT)
            read[way] = [line.bill.accounting for line in route.emu.billed]
    shares = {
        way: sum(part.read for part in parts) / sum(part.cached_end for part in parts)
        for way, parts in read.items()
    }
    assert shares["gateway"] >= shares["direct"] - 0.005  # paths of other lengths
    assert shares["direct"] > 0.5


def test_all_it_sends_arrives_unchanged_and_is_on_record(session: Session, route: Route) -> None:
    route.emu.script(errand(session.work))
    session.run(PROMPT)
    route.assert_all_arrived_unchanged()
    route.assert_books_agree()


def test_it_survives_a_burst_of_overload(session: Session, emu: RunningEmulator) -> None:
    emu.script([{"when": {"has_tools": True}, "content": "fine"}])
    emu.fault("status=529", times=2, path="/v1/messages")
    assert session.run("hello")["result"] == "fine"
    bodies = [r.http_request.body for r in emu.requests if r.status == 529]
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]


def test_a_resumed_session_sends_its_whole_history(session: Session, emu: RunningEmulator) -> None:
    emu.script([{"when": {"has_tools": True}, "content": text} for text in ("one", "two")])
    session.run("first question")
    result = session.run("second question", "--continue")
    assert result["result"] == "two"
    body = emu.requests[-1].http_request.body
    assert b"first question" in body
    assert b"second question" in body


def test_it_reports_an_error_that_stays(session: Session, emu: RunningEmulator) -> None:
    emu.fault("own-limit", times=20, path="/v1/messages")
    result = session.run("hello")
    assert result["is_error"] is True
    assert "usage limits" in result["result"]
