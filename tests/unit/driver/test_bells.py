"""Waiting and being called, across threads and event loops."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from farthing.core.fanout import Fanout, Ticket
from farthing.driver.bells import Bells
from tests.unit.core.test_fanout import leaf

#: longer than any test may take: whoever sleeps that long was not called
LONG = 30.0


@pytest.fixture
def fanout() -> Fanout:
    return Fanout(limit_seconds=LONG)


@pytest.fixture
def pair(fanout: Fanout) -> tuple[Ticket, Ticket]:
    return fanout.enter(leaf("a"), 0), fanout.enter(leaf("b"), 0)


@pytest.fixture
def bells() -> Iterator[Bells]:
    found = Bells()
    yield found
    assert len(found) == 0, "a bell was left up"


def up(bells: Bells) -> None:
    """Until a bell is up."""
    while not len(bells):
        threading.Event().wait(0.001)


def test_a_thread_is_called_by_another_one(
    fanout: Fanout, pair: tuple[Ticket, Ticket], bells: Bells
):
    sleeper = threading.Thread(target=bells.wait, args=(pair[1], LONG))
    sleeper.start()
    up(bells)

    bells.ring(fanout.began(pair[0], 1))

    sleeper.join(LONG / 3)
    assert not sleeper.is_alive()


def test_a_job_is_called_by_another_thread(
    fanout: Fanout, pair: tuple[Ticket, Ticket], bells: Bells
):
    def ring() -> None:
        up(bells)
        bells.ring(fanout.began(pair[0], 1))

    async def waits() -> bool:
        other = asyncio.to_thread(ring)
        found, _ = await asyncio.gather(bells.wait_async(pair[1], LONG), other)
        return found

    assert asyncio.run(asyncio.wait_for(waits(), LONG / 3))


def test_a_call_that_came_before_the_sleep_is_not_lost(
    fanout: Fanout, pair: tuple[Ticket, Ticket], bells: Bells
):
    bells.ring(fanout.began(pair[0], 1))

    assert bells.wait(pair[1], LONG)
    assert asyncio.run(asyncio.wait_for(bells.wait_async(pair[1], LONG), LONG / 3))


def test_a_sleep_ends_by_itself(pair: tuple[Ticket, Ticket], bells: Bells):
    assert bells.wait(pair[1], 0.001)
    assert asyncio.run(bells.wait_async(pair[1], 0.001))
    assert pair[1].is_waiting


def test_a_job_that_is_cancelled_takes_its_bell_down(pair: tuple[Ticket, Ticket], bells: Bells):
    async def cancelled() -> None:
        sleeping = asyncio.create_task(bells.wait_async(pair[1], LONG))
        await asyncio.sleep(0.001)
        sleeping.cancel()
        await sleeping

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())


def test_a_loop_that_is_gone_is_rung_in_vain(pair: tuple[Ticket, Ticket], bells: Bells):
    event_loop = asyncio.new_event_loop()
    sleeping = bells.wait_async(pair[1], LONG)

    async def begin() -> None:
        job = asyncio.ensure_future(sleeping)
        await asyncio.sleep(0)
        kept.append(job)

    kept: list[asyncio.Future[bool]] = []
    event_loop.run_until_complete(begin())
    event_loop.close()

    bells.ring([pair[1]])

    sleeping.close()
    kept[0]._log_destroy_pending = False  # type: ignore[attr-defined]  # it is meant to be


def test_where_there_is_no_loop_of_asyncio_nobody_sleeps(pair: tuple[Ticket, Ticket], bells: Bells):
    sleeping = bells.wait_async(pair[1], LONG)

    with pytest.raises(StopIteration) as ended:
        sleeping.send(None)

    assert ended.value.value is False
