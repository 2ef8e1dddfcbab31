"""What a driver does without waiting, and how it ends a conversation."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from farthing.core.exchange import converse
from farthing.core.exchange_effects import ClientHead, DecoderFor, Note, Open, Send, Settle
from farthing.core.records import Opened, Settlement
from farthing.driver import AsyncDriver, Ports
from farthing.driver.prompt import interrupt, perform
from farthing.driver.system import SystemClock, TimeOrderedIds
from farthing.errors import EngineBug, LedgerError
from farthing.ledger.memory import MemoryLedger
from tests.unit.driver.talks import EVENTS, FakeUpstream, Talk, call, setup, stream


class Broken(MemoryLedger):
    """Has a bug."""

    def open(self, opened: Opened) -> None:
        raise ZeroDivisionError("secret detail")

    def settle(self, settlement: Settlement) -> None:
        raise LedgerError("disk full")


def test_any_fault_of_a_ledger_is_a_ledger_error_without_its_text():
    talk = Talk(ledger=Broken())
    effect = next(converse(call(), talk.setup))
    assert isinstance(effect, Open)

    with pytest.raises(LedgerError, match="ZeroDivisionError") as caught:
        perform(effect, talk.ports)

    assert "secret" not in str(caught.value)


def test_what_waits_is_not_performed_in_passing():
    with pytest.raises(EngineBug, match="Send"):
        perform(Send(b""), Talk().ports)


def test_a_note_is_counted_and_a_decoder_is_made():
    talk = Talk()

    assert perform(Note("code", "ex_1"), talk.ports) is None
    assert perform(DecoderFor("gzip"), talk.ports) is None
    assert talk.notes == ["code"]


def test_ports_count_nothing_unless_asked():
    talk = Talk()
    ports = Ports(ledger=talk.ledger, clock=talk.clock, decoding=lambda _: None)

    assert perform(Note("code", "ex_1"), ports) is None


def test_an_interruption_survives_a_ledger_that_cannot_write():
    talk = Talk(ledger=Broken())
    conversation = converse(call(), talk.setup)
    next(conversation)

    interrupt(conversation, talk.ports)

    assert talk.notes.count("ledger.open_failed") >= 1


def test_a_finished_conversation_is_left_in_peace():
    talk = Talk()
    conversation = converse(call(), talk.setup)
    conversation.close()

    interrupt(conversation, talk.ports)

    assert list(talk.ledger.rows()) == []


def test_a_cancelled_job_settles_before_it_ends():
    """The cancellation strikes while the upstream is silent: nothing may be awaited any more."""
    talk = Talk()

    class Silent(FakeUpstream):
        async def async_send(self, sent: bytes) -> Any:
            await asyncio.sleep(3600)

    async def cancelled() -> None:
        driver = AsyncDriver(talk.setup, talk.ports)
        job = asyncio.ensure_future(anext(driver.run(call(), Silent().async_send)))
        await asyncio.sleep(0)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job

    asyncio.run(cancelled())

    assert talk.row().state == "unsettled"


def test_a_client_that_leaves_between_two_chunks_settles():
    talk = Talk()
    upstream = FakeUpstream(stream(), headers=EVENTS)

    async def left() -> None:
        driver = AsyncDriver(setup(), talk.ports)
        async with aclosing(driver.run(call(), upstream.async_send)) as parts:
            assert isinstance(await anext(parts), ClientHead)
            await anext(parts)

    asyncio.run(left())

    assert talk.row().state == "unsettled"
    assert upstream.closed == 1


def test_settling_again_after_the_end_changes_nothing():
    talk = Talk()
    talk.run(call(), FakeUpstream(stream(), headers=EVENTS))
    row = talk.row()
    assert row.settlement is not None

    perform(Settle(row.settlement), talk.ports)

    assert talk.row() == row


def test_the_machines_clocks_go_forward_and_ids_sort_by_time():
    clock, ids = SystemClock(), TimeOrderedIds()

    assert clock.now().utcoffset() is not None
    assert clock.monotonic_ns() <= clock.monotonic_ns()
    minted = [ids.new_id("ex") for _ in range(100)]
    assert minted == sorted(set(minted))
