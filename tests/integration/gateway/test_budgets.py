"""Every scope and every window of a budget, through the gateway: who is refused, and until when."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import anthropic
import pytest

from farthing.cli.main import main
from farthing.compose import RunningGateway, running_gateway
from farthing.compose.budgets import budget_desk
from farthing.config import Settings
from farthing.core.budgets import Budget
from farthing.lab.emulator import RunningEmulator, emulator
from farthing.ledger.audit_log import read_events
from tests.integration.gateway.keyed import expire
from tests.integration.gateway.raw_http import RawUpstream, raw_upstream
from tests.waiting import PATIENCE, eventually

HAIKU, OPUS = "claude-haiku-4-5", "claude-opus-4-5"
DOLLAR = 10**12
NOON = datetime(2026, 11, 17, 12, 30, tzinfo=UTC)  # a Tuesday


class Clock:
    """Stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()


@pytest.fixture(scope="module")
def emu() -> Iterator[RunningEmulator]:
    with emulator() as running:
        yield running


@contextmanager
def gateway(
    emu: RunningEmulator | RawUpstream,
    folder: Path,
    *budgets: Budget,
    clock: Any = None,
    **given: Any,
) -> Iterator[RunningGateway]:
    ledger = folder / "ledger.db"
    for budget in budgets:
        budget_desk(ledger).set(budget, actor="test")
    settings = Settings(upstream=emu.url, port=0, ledger=str(ledger), cache="off", **given)
    with running_gateway(settings, clock=clock) as running:
        yield running


def ask(
    running: RunningGateway, key: str, headers: dict[str, str] | None = None, **asked: Any
) -> tuple[int, str]:
    """The status and what is said of an error."""
    hello = {"role": "user", "content": "hello"}
    body: dict[str, Any] = {"model": HAIKU, "max_tokens": 64, "messages": [hello]} | asked
    with anthropic.Anthropic(base_url=running.url, api_key=key, max_retries=0) as claude:
        try:
            claude.messages.create(**body, extra_headers=headers)
        except anthropic.APIStatusError as error:
            is_final = error.response.headers.get("x-should-retry") == "false"
            return error.status_code if is_final else -1, error.message
    return 200, ""


def worst(running: RunningGateway, key: str) -> int:
    """What such a call holds."""
    assert ask(running, key, {"x-farthing-task": "probe"})[0] == 200
    running.ledger.flush()
    return max(row.opened.hold_pico or 0 for row in running.ledger.rows())


# -- scopes ---------------------------------------------------------------------------------------

PARENTED = {"x-farthing-task": "child", "x-farthing-parent": "p", "x-farthing-root": "root"}
AGENT = {"x-claude-code-session-id": "session-1", "x-claude-code-agent-id": "agent-1"}
#: a budget of nothing, a call that it is about, and one that it is not about
SCOPES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "model": (
        {"scope": "model", "selector": OPUS},
        {"model": OPUS},
        {"model": HAIKU},
    ),
    "model by another of its names": (
        {"scope": "model", "selector": "claude-haiku-4-5"},
        {"model": "claude-haiku-4-5-20251001"},
        {"model": OPUS},
    ),
    "task type": (
        {"scope": "task_type", "selector": "costly"},
        {"headers": {"x-farthing-task-type": "costly"}},
        {"headers": {"x-farthing-task-type": "cheap"}},
    ),
    "session": (
        {"scope": "session", "selector": "session-1"},
        {"headers": AGENT},
        {"headers": AGENT | {"x-claude-code-session-id": "session-2"}},
    ),
    "task": (
        {"scope": "task", "selector": "t1"},
        {"headers": {"x-farthing-task": "t1"}},
        {"headers": {"x-farthing-task": "t2"}},
    ),
    "children count on the root": (
        {"scope": "tree", "selector": "root"},
        {"headers": PARENTED},
        {"headers": PARENTED | {"x-farthing-root": "other"}},
    ),
    "subagents count on the root": (
        {"scope": "tree", "selector": "session-1"},
        {"headers": AGENT},
        {"headers": AGENT | {"x-claude-code-session-id": "session-2"}},
    ),
    "call": (
        {"scope": "call", "limit_pico": DOLLAR // 100},
        {"max_tokens": 4_000},
        {"max_tokens": 64},
    ),
}


@pytest.mark.parametrize("scope", SCOPES)
def test_a_budget_refuses_what_it_is_about_and_nothing_else(
    emu: RunningEmulator, tmp_path: Path, scope: str
) -> None:
    given, about, beside = SCOPES[scope]
    window = "call" if scope == "call" else "total"
    fields: dict[str, Any] = {"name": "b", "limit_pico": 0, "window": window} | given
    budget = Budget(**fields)
    with gateway(emu, tmp_path, budget) as running:
        status, message = ask(running, emu.api_key, **about)

        assert (status, "the budget 'b' over" in message) == (402, True)
        assert ask(running, emu.api_key, **beside) == (200, "")


def test_a_tree_adds_up_what_its_tasks_and_subagents_spend(
    emu: RunningEmulator, tmp_path: Path
) -> None:
    tree = Budget(name="tree", scope="tree", limit_pico=DOLLAR)
    with gateway(emu, tmp_path, tree) as running:
        for agent in ("", "a", "b"):
            extra = {"x-claude-code-agent-id": agent} if agent else {}
            headers = {"x-claude-code-session-id": "session-1"} | extra
            assert ask(running, emu.api_key, headers)[0] == 200
        running.ledger.flush()
        rows = list(running.ledger.rows())
        spent, held = running.ledger.spent_and_held("tree:session-1")

    assert len({row.opened.attribution.task_id for row in rows}) == 3
    costs = [row.settlement.cost.total for row in rows if row.settlement and row.settlement.cost]
    assert (spent, held, len(costs)) == (sum(costs), 0, 3)


def test_all_budgets_must_admit_and_the_widest_that_does_not_is_named(
    emu: RunningEmulator, tmp_path: Path
) -> None:
    budgets = [
        Budget(name="all", scope="everything", limit_pico=DOLLAR),
        Budget(name="model", scope="model", limit_pico=0),
        Budget(name="task", scope="task", limit_pico=0),
    ]
    with gateway(emu, tmp_path, *budgets) as running:
        status, message = ask(running, emu.api_key)
        assert (status, "the budget 'model'" in message) == (402, True)
        spent_and_held = running.ledger.spent_and_held("everything@total")

    assert spent_and_held == (0, 0)


# -- windows --------------------------------------------------------------------------------------

BERLIN = ZoneInfo("Europe/Berlin")
WINDOWS: dict[str, tuple[dict[str, Any], datetime]] = {
    "hour": ({"window": "hour"}, NOON.replace(hour=13, minute=0)),
    "day": ({"window": "day"}, datetime(2026, 11, 18, tzinfo=UTC)),
    "a day in Berlin": (
        {"window": "day", "zone": BERLIN},
        datetime(2026, 11, 17, 23, tzinfo=UTC),
    ),
    "week": ({"window": "week"}, datetime(2026, 11, 23, tzinfo=UTC)),
    "month": ({"window": "month"}, datetime(2026, 12, 1, tzinfo=UTC)),
}


@pytest.mark.parametrize("window", WINDOWS)
def test_a_window_refuses_until_it_begins_anew(
    emu: RunningEmulator, tmp_path: Path, window: str
) -> None:
    given, reset = WINDOWS[window]
    clock = Clock()
    capped = {"x-farthing-task": "capped"}
    large = Budget(name="b", scope="task", limit_pico=DOLLAR)
    with gateway(emu, tmp_path, large, clock=clock) as running:
        limit = worst(running, emu.api_key)
    budget = Budget(name="b", scope="task", limit_pico=limit, mode="strict", **given)
    with gateway(emu, tmp_path, budget, clock=clock) as running:
        assert ask(running, emu.api_key, capped) == (200, "")
        status, message = ask(running, emu.api_key, capped)

        assert status == 402
        assert f"it begins anew at {reset:%Y-%m-%dT%H:%MZ}" in message
        for said in ("spent", "held by calls under way", "'task:capped@", f"{limit / 10**12:.4f}"):
            assert said in message
        clock.at = reset - timedelta(seconds=1)
        assert ask(running, emu.api_key, capped)[0] == 402
        clock.at = reset
        assert ask(running, emu.api_key, capped)[0] == 200


def test_a_window_of_a_task_is_one_for_each_and_a_total_has_no_end(
    emu: RunningEmulator, tmp_path: Path
) -> None:
    clock = Clock()
    with gateway(
        emu, tmp_path, Budget(name="b", scope="task", limit_pico=DOLLAR), clock=clock
    ) as running:
        limit = worst(running, emu.api_key)
    budgets = [
        Budget(name="b", scope="model", limit_pico=limit, window="task"),
        Budget(name="c", scope="task_type", selector="x", limit_pico=limit),
    ]
    one, other = {"x-farthing-task": "one"}, {"x-farthing-task": "other"}
    with gateway(emu, tmp_path, *budgets, clock=clock) as running:
        assert [ask(running, emu.api_key, task)[0] for task in (one, one, other)] == [200, 402, 200]

        for number, status in enumerate((200, 402, 402)):
            typed = {"x-farthing-task": f"x{number}", "x-farthing-task-type": "x"}
            found, message = ask(running, emu.api_key, typed)
            assert (found, "begins anew" in message) == (status, False)
            clock.at += timedelta(days=400)


# -- a key's own ----------------------------------------------------------------------------------


def test_a_key_with_a_budget_from_its_creation_to_the_journal(
    emu: RunningEmulator,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    ledger = tmp_path / "ledger.db"

    def made(*words: str) -> str:
        assert main(["keys", "create", *words, "--ledger", str(ledger)]) == 0
        return capsys.readouterr().out.strip()

    with gateway(emu, tmp_path, Budget(name="b", scope="task", limit_pico=DOLLAR)) as running:
        limit = worst(running, emu.api_key)
    budget_desk(ledger).remove("b", actor="test")
    capped = made("ci", "--budget", f"{limit / 10**12:.12f}/day", "--model", HAIKU)
    free = made("dev", "--lever", "none", "--expires", "1h")
    with gateway(emu, tmp_path, api_key=emu.api_key) as running:
        assert [ask(running, capped)[0] for _ in range(2)] == [200, 402]
        assert ask(running, capped, model=OPUS)[0] == 403
        assert ask(running, free, model=OPUS)[0] == 200
        expire(ledger, "dev")
        assert eventually(lambda: ask(running, free)[0] == 401)

    found = [(event.kind, event.subject) for event in read_events(ledger)]
    assert ("budget.changed", "budget key-ci-day") in found
    assert ("key.created", "ci") in found
    refused = [event for event in read_events(ledger) if event.kind == "call.refused"]
    assert any("ci" in json.dumps(event.facts) + event.actor + event.subject for event in refused)


def test_a_key_without_levers_has_none_act_on_its_calls(
    emu: RunningEmulator,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    ledger, texts = tmp_path / "ledger.db", list[str]()
    for name, more in (("plain", ["--lever", "none"]), ("free", [])):
        assert main(["keys", "create", name, *more, "--ledger", str(ledger)]) == 0
        texts.append(capsys.readouterr().out.strip())
    settings = Settings(upstream=emu.url, port=0, ledger=str(ledger), api_key=emu.api_key)
    long = "Be brief, be exact, be kind. " * 2_000
    acted = dict[str, set[str]]()
    with running_gateway(settings) as running:
        for text in texts:
            for _ in range(3):
                assert ask(running, text, {"x-farthing-task": text[-9:]}, system=long)[0] == 200
        running.ledger.flush()
        for row in running.ledger.rows():
            assert row.settlement is not None
            plan = {code for code in row.settlement.plan if code.startswith("+")}
            acted.setdefault(row.opened.attribution.key_scope, set()).update(plan)

    assert acted["plain"] == set()
    assert acted["free"]


# -- near the end ---------------------------------------------------------------------------------


def _slowly(connection: socket.socket, cut: threading.Event) -> None:
    """A stream whose prompt turns out large, and whose text goes on until nobody takes it."""
    usage = {"input_tokens": 400_000, "output_tokens": 1}
    started: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": HAIKU,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    text = {"type": "text_delta", "text": "Hi"}
    connection.sendall(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    beginning: list[tuple[str, dict[str, Any]]] = [
        ("message_start", {"message": started}),
        ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
    ]
    more: tuple[str, dict[str, Any]] = ("content_block_delta", {"index": 0, "delta": text})
    for name, fields in chain(beginning, repeat(more)):
        said = f"event: {name}\ndata: {json.dumps({'type': name} | fields)}\n\n".encode()
        try:
            connection.sendall(b"%x\r\n%b\r\n" % (len(said), said))
        except OSError:
            cut.set()
            return
        time.sleep(0.05)


def test_a_stream_that_costs_more_than_is_held_ends_with_an_error(tmp_path: Path) -> None:
    budget = Budget(name="b", scope="everything", limit_pico=DOLLAR, on_overrun="cut")
    streamed: list[str] = []
    cut = threading.Event()
    hello: Any = {"role": "user", "content": "hello"}
    with raw_upstream() as upstream, gateway(upstream, tmp_path, budget) as running:
        upstream.reply(lambda connection: _slowly(connection, cut))
        with (
            anthropic.Anthropic(base_url=running.url, api_key="k", max_retries=0) as claude,
            pytest.raises(anthropic.APIStatusError, match="the answer was stopped"),
            claude.messages.stream(model=HAIKU, max_tokens=20, messages=[hello]) as stream,
        ):
            streamed.extend(event.type for event in stream)
        running.ledger.flush()
        [row] = running.ledger.rows()
        held = running.ledger.spent_and_held("everything@total")[1]
        assert cut.wait(PATIENCE)

    assert "message_stop" not in streamed
    assert len(streamed) < 5
    assert row.settlement is not None
    assert (row.state, held) == ("unsettled", 0)
    assert "budget.cut" in row.settlement.notes
    assert row.settlement.usage is not None
    assert row.settlement.usage.prompt == 400_000
