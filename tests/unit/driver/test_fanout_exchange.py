"""Exchanges that wait for one another, by both drivers: real threads and jobs, no sleeping."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing, closing
from dataclasses import dataclass, field, replace

import pytest

from farthing.core.engine import Engine
from farthing.core.engine_setup import EngineSetup
from farthing.core.exchange_effects import ClientHead
from farthing.core.fanout import Fanout
from farthing.core.levers import Profile
from farthing.core.policy import policy_of
from farthing.core.records import ExchangeRow, Settlement
from farthing.driver import AsyncDriver, Driver, Ports
from farthing.driver.bells import Bells
from farthing.driver.ports import AsyncAnswer, AsyncSender
from farthing.errors import UpstreamUnreachable
from farthing.pricing import catalog
from tests.unit.driver.talks import (
    EVENTS,
    JSON,
    FakeAsyncAnswer,
    FakeUpstream,
    Talk,
    body,
    call,
    error,
    message,
    setup,
    stream,
)

#: longer than any test may take
LONG = 30.0


#: a head long enough to be cached; the client marks it itself
HEAD = [{"type": "text", "text": "All of it. " * 1_000, "cache_control": {"type": "ephemeral"}}]


def sent(number: int, *, stream: bool = True) -> bytes:
    """The head, and a question of its own."""
    asked = [{"role": "user", "content": f"What about {number}?"}]
    return body(system=HEAD, stream=stream, messages=asked)


@dataclass
class OneProcess(Talk):
    """Exchanges that call one another share their bells."""

    bells: Bells = field(default_factory=Bells)

    @property
    def ports(self) -> Ports:
        return replace(super().ports, bells=self.bells)


def talking(*, limit_seconds: float = LONG, profile: Profile = "safe") -> OneProcess:
    policy = policy_of(profile, on=["cache.fanout"], off=["cache.marks", "cache.ttl"])
    made = EngineSetup(policy=policy, engine_version="1", install_key=b"k" * 32, prices=catalog())
    fanout = Fanout(limit_seconds=limit_seconds)
    return OneProcess(setup=setup(fanout=fanout, engine=Engine(made)))


def fanout_of(row: ExchangeRow) -> list[str]:
    return [reason for reason in end_of(row).plan if "cache.fanout" in reason]


def end_of(row: ExchangeRow) -> Settlement:
    assert row.settlement is not None
    return row.settlement


def waits(row: ExchangeRow) -> list[int]:
    found = [note for note in end_of(row).notes if note.startswith("fanout.waited_us.")]
    return [int(note.rpartition(".")[2]) for note in found]


@dataclass
class Gate:
    """An upstream whose first answer comes when it is let, as what it is told."""

    opened: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: list[bytes] = field(default_factory=list)
    first: FakeUpstream = field(default_factory=lambda: FakeUpstream(stream(), headers=EVENTS))
    others: FakeUpstream = field(default_factory=lambda: FakeUpstream(stream(), headers=EVENTS))
    is_streamed: bool = True

    async def send(self, sent: bytes) -> AsyncAnswer:
        self.arrived.append(sent)
        if len(self.arrived) > 1:
            return await self.others.async_send(sent)
        await self.opened.wait()
        return await self.first.async_send(sent)


async def consume(talk: Talk, gate: Gate, number: int) -> int:
    """One call to its end; its status."""
    asking = call(sent(number, stream=gate.is_streamed), exchange_id=f"ex_{number}")
    driver = AsyncDriver(talk.setup, talk.ports)
    async with aclosing(driver.run(asking, gate.send)) as parts:
        found = [part async for part in parts]
    head = found[0]
    assert isinstance(head, ClientHead)
    return head.status


async def settle_down() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def three(talk: Talk, gate: Gate) -> list[int]:
    """Three calls at once; the upstream answers when all that should have come have."""
    jobs = [asyncio.create_task(consume(talk, gate, number)) for number in range(3)]
    await settle_down()
    assert len(gate.arrived) == 1, "followers were sent before the leader's first byte"
    gate.opened.set()
    async with asyncio.timeout(LONG):
        return list(await asyncio.gather(*jobs))


def test_followers_are_sent_when_the_leaders_answer_begins():
    talk, gate = talking(), Gate()

    assert asyncio.run(three(talk, gate)) == [200, 200, 200]

    leader, *followers = (talk.row(f"ex_{number}") for number in range(3))
    assert fanout_of(leader) == ["-cache.fanout:leads"]
    assert waits(leader) == []
    for row in followers:
        end = end_of(row)
        assert fanout_of(row) == ["+cache.fanout"]
        (waited_us,) = waits(row)
        assert end.ttft_us is not None
        assert end.overhead_us is not None
        assert end.ttft_us >= waited_us
        assert end.overhead_us < end.ttft_us - waited_us + 1_000


@pytest.mark.parametrize(
    "failing",
    [
        FakeUpstream([error("overloaded_error")], status=529),
        FakeUpstream(fails=UpstreamUnreachable("nobody there")),
        FakeUpstream(stream(), headers=EVENTS, cut_after=0),
    ],
    ids=["refused", "unreachable", "cut"],
)
def test_when_the_leader_fails_the_next_one_leads(failing: FakeUpstream):
    talk, gate = talking(), Gate(first=failing)

    async def run() -> None:
        jobs = [asyncio.create_task(consume(talk, gate, number)) for number in range(3)]
        await settle_down()
        gate.opened.set()
        async with asyncio.timeout(LONG):
            await asyncio.gather(*jobs, return_exceptions=True)

    asyncio.run(run())

    assert fanout_of(talk.row("ex_1")) == ["-cache.fanout:leader_failed"]
    assert fanout_of(talk.row("ex_2")) == ["+cache.fanout"]


def test_a_client_that_leaves_while_it_waits_has_sent_nothing():
    talk, gate = talking(), Gate()

    async def run() -> list[int]:
        jobs = [asyncio.create_task(consume(talk, gate, number)) for number in range(3)]
        await settle_down()
        jobs[1].cancel()
        await settle_down()
        gate.opened.set()
        async with asyncio.timeout(LONG):
            return list(await asyncio.gather(jobs[0], jobs[2]))

    assert asyncio.run(run()) == [200, 200]

    row = talk.row("ex_1")
    assert row.state == "released"
    assert fanout_of(row) == ["-cache.fanout:client_left"]
    assert len(gate.arrived) == 2
    assert len(talk.bells) == 0


def test_a_leader_whose_client_leaves_lets_the_next_one_lead():
    talk, gate = talking(), Gate()

    async def run() -> list[int]:
        jobs = [asyncio.create_task(consume(talk, gate, number)) for number in range(3)]
        await settle_down()
        jobs[0].cancel()
        async with asyncio.timeout(LONG):
            return list(await asyncio.gather(*jobs[1:]))

    assert asyncio.run(run()) == [200, 200]

    assert talk.row("ex_0").state == "unsettled"
    assert fanout_of(talk.row("ex_1")) == ["-cache.fanout:leader_failed"]


def test_a_plain_answer_lets_the_others_go_at_its_head():
    talk = talking()
    gate = Gate(first=FakeUpstream([message()], headers=JSON), others=FakeUpstream([message()]))

    assert asyncio.run(three(talk, gate)) == [200, 200, 200]

    assert fanout_of(talk.row("ex_2")) == ["+cache.fanout"]


def test_threads_wait_for_one_another_too():
    talk = talking()
    lock = threading.Lock()
    arrived, opened = list[bytes](), threading.Event()
    upstream = FakeUpstream(stream(), headers=EVENTS)

    def send(sent: bytes) -> object:
        arrived.append(sent)
        if len(arrived) == 1:
            opened.wait(LONG)
        return upstream.send(sent)

    def one(number: int) -> None:
        asking = call(sent(number), exchange_id=f"ex_{number}")
        driver = Driver(talk.setup, talk.ports, lock=lock)
        with closing(driver.run(asking, send)) as parts:  # type: ignore[arg-type]  # structural
            list(parts)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    while len(talk.bells) < 2:
        threading.Event().wait(0.001)
    assert len(arrived) == 1
    opened.set()
    for thread in threads:
        thread.join(LONG / 3)

    plans = sorted(fanout_of(talk.row(f"ex_{number}")) for number in range(3))
    assert plans == [["+cache.fanout"], ["+cache.fanout"], ["-cache.fanout:leads"]]


def test_observing_keeps_nobody():
    talk, gate = talking(profile="observe"), Gate()
    gate.opened.set()

    async def run() -> list[int]:
        return list(await asyncio.gather(*(consume(talk, gate, number) for number in range(2))))

    assert asyncio.run(run()) == [200, 200]
    assert fanout_of(talk.row("ex_1")) == ["~cache.fanout"]
    assert waits(talk.row("ex_1")) == []


def test_where_a_driver_cannot_sleep_the_call_goes_on_at_once():
    """Another event loop than asyncio's: the job is stepped by hand."""
    talk = talking()

    async def first(asking: bytes) -> AsyncAnswer:
        with pytest.raises(StopIteration):
            run(2, second).send(None)
        return Quiet(FakeUpstream(stream(), headers=EVENTS))

    async def second(asking: bytes) -> AsyncAnswer:
        return Quiet(FakeUpstream(stream(), headers=EVENTS))

    async def run(number: int, send: AsyncSender) -> None:
        asking = call(sent(number), exchange_id=f"ex_{number}")
        parts = AsyncDriver(talk.setup, talk.ports).run(asking, send)
        async with aclosing(parts):
            async for _ in parts:
                pass

    with pytest.raises(StopIteration):
        run(1, first).send(None)

    assert fanout_of(talk.row("ex_1")) == ["-cache.fanout:leads"]
    assert fanout_of(talk.row("ex_2")) == ["-cache.fanout:limit"]


class Quiet(FakeAsyncAnswer):
    """Its chunks are there already: nothing is awaited."""

    async def chunks(self) -> AsyncIterator[bytes]:
        for chunk in self._plain.chunks():
            yield chunk


def test_a_call_without_a_view_neither_waits_nor_leads():
    talk = Talk(setup=setup(fanout=Fanout(limit_seconds=LONG)))

    talk.run(call(), FakeUpstream([message()]))

    end = end_of(talk.row())
    assert end.plan == ()
    assert end.baseline_pico == (end.cost.total if end.cost else None)
