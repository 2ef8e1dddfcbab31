"""Conformance: the Python clients people use, unmodified, each in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.acceptance.clients.environments import PYTHON_CLIENTS, python_of
from tests.acceptance.clients.route import WAYS, Route, open_route

pytestmark = pytest.mark.long

SCRIPTS: Final = Path(__file__).parent / "scripts"
PLAIN: Final = "A plain answer."
IN_PIECES: Final = "An answer that comes in many small pieces, one after the other. " * 8
AFTER_TOOL: Final = "Take a light coat."
#: the name under which a client offers its tool where it is not the tool's own
TOOL_NAMES: Final = {"claude_agent_sdk": "mcp__weather__get_weather"}
#: clients that stream on the wire even where their caller asked for a plain answer
ALWAYS_STREAM: Final = frozenset({"claude_agent_sdk", "llm"})


@dataclass(frozen=True, slots=True)
class Run:
    """What a client's script said, and the way its calls took."""

    client: str
    said: dict[str, Any]
    route: Route


def rules(client: str) -> list[dict[str, Any]]:
    """One answer for each thing the scripts say; anything else is a side call of the client."""
    call = {
        "type": "tool_use",
        "name": TOOL_NAMES.get(client, "get_weather"),
        "input": {"city": "Paris"},
    }
    return [
        {"when": {"has_results": True}, "content": AFTER_TOOL},
        {"when": {"contains": "ask for the weather", "has_tools": True}, "content": [call]},
        {"when": {"contains": "say it plainly"}, "content": PLAIN},
        {"when": {"contains": "say it in pieces"}, "content": IN_PIECES},
    ]


def environment(home: Path, url: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "sk-emu-acme",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # or it asks the network for prices when imported
        "LLM_USER_PATH": str(home),
        "NO_PROXY": "127.0.0.1",
    }


@pytest.fixture(scope="module", params=[f"{c} {way}" for c in PYTHON_CLIENTS for way in WAYS])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """One run of a client's script, which every test looks at."""
    client, way = request.param.split()
    python, home = python_of(client), tmp_path_factory.mktemp(client)
    with open_route(way, home) as route:
        route.emu.rules(rules(client))
        done = subprocess.run(
            [str(python), str(SCRIPTS / f"{client}_client.py")],
            cwd=home,
            env=environment(home, route.url),
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        yield Run(client, json.loads(done.stdout.splitlines()[-1]), route)


def test_a_client_gets_its_answers(run: Run) -> None:
    assert run.said["plain"]["text"] == PLAIN
    assert run.said["streamed"]["text"].strip() == IN_PIECES.strip()
    assert run.said["streamed"]["pieces"] > 3
    assert run.said["tool"]["text"] == AFTER_TOOL


def test_the_result_of_a_tool_reaches_the_model(run: Run) -> None:
    bodies = [received.http_request.body for received in run.route.emu.requests]
    assert any(b"21 degrees in Paris" in body for body in bodies)
    assert {received.status for received in run.route.emu.requests} == {200}


def test_all_a_client_sends_arrives_unchanged_and_is_on_record(run: Run) -> None:
    run.route.assert_all_arrived_unchanged()
    run.route.assert_books_agree()


def test_a_client_makes_the_kinds_of_calls_that_are_to_be_tested(run: Run) -> None:
    bodies = [json.loads(received.http_request.body) for received in run.route.emu.requests]
    kinds = {body.get("stream", False) for body in bodies}
    assert kinds == ({True} if run.client in ALWAYS_STREAM else {True, False})
    assert any(body.get("tools") for body in bodies)


def test_a_client_counts_the_output_that_was_billed(run: Run) -> None:
    counted = sum(run.said[call]["output"] for call in ("plain", "streamed", "tool"))
    assert counted == sum(line.bill.output for line in run.route.emu.billed)
