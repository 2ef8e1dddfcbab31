"""Budgets in a running gateway tell a real endpoint: thresholds, the forecast, refusals."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anthropic
import pytest

from farthing.compose import running_gateway
from farthing.compose.budgets import budget_desk, tell_budgets
from farthing.config import Settings
from farthing.core.alert_rules import BudgetFact
from farthing.core.budgets import Budget, key_of
from farthing.core.budgets_account import Claim, Denied, Standing
from farthing.core.budgets_board import BudgetBoard
from farthing.lab.emulator import RunningEmulator, emulator
from tests.contract.exchanges import attribution
from tests.integration.notify.endpoints import Endpoint, slack

MODEL = "claude-haiku-4-5"


@pytest.fixture
def emu() -> Iterator[RunningEmulator]:
    with emulator() as running:
        yield running


@pytest.fixture
def channel() -> Iterator[Endpoint]:
    with slack() as endpoint:
        yield endpoint


def call(url: str, key: str, max_tokens: int = 64) -> None:
    hello: anthropic.types.MessageParam = {"role": "user", "content": "hello"}
    with anthropic.Anthropic(base_url=url, api_key=key, max_retries=0) as claude:
        claude.messages.create(model=MODEL, max_tokens=max_tokens, messages=[hello])


def texts(channel: Endpoint) -> str:
    return "\n".join(document["text"] for document in channel.documents)


def settings(emu: RunningEmulator, channel: Endpoint, ledger: Path) -> Settings:
    return Settings(
        upstream=emu.url, port=0, ledger=str(ledger), alerts_slack_url=channel.url, cache="off"
    )


def test_a_refusal_reaches_slack(emu: RunningEmulator, channel: Endpoint, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    budget_desk(ledger).set(
        Budget(name="tight", scope="everything", limit_pico=10**6, window="month"), actor="test"
    )
    with running_gateway(settings(emu, channel, ledger)) as gateway:
        for _ in range(3):
            with pytest.raises(anthropic.APIStatusError):
                call(gateway.url, emu.api_key)
        channel.wait(1)

    assert "budget tight (everything per month) has spent $0 of $0.000001" in texts(channel)
    assert texts(channel).count("refuses calls") == 1


class Tuesday:
    """It is Tuesday noon, and stays so."""

    def now(self) -> datetime:
        return datetime(2026, 11, 17, 12, tzinfo=UTC)

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()


def test_a_threshold_of_its_own_and_the_forecast_reach_slack(
    emu: RunningEmulator, channel: Endpoint, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.db"
    plenty = Budget(
        name="team", scope="everything", limit_pico=10**15, window="week", thresholds=(40,)
    )
    budget_desk(ledger).set(plenty, actor="test")
    week = key_of(plenty, attribution(), None, Tuesday().now()) or ""
    with running_gateway(settings(emu, channel, ledger), clock=Tuesday()) as gateway:
        for _ in range(8):
            call(gateway.url, emu.api_key)
        spent, _ = gateway.ledger.spent_and_held(week)
    tighter = replace(plenty, limit_pico=spent * 20 // 9)
    budget_desk(ledger).set(tighter, actor="test")
    with running_gateway(settings(emu, channel, ledger), clock=Tuesday()) as gateway:
        call(gateway.url, emu.api_key)
        channel.until(lambda: "at this rate" in texts(channel) and "has spent" in texts(channel))

    assert "budget team (everything per week) has spent" in texts(channel)
    assert "(40 %)" in texts(channel)
    # 45 % in the day and a half since Monday
    assert "are spent by Thursday 2026-11-19" in texts(channel)


@pytest.mark.parametrize(
    ("window", "scope"),
    [("day", "session"), ("total", "session"), ("total", "task"), ("task", "task_type")],
)
def test_a_name_with_an_at_sign_is_told_whole(window: Any, scope: Any) -> None:
    """Else two people whose sessions are called by their addresses are one thing to a pager."""
    budget = Budget(name="b", scope=scope, limit_pico=1, window=window)
    name = "ann@example.org"
    who = attribution(session_id=name, task_id=name, task_type=name)
    now, board, heard = datetime.now(UTC), BudgetBoard(budgets=(budget,)), list[BudgetFact]()
    tell_budgets(board, heard.append)
    key = key_of(budget, who, None, now) or ""
    claim = Claim(key=key, limit_pico=1, worst_pico=2, likely_pico=2, budget="b")
    standing = Standing(key=key, limit_pico=1, spent_pico=0, held_pico=0)

    board.refused(Denied(claim=claim, standing=standing), now)

    assert [fact.scope for fact in heard] == [f"budget b ({scope}:{name} per {window})"]


@pytest.mark.parametrize(
    ("scope", "selector", "is_passing"),
    [
        ("everything", None, False),
        ("key", None, False),
        ("session", None, True),
        ("tree", None, True),
        ("task", None, True),
        ("task", "nightly", False),
        ("call", None, True),
    ],
)
def test_what_nobody_hears_the_end_of_is_said_to_pass(
    scope: Any, selector: str | None, is_passing: bool
) -> None:
    window: Any = "call" if scope == "call" else "total"
    budget = Budget(name="b", scope=scope, limit_pico=1, window=window, selector=selector)
    board, heard = BudgetBoard(budgets=(budget,)), list[BudgetFact]()
    tell_budgets(board, heard.append)
    for task in ("nightly", "daily"):
        who = attribution(session_id=task, task_id=task, root_task_id=task)
        key = key_of(budget, who, None, datetime.now(UTC))
        if key is not None:
            claim = Claim(key=key, limit_pico=1, worst_pico=2, likely_pico=2, budget="b")
            standing = Standing(key=key, limit_pico=1, spent_pico=0, held_pico=0)
            board.refused(Denied(claim=claim, standing=standing), datetime.now(UTC))

    assert {fact.is_passing for fact in heard} == {is_passing}
    if scope == "call":  # else each refused call would be a thing of its own
        assert {fact.scope for fact in heard} == {"budget b (single calls)"}
