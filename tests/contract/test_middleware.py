"""The middleware and the gateway book the same conversation alike, row by row."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import pytest

import farthing
from farthing.compose import running_gateway
from farthing.config import Settings
from farthing.core.records import ExchangeRow
from farthing.lab.emulator import RunningEmulator, emulator
from tests.contract.conversation_steps import Step, hold, hold_async, steps

STEPS = list(steps())
KEY = bytes(range(32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A conversation that was held: what the caller got, what rests in the ledger."""

    said: list[str]
    rows: list[ExchangeRow]
    #: bodies as they reached Claude
    sent: list[bytes]


@contextmanager
def claude(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningEmulator]:
    with emulator() as running:
        monkeypatch.setenv("ANTHROPIC_API_KEY", running.api_key)
        yield running


def ledger_at(folder: Path) -> Path:
    """A place for a ledger whose digests have the key that all of them have here."""
    folder.mkdir()
    (folder / "ledger.db.key").write_bytes(KEY)
    return folder / "ledger.db"


def prepare(running: RunningEmulator, step: Step) -> None:
    if step.fault is not None:
        running.fault(step.fault, times=step.times)


def through_the_gateway(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Held:
    with claude(monkeypatch) as running:
        settings = Settings(upstream=running.url, port=0, ledger=str(ledger_at(folder)))
        with (
            running_gateway(settings) as gateway,
            anthropic.Anthropic(base_url=gateway.url) as client,
        ):
            said = []
            for step in STEPS:
                prepare(running, step)
                between = lambda: running.advance(7_200)  # noqa: E731
                said.append(hold(client, step, by_headers=True, between=between))
            rows = list(gateway.ledger.rows())
        return Held(
            said=said, rows=rows, sent=[line.http_request.body for line in running.requests]
        )


def through_the_middleware(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Held:
    with (
        claude(monkeypatch) as running,
        farthing.Farthing(ledger=ledger_at(folder)) as middleware,
        anthropic.Anthropic(base_url=running.url, middleware=[middleware]) as client,
    ):
        said = []
        for step in STEPS:
            prepare(running, step)
            between = lambda: running.advance(7_200)  # noqa: E731
            said.append(hold(client, step, by_headers=False, between=between))
        rows = list(middleware.ledger.rows())
        return Held(
            said=said, rows=rows, sent=[line.http_request.body for line in running.requests]
        )


def through_the_async_middleware(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Held:
    async def run(running: RunningEmulator, middleware: farthing.Farthing) -> list[str]:
        said = []
        async with anthropic.AsyncAnthropic(
            base_url=running.url, middleware=[middleware]
        ) as client:
            for step in STEPS:
                prepare(running, step)
                between = lambda: running.advance(7_200)  # noqa: E731
                said.append(await hold_async(client, step, between=between))
        return said

    with (
        claude(monkeypatch) as running,
        farthing.Farthing(ledger=ledger_at(folder)) as middleware,
    ):
        said = asyncio.run(run(running, middleware))
        rows = list(middleware.ledger.rows())
        return Held(
            said=said, rows=rows, sent=[line.http_request.body for line in running.requests]
        )


@pytest.fixture(scope="module")
def held(tmp_path_factory) -> dict[str, Held]:
    folder = tmp_path_factory.mktemp("ledgers")
    with pytest.MonkeyPatch.context() as monkeypatch:
        return {
            "gateway": through_the_gateway(folder / "gateway", monkeypatch),
            "sync": through_the_middleware(folder / "sync", monkeypatch),
            "async": through_the_async_middleware(folder / "async", monkeypatch),
        }


def comparable(row: ExchangeRow) -> dict[str, Any]:
    """A row without times, ids that somebody minted, and sizes of compressed answers."""
    opened, ending = row.opened, row.settlement
    assert ending is not None
    is_item = opened.endpoint == "batch_item"
    return {
        "endpoint": opened.endpoint,
        "path": opened.path,
        "task": opened.attribution,
        "asked": opened.model_asked,
        "streamed": opened.is_streamed,
        "bytes": opened.request_bytes,
        "digest": None if is_item else opened.body_digest,
        "scope": opened.scope,
        "worst": opened.high_pico,
        "state": ending.state,
        "served": ending.model_served,
        "usage": ending.usage,
        "cost": ending.cost,
        "interval": (ending.low_pico, ending.high_pico),
        "card": ending.rate_card_id,
        "baseline": ending.baseline_pico,
        "status": ending.http_status,
        "stop": ending.stop_reason,
        "error": ending.error_type,
        "attempts": ending.attempts,
        "plan": ending.plan,
        "notes": ending.notes,
    }


@pytest.mark.parametrize("door", ["sync", "async"])
def test_the_middleware_books_what_the_gateway_books(held, door):
    expected = [comparable(row) for row in held["gateway"].rows]

    assert [comparable(row) for row in held[door].rows] == expected


@pytest.mark.parametrize("door", ["sync", "async"])
def test_what_reaches_claude_is_the_same_to_the_byte(held, door):
    assert held[door].sent == held["gateway"].sent


def test_both_kinds_of_client_get_the_same(held):
    outcomes = [(left == right) for left, right in zip(*_said(held), strict=True)]

    assert all(outcomes), [
        step.kind for step, same in zip(STEPS, outcomes, strict=True) if not same
    ]


def _said(held: dict[str, Held]) -> tuple[list[str], list[str]]:
    return held["sync"].said, held["async"].said


def test_the_conversation_has_everything_in_it(held):
    rows = held["sync"].rows
    states = {row.state for row in rows}
    kinds = {row.opened.endpoint for row in rows}

    assert len(rows) >= 60
    assert states == {"settled", "unsettled"}
    assert kinds == {"messages", "count_tokens", "other", "batch_item"}
    assert {row.settlement.attempts for row in rows} >= {1, 3}
    assert {row.settlement.http_status for row in rows} >= {200, 400, 404, 500}
    assert any(row.settlement.usage and row.settlement.usage.cache_read for row in rows)
    assert os.environ.get("ANTHROPIC_API_KEY") is None
