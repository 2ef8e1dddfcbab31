"""A refusal of ours is shown by the clients people use, and none of them asks again.

What counts is what reached the gateway: its figures, its ledger, and a tap before it. The clients
are told to retry five times; Claude Code retries ten times by itself.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from farthing.core.budgets import Budget
from farthing.core.loop_ladder import LoopLadder
from farthing.core.loop_values import LoopPolicy
from farthing.ledger.budgets_file import BudgetFile, budgets_path
from tests.acceptance.clients.environments import python_of
from tests.acceptance.clients.route import Route, open_route
from tests.acceptance.clients.test_claude_code import Session, tool

pytestmark = pytest.mark.long

HERE: Final = Path(__file__).parent
ASKED: Final = {
    "model": "claude-opus-4-8",
    "max_tokens": 500,
    "messages": [{"role": "user", "content": "hello"}],
}
#: what every client shows of the refusal: scope, limit, and what to do
SHOWN: Final = ("'team'", "$0.0001", "raise")


@pytest.fixture
def spent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Route]:
    """A gateway whose budget holds no call, in front of the emulator."""
    folder = tmp_path_factory.mktemp("spent")
    budget = Budget(name="team", scope="everything", limit_pico=10**8, window="day")
    BudgetFile(budgets_path(folder / "ledger.db")).change(lambda _: (budget,))
    with open_route("gateway", folder) as route:
        yield route


@pytest.fixture
def looping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Route]:
    """A gateway as it comes, which stops loops."""
    with open_route("gateway", tmp_path_factory.mktemp("looping")) as route:
        yield route


def turns_of_a_loop(count: int) -> list[dict[str, Any]]:
    """A history in which one call was made so often, with the same result."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "find the bug"}]
    for number in range(count):
        call = {"id": f"toolu_{number:02}", "name": "read_file", "input": {"path": "a.py"}}
        back = {"tool_use_id": call["id"], "content": "import os\n" * 20}
        messages += [
            {"role": "assistant", "content": [{"type": "tool_use", **call}]},
            {"role": "user", "content": [{"type": "tool_result", **back}]},
        ]
    return messages


@dataclass(frozen=True, slots=True)
class Client:
    """A program that prints what its calls raised."""

    command: list[str]
    folder: Path

    def refused(self, route: Route, asked: dict[str, Any]) -> dict[str, Any]:
        """What each of its calls raised."""
        done = subprocess.run(
            self.command,
            input=json.dumps(asked),
            cwd=self.folder,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "ANTHROPIC_BASE_URL": route.url,
                "ANTHROPIC_API_KEY": "sk-emu-acme",
                "NO_PROXY": "127.0.0.1",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result


@pytest.fixture(params=["python", "typescript"])
def client(request: pytest.FixtureRequest, tmp_path: Path, node_modules: Path) -> Client:
    if request.param == "python":
        script = HERE / "scripts" / "anthropic_refused.py"
        return Client([str(python_of("anthropic")), str(script)], tmp_path)
    script = Path(shutil.copy(HERE / "typescript_refused.mjs", tmp_path))
    (tmp_path / "node_modules").symlink_to(node_modules)
    return Client(["node", str(script)], tmp_path)


def messages_in(route: Route) -> list[dict[str, Any]]:
    """Every Messages request that a client sent to the gateway."""
    sent = [each for each in route.tap.requests if each.target.startswith("/v1/messages")]
    return [json.loads(each.body) for each in sent if "count_tokens" not in each.target]


def endings(route: Route, count: int) -> list[tuple[str, str | None]]:
    """How the exchanges in the ledger ended, once so many have."""
    assert route.ledger is not None
    deadline = time.monotonic() + 30
    while True:
        rows = [row.settlement for row in route.ledger.rows() if row.settlement is not None]
        if len(rows) >= count or time.monotonic() > deadline:
            return [(end.state, end.notes[0] if end.notes else None) for end in rows]
        time.sleep(0.05)


def assert_refused_once_each(route: Route, calls: int, note: str) -> None:
    """So many calls came, so many were refused, and Claude heard of none."""
    assert len(messages_in(route)) == calls
    assert endings(route, calls) == [("released", note)] * calls
    assert [r for r in route.emu.requests if r.http_request.path == "/v1/messages"] == []


def test_the_sdks_raise_what_a_budget_says_and_ask_once(client: Client, spent: Route) -> None:
    raised = client.refused(spent, ASKED)

    for call in raised.values():
        assert call["status"] == 402
        assert all(words in call["text"] for words in SHOWN)
    assert_refused_once_each(spent, len(raised), "budget.refused")


def test_the_sdks_raise_that_a_loop_was_stopped_and_ask_once(
    client: Client, looping: Route
) -> None:
    raised = client.refused(looping, {**ASKED, "messages": turns_of_a_loop(7)})

    for call in raised.values():
        assert call["status"] == 402
        assert all(words in call["text"] for words in ("stopped as a loop", "read_file"))
    assert_refused_once_each(looping, len(raised), "loop.refused")


def test_claude_code_shows_what_a_budget_says_and_asks_once(
    node_modules: Path, tmp_path: Path, spent: Route
) -> None:
    session = Session(node_modules / ".bin" / "claude", tmp_path, spent.url)
    result = session.run("hello")

    assert result["is_error"] is True
    assert all(words in result["result"] for words in SHOWN)
    assert_refused_once_each(spent, 1, "budget.refused")


def test_claude_code_shows_that_a_loop_was_stopped_and_asks_once(
    node_modules: Path, tmp_path: Path, looping: Route
) -> None:
    session = Session(node_modules / ".bin" / "claude", tmp_path, looping.url)
    (session.work / "a.txt").write_text("one line\n" * 30)
    look = tool("Bash", command="cat a.txt", description="Look at it")
    looping.emu.rules([{"when": {"has_tools": True}, "content": [look]}])
    result = session.run("look at a.txt until it changes")
    ended = endings(looping, len(messages_in(looping)))

    assert result["is_error"] is True
    assert "stopped as a loop" in result["result"]
    assert [note for state, note in ended if state == "released"] == ["loop.refused"]
    assert len(messages_in(looping)) == len(ended) == len(looping.emu.billed) + 1
    bound = LoopLadder().most_turns(1, LoopPolicy())
    assert bound is not None
    assert len(looping.emu.billed) <= bound
