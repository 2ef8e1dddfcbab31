"""Parallel first calls through the gateway: one writes, the others read."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anthropic
import pytest

from farthing.compose import RunningGateway, running_gateway
from farthing.config import Settings
from farthing.lab.emulator import RunningEmulator, emulator
from farthing.lab.emulator import Settings as EmulatorSettings
from farthing.lab.emulator.clock import VirtualClock
from farthing.lab.emulator.latency import LatencyProfile
from tests.waiting import eventually

MODEL = "claude-opus-4-6"
CALLS = 8
#: by the emulator's clock: what arrives before the first answer begins does not read what it wrote
LATENCY = LatencyProfile(base_seconds=100.0)
#: so long, at least, a call waits that waits for another one's answer
HELD_SECONDS = 0.3


class HeldClock(VirtualClock):
    """The first who sleep sleep until something is so, whatever the time, and a moment more."""

    def __init__(self) -> None:
        super().__init__(datetime.now(UTC))
        self.is_time: Callable[[], bool] = lambda: True
        self._is_holding = True

    async def sleep_until(self, instant: float) -> None:
        if self._is_holding:
            await asyncio.to_thread(eventually, self.is_time)
            await asyncio.sleep(HELD_SECONDS)
            self._is_holding = False
        await super().sleep_until(instant)


@pytest.fixture
def emu() -> Iterator[RunningEmulator]:
    with emulator(EmulatorSettings(latency=LATENCY)) as running:
        running.engine.clock = HeldClock()
        yield running


def hold_answers(emu: RunningEmulator, is_time: Callable[[], bool]) -> None:
    """Until this is so no answer begins."""
    assert isinstance(emu.engine.clock, HeldClock)
    emu.engine.clock.is_time = is_time


def gateway_before(emu: RunningEmulator, folder: Path, **changes: Any) -> Any:
    settings = Settings(upstream=emu.url, port=0, ledger=str(folder / "ledger.db"), **changes)
    return running_gateway(settings)


async def ask_all(gateway: RunningGateway, system: Any) -> list[anthropic.types.Usage]:
    """Different questions on one system prompt, all at once."""
    async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key="sk-emu-acme") as claude:

        async def one(number: int) -> anthropic.types.Usage:
            question: Any = [{"role": "user", "content": f"Question {number}?"}]
            async with claude.messages.stream(
                model=MODEL, max_tokens=20, system=system, messages=question
            ) as stream:
                return (await stream.get_final_message()).usage

        return list(await asyncio.gather(*(one(number) for number in range(CALLS))))


def reasons(gateway: RunningGateway) -> list[str]:
    gateway.ledger.flush()
    ends = [row.settlement for row in gateway.ledger.rows()]
    return sorted(reason for end in ends if end for reason in end.plan if "cache.fanout" in reason)


@pytest.mark.parametrize("is_marked", [True, False], ids=["client marks", "client marks nothing"])
def test_one_call_writes_and_the_others_read(
    emu: RunningEmulator, tmp_path: Path, *, is_marked: bool
):
    mark: Any = {"cache_control": {"type": "ephemeral"}} if is_marked else {}
    system = [{"type": "text", "text": "The rules of the house. " * 1_500, **mark}]
    with gateway_before(emu, tmp_path) as gateway:
        hold_answers(emu, lambda: gateway.metrics.in_flight == CALLS)
        found = asyncio.run(ask_all(gateway, system))

        assert sum((usage.cache_read_input_tokens or 0) > 5_000 for usage in found) == CALLS - 1
        assert reasons(gateway) == ["+cache.fanout"] * (CALLS - 1) + ["-cache.fanout:leads"]
        ends = [row.settlement for row in gateway.ledger.rows() if row.settlement]
        saved = [
            saving.saved_pico
            for end in ends
            if end.accounting
            for saving in end.accounting.savings
            if saving.lever == "cache.fanout"
        ]
        assert len(saved) == CALLS - 1
        assert all(amount > 0 for amount in saved)
        # the least of them, because a machine that stalls adds to some of them
        least_us = min(end.overhead_us for end in ends if "+cache.fanout" in end.plan)
        assert least_us < HELD_SECONDS * 1e6, "the wait counts as overhead"


@pytest.mark.parametrize("changes", [{"fanout_seconds": 0.0}, {"levers_off": ("cache.fanout",)}])
def test_switched_off_all_of_them_write(
    emu: RunningEmulator, tmp_path: Path, changes: dict[str, Any]
):
    mark = {"cache_control": {"type": "ephemeral"}}
    system = [{"type": "text", "text": "The rules of the house. " * 1_500, **mark}]
    with gateway_before(emu, tmp_path, **changes) as gateway:
        hold_answers(emu, lambda: len(emu.requests) == CALLS)
        found = asyncio.run(ask_all(gateway, system))

        assert [usage.cache_read_input_tokens for usage in found] == [0] * CALLS
        assert reasons(gateway) == []


def test_a_client_that_leaves_while_it_waits_has_sent_nothing(emu: RunningEmulator, tmp_path: Path):
    mark = {"cache_control": {"type": "ephemeral"}}
    system: Any = [{"type": "text", "text": "The rules of the house. " * 1_500, **mark}]

    async def run(gateway: RunningGateway) -> None:
        async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key="sk-emu-acme") as claude:

            async def one(text: str) -> None:
                question: Any = [{"role": "user", "content": text}]
                await claude.messages.create(
                    model=MODEL, max_tokens=20, system=system, messages=question
                )

            leader = asyncio.create_task(one("I lead."))
            await asyncio.to_thread(eventually, lambda: len(emu.requests) == 1)
            follower = asyncio.create_task(one("I have no patience."))
            await asyncio.to_thread(eventually, lambda: gateway.metrics.in_flight == 2)
            await asyncio.sleep(0.15)  # so long that the client is being watched
            follower.cancel()
            await asyncio.to_thread(eventually, lambda: gateway.metrics.in_flight == 1)
            has_left.set()
            await leader

    has_left = threading.Event()
    hold_answers(emu, has_left.is_set)
    with gateway_before(emu, tmp_path) as gateway:
        asyncio.run(run(gateway))

        assert reasons(gateway) == ["-cache.fanout:client_left", "-cache.fanout:leads"]
        assert sorted(row.state for row in gateway.ledger.rows()) == ["released", "settled"]
        assert len(emu.billed) == 1
