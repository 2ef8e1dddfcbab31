"""What a gateway decides about calls is in its journal: refused, made smaller, rewritten."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import anthropic
import pytest

from farthing.cli.main import main
from farthing.compose import budgets, running_gateway
from farthing.compose.budgets import budget_desk
from farthing.config import Settings
from farthing.core.budgets import Budget
from farthing.core.journal_chain import JournalEvent
from farthing.lab.emulator import emulator
from farthing.ledger.audit_log import read_events
from farthing.ledger.budgets_file import budgets_path
from farthing.pricing import parse_usd
from tests.integration.notify.endpoints import slack
from tests.waiting import eventually

MODEL = "claude-haiku-4-5"
TEXT = "Long and always the same. " * 2_000


def say(claude: anthropic.Anthropic, text: str, max_tokens: int = 64, **more: Any) -> Any:
    said: Any = [{"role": "user", "content": text}]
    headers = {"x-farthing-task": "nightly", "x-farthing-task-type": "triage"}
    return claude.messages.create(
        model=MODEL, max_tokens=max_tokens, messages=said, extra_headers=headers, **more
    )


def events(path: Path, kind: str) -> list[JournalEvent]:
    return [event for event in read_events(path) if event.kind == kind]


@pytest.mark.parametrize(
    ("kind", "why"), [("call.refused", "budget.refused"), ("request.degraded", "budget.clamped")]
)
def test_what_a_budget_refuses_or_makes_smaller_is_an_entry(tmp_path: Path, kind: str, why: str):
    path = tmp_path / "ledger.db"
    is_ladder = kind == "request.degraded"
    budget = Budget(
        name="small",
        scope="task",
        limit_pico=parse_usd("0.01"),
        mode="strict",
        ladder=("max_tokens",) if is_ladder else (),
        min_tokens=16,
    )
    budget_desk(path).set(budget, actor="test")
    with (
        emulator() as emu,
        running_gateway(Settings(upstream=emu.url, port=0, ledger=str(path))) as gateway,
        anthropic.Anthropic(base_url=gateway.url, api_key="sk-emu-acme") as claude,
    ):
        if is_ladder:
            assert say(claude, "hello", 8_000).usage.output_tokens <= 2_000
        else:
            with pytest.raises(anthropic.APIStatusError):
                say(claude, "hello", 8_000)
    (event,) = events(path, kind)
    assert event.facts["why"] == why
    assert event.facts["model"] == MODEL
    assert str(event.facts["exchange"]).startswith("ex_")
    assert "hello" not in str(list(read_events(path)))
    assert main(["journal", "verify", "--ledger", str(path)]) == 0


def test_what_levers_change_is_an_entry_per_class_and_a_plain_call_is_none(tmp_path: Path):
    path = tmp_path / "ledger.db"
    with (
        emulator() as emu,
        running_gateway(Settings(upstream=emu.url, port=0, ledger=str(path))) as gateway,
        anthropic.Anthropic(base_url=gateway.url, api_key="sk-emu-acme") as claude,
    ):
        say(claude, "short")
        for number in range(4):
            say(claude, f"question {number}", system=TEXT)
    (event,) = events(path, "request.rewritten")
    assert "cache.marks" in str(event.facts["levers"])
    assert (event.facts["workload"], event.facts["model"]) == ("triage", MODEL)
    assert len(events(path, "policy.changed")) == 1


def test_a_storm_of_refusals_rings_once_in_slack(tmp_path: Path):
    path = tmp_path / "ledger.db"
    with (
        emulator() as emu,
        slack() as endpoint,
        running_gateway(
            Settings(
                upstream=emu.url,
                port=0,
                ledger=str(path),
                task_usd=1,
                alerts_slack_url=endpoint.url,
                alerts_digest_minutes=0,
            )
        ) as gateway,
        anthropic.Anthropic(base_url=gateway.url, api_key="sk-emu-acme") as claude,
    ):
        for _ in range(40):
            with pytest.raises(anthropic.APIStatusError):
                say(claude, "hello")
        endpoint.until(lambda: any("retry_storm" in one["text"] for one in endpoint.documents))
        assert sum("retry_storm" in one["text"] for one in endpoint.documents) == 1


def test_a_guard_that_is_switched_off_and_on_again_is_an_entry_each(tmp_path: Path):
    path = tmp_path / "ledger.db"
    plain = Settings(upstream="http://127.0.0.1:9", port=0, ledger=str(path))
    for settings in (plain, plain, replace(plain, loops=False, breaker=False), plain):
        with running_gateway(settings):
            pass

    guards = [event.facts.get("guard") for event in events(path, "policy.changed")]
    assert guards == [None, "breaker=False loops=False", ""]


def test_budgets_that_are_changed_by_hand_are_an_entry_and_others_are_not_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(budgets, "_LOOK_SECONDS", 0.02)
    path = tmp_path / "ledger.db"
    settings = Settings(upstream="http://127.0.0.1:9", port=0, ledger=str(path))
    budget = Budget(
        name="small", scope="task", limit_pico=parse_usd("1"), ladder=("max_tokens", "note")
    )
    with running_gateway(settings):
        budget_desk(path).set(budget, actor="test")
        time.sleep(0.3)  # in which nothing is noted
        file = budgets_path(path)
        file.write_text(file.read_text().replace('limit_usd = "1"', 'limit_usd = "900"'))
        assert eventually(lambda: len(events(path, "budget.changed")) == 2)
    with running_gateway(settings):
        time.sleep(0.3)

    by_desk, by_hand = events(path, "budget.changed")
    assert (by_desk.actor, by_desk.facts["ladder"]) == ("test", "max_tokens, note")
    assert (by_hand.actor, by_hand.facts) == ("file", {"small": "900"})
