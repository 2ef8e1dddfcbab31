"""Loops in a program: the middleware raises instead of sending, sync and async."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

import farthing
from farthing.core.loop_values import LoopFinding
from farthing.lab.emulator import RunningEmulator
from farthing.ledger import MemoryLedger
from tests.unit.core.loop_histories import History, long_text

MODEL = "claude-haiku-5-5"


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def middleware(ledger: MemoryLedger) -> Iterator[farthing.Farthing]:
    with farthing.Farthing(ledger=ledger) as made:
        yield made


def asked(history: History) -> dict[str, Any]:
    tool = {"name": "read", "input_schema": {"type": "object"}}
    return {
        "model": MODEL,
        "max_tokens": 64,
        "tools": [tool],
        "messages": history.messages,
    }


def same(history: History) -> None:
    history.call("read", long_text("log"), path="a")


def looped(client: anthropic.Anthropic) -> tuple[int, farthing.LoopDetectedError]:
    """An agent that repeats itself until it is stopped."""
    history = History()

    def go_on() -> None:
        for _ in range(50):
            client.messages.create(**asked(history))
            same(history)

    with pytest.raises(farthing.LoopDetectedError) as stopped:
        go_on()
    return len(history.messages) // 2, stopped.value


def sent(emu: RunningEmulator) -> list[dict[str, Any]]:
    return [json.loads(each.http_request.body) for each in emu.requests]


def test_a_loop_raises_with_its_evidence_and_is_not_sent(emu, middleware, ledger):
    with anthropic.Anthropic(
        base_url=emu.url, api_key=emu.api_key, max_retries=5, middleware=[middleware]
    ) as client:
        turns, error = looped(client)

    assert turns == 6
    assert len(emu.requests) == 6
    found = error.match
    assert isinstance(found, LoopFinding)
    assert (found.kind, found.repeats, found.tools) == ("exact_cycle", 6, ("read",))
    states = [row.state for row in ledger.rows()]
    assert states == ["settled"] * 6 + ["released"]


def test_notes_are_put_back_in_the_program_too(emu, middleware):
    with anthropic.Anthropic(
        base_url=emu.url, api_key=emu.api_key, max_retries=0, middleware=[middleware]
    ) as client:
        looped(client)

    notes = [
        [text for said in body["messages"] for text in texts(said) if "<farthing-note>" in text]
        for body in sent(emu)
    ]
    assert [len(found) for found in notes] == [0, 0, 0, 1, 1, 1]
    assert notes[3] == notes[5]


def texts(said: dict[str, Any]) -> list[str]:
    content = said["content"]
    return [] if isinstance(content, str) else [block.get("text", "") for block in content]


def test_an_async_client_and_a_stream_are_stopped_alike(emu, middleware):
    history = History()

    async def go_on() -> None:
        async with anthropic.AsyncAnthropic(
            base_url=emu.url, api_key=emu.api_key, max_retries=5, middleware=[middleware]
        ) as client:
            for _ in range(50):
                async with client.messages.stream(**asked(history)) as stream:
                    await stream.get_final_message()
                same(history)

    with pytest.raises(farthing.LoopDetectedError):
        asyncio.run(go_on())
    assert len(history.messages) // 2 == 6
    assert len(emu.requests) == 6


def test_the_first_sight_is_in_the_log(emu, middleware, caplog):
    with anthropic.Anthropic(
        base_url=emu.url, api_key=emu.api_key, max_retries=0, middleware=[middleware]
    ) as client:
        looped(client)

    said = [record.getMessage() for record in caplog.records if "loop.found" in record.getMessage()]
    assert len(said) == 2  # when it was seen, and when it was stopped
    assert said[0].startswith("loop.found.exact_cycle in ")


def test_switched_off_nothing_is_looked_at(emu, ledger, monkeypatch):
    monkeypatch.setenv("FARTHING_LOOPS", "off")
    history = History()
    for _ in range(9):
        same(history)
    with (
        farthing.Farthing(ledger=ledger, cache="off") as middleware,
        anthropic.Anthropic(
            base_url=emu.url, api_key=emu.api_key, max_retries=0, middleware=[middleware]
        ) as client,
    ):
        client.messages.create(**asked(history))

    assert sent(emu)[0]["messages"] == history.messages
