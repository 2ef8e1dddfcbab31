"""Pings through the driver to the emulator, on a clock that both share."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anthropic
import pytest

from farthing.compose import running_gateway
from farthing.compose.keepalive import Pinger, pinger_for
from farthing.config import Settings
from farthing.core.engine import Engine
from farthing.core.engine_setup import EngineSetup
from farthing.core.exchange_call import Call, Moment
from farthing.core.exchange_prepare import Setup
from farthing.core.policy import policy_of
from farthing.core.records import ExchangeRow, Settlement
from farthing.core.ttl_tables import TtlTables
from farthing.driver import AsyncDriver, Ports
from farthing.driver.ports import AsyncAnswer
from farthing.driver.system import TimeOrderedIds
from farthing.lab.emulator import RunningEmulator, emulator
from farthing.ledger.memory import MemoryLedger
from farthing.pricing import catalog
from farthing.transport import Upstream, decoder_for
from farthing.transport.settings import UpstreamSettings
from tests.unit.core.test_keepalive import pauses_of

OWN_KEY = (b"x-api-key", b"sk-emu-default")
MARK = {"cache_control": {"type": "ephemeral"}}
SYSTEM = [{"type": "text", "text": "The rules of the house. " * 1_500, **MARK}]


@dataclass
class Shared:
    """One clock for the emulator and for us."""

    emu: RunningEmulator
    seconds: float = 0.0

    def advance(self, seconds: float) -> None:
        self.emu.advance(seconds)
        self.seconds += seconds

    def now(self) -> datetime:
        return datetime(2026, 11, 16, 12, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic_ns(self) -> int:
        return round(self.seconds * 1_000_000_000)


@dataclass
class World:
    """A gateway's parts without its door."""

    clock: Shared
    ledger: MemoryLedger
    driver: AsyncDriver
    upstream: Upstream
    pinger: Pinger
    ids: TimeOrderedIds

    async def ask(self, turn: int, **fields: Any) -> ExchangeRow:
        """A turn of one conversation."""
        said = [{"role": "user", "content": "Begin."}]
        for number in range(turn):
            said += [
                {"role": "assistant", "content": f"Answer {number}."},
                {"role": "user", "content": f"And {number}?"},
            ]
        asked = {"model": "claude-opus-4-6", "max_tokens": 20, "system": SYSTEM, "messages": said}
        call = Call(
            exchange_id=self.ids.new_id("ex"),
            method="POST",
            path="/v1/messages",
            headers={
                "x-api-key": "sk-emu-default",
                "anthropic-version": "2023-06-01",
                "x-farthing-task": "t-1",
            },
            received=Moment(self.clock.now(), self.clock.monotonic_ns()),
            body=json.dumps(asked | fields).encode(),
        )

        async def send(body: bytes) -> AsyncAnswer:
            headers = [(b"anthropic-version", b"2023-06-01"), OWN_KEY]
            return await self.upstream.send("POST", (b"/v1/messages", b""), headers, body)

        async with aclosing(self.driver.run(call, send)) as parts:
            async for _ in parts:
                pass
        found = self.ledger.row(call.exchange_id)
        assert found is not None
        return found

    async def pause(self, seconds: int) -> list[ExchangeRow]:
        """Time passes and pings go out as they are due; their rows."""
        before = {row.opened.exchange_id for row in self.ledger.rows()}
        for _ in range(seconds // 5):
            self.clock.advance(5)
            await self.pinger.ping_due()
        return [row for row in self.ledger.rows() if row.opened.exchange_id not in before]


def play(scene: Callable[[World], Coroutine[Any, Any, None]], *, minutes: float = 11) -> None:
    """A scene in a world whose pauses were this long so far."""

    async def run(emu: RunningEmulator) -> None:
        clock, ledger, ids = Shared(emu), MemoryLedger(), TimeOrderedIds()
        engine = Engine(
            EngineSetup(
                policy=policy_of("safe", on=["cache.keepalive"], off=["cache.ttl"]),
                engine_version="1",
                install_key=b"k" * 32,
                prices=catalog(),
                lifetimes=TtlTables(by_class={"api": pauses_of(minutes)}),
            )
        )
        setup = Setup(engine_version="1", install_key=b"k" * 32, prices=catalog(), engine=engine)
        driver = AsyncDriver(setup, Ports(ledger=ledger, clock=clock, decoding=decoder_for))
        async with Upstream(UpstreamSettings(url=emu.url)) as upstream:
            pinger = pinger_for(
                setup,
                driver=driver,
                upstream=upstream,
                credentials=[OWN_KEY],
                clock=clock,
                ids=ids,
            )
            assert pinger is not None
            await scene(World(clock, ledger, driver, upstream, pinger, ids))

    with emulator() as emu:
        asyncio.run(run(emu))


def end_of(row: ExchangeRow) -> Settlement:
    assert row.settlement is not None
    assert row.settlement.usage is not None
    assert row.settlement.cost is not None
    return row.settlement


def test_a_pause_of_eleven_minutes_is_bridged_by_two_pings():
    async def scene(world: World) -> None:
        first = await world.ask(0)
        pings = await world.pause(11 * 60)
        second = await world.ask(1)

        assert len(pings) == 2
        for row in pings:
            end = end_of(row)
            assert "own.ping" in end.notes
            assert end.usage is not None
            assert end.usage.cache_read > 5_000
            assert end.usage.output == 0
            assert row.opened.attribution == first.opened.attribution
            assert end.cost is not None
            assert end.accounting is not None
            assert end.accounting.own_cost_pico == end.cost.total > 0
            assert end.accounting.baseline_pico == end.cost.total  # so it saves nothing by itself
        end = end_of(second)
        assert end.usage is not None
        assert end.usage.cache_read > 5_000
        assert end.accounting is not None
        saved = {each.lever: each.saved_pico for each in end.accounting.savings}
        own = [each.own_cost_pico for row in pings if (each := end_of(row).accounting)]
        assert saved["cache.keepalive"] > sum(own) > 0

    play(scene)


def test_a_real_request_cancels_the_ping():
    async def scene(world: World) -> None:
        await world.ask(0)
        assert await world.pause(280) == []
        await world.ask(1)

        assert await world.pause(280) == []
        assert len(await world.pause(5)) == 1

    play(scene)


def test_no_more_pings_than_pay():
    async def scene(world: World) -> None:
        await world.ask(0)

        assert len(await world.pause(60 * 60)) == 2

    play(scene)


@pytest.mark.parametrize(
    ("minutes", "fields"),
    [
        (0.5, {}),
        (11, {"max_tokens": 4_000, "thinking": {"type": "enabled", "budget_tokens": 2_000}}),
    ],
    ids=["does not pay", "would be refused"],
)
def test_no_ping_is_sent(minutes: float, fields: dict[str, Any]):
    async def scene(world: World) -> None:
        await world.ask(0, **fields)

        assert await world.pause(10 * 60) == []

    play(scene, minutes=minutes)


def test_a_ping_that_fails_is_booked_and_is_the_last(caplog: pytest.LogCaptureFixture):
    async def scene(world: World) -> None:
        await world.ask(0)
        world.clock.emu.fault("status=529")
        with caplog.at_level(logging.INFO):
            (ping,) = await world.pause(15 * 60)

        end = end_of(ping)
        assert end.http_status == 529
        assert end.cost is not None
        assert end.cost.total == 0
        assert "no ping for lineage" in caplog.text

    play(scene)


def test_without_a_key_of_its_own_the_gateway_says_that_it_sends_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    settings = Settings(port=0, ledger=str(tmp_path / "l.db"), levers_on=("cache.keepalive",))
    with caplog.at_level(logging.WARNING), running_gateway(settings):
        pass

    assert "no key of its own: no pings are sent" in caplog.text


def test_with_a_key_of_its_own_the_gateway_runs_the_job(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with emulator() as emu:
        settings = Settings(
            upstream=emu.url,
            api_key=emu.api_key,
            port=0,
            ledger=str(tmp_path / "l.db"),
            levers_on=("cache.keepalive",),
        )
        with (
            caplog.at_level(logging.WARNING),
            running_gateway(settings) as gateway,
            anthropic.Anthropic(base_url=gateway.url, api_key="sk-any") as claude,
        ):
            question: Any = [{"role": "user", "content": "hello"}]
            claude.messages.create(model="claude-opus-4-6", max_tokens=20, messages=question)
            gateway.ledger.flush()
            (row,) = gateway.ledger.rows()

    assert row.state == "settled"
    assert "no pings are sent" not in caplog.text
