"""Every effect is a place to die: the driver is stopped there and the ledger looked at.

A *stop* (the client leaves, a job is cancelled, an interrupt) lets the exchange say its last word;
a *kill* does not, and the next process has to find out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import pytest

from farthing.core.exchange import converse
from farthing.core.exchange_call import Moment
from farthing.core.exchange_effects import (
    Body,
    ClientHead,
    Deliver,
    Effect,
    Head,
    Read,
    Relay,
    Send,
    Settle,
)
from farthing.core.records import (
    EVENT_OF_STATE,
    TRANSITIONS,
    ExchangeRow,
    Held,
    Opened,
    Refused,
    RowFilter,
    Settlement,
)
from farthing.driver.prompt import Ports, interrupt, perform
from farthing.ledger.memory import MemoryLedger
from tests.unit.driver.talks import EVENTS, JSON, NOW, TickingClock, call, message, setup, stream


class Stop(BaseException):
    """What a cancellation or an interrupt looks like to a driver."""


@dataclass
class Watched:
    """A ledger that writes down what it was told and checks every step against the table."""

    inner: MemoryLedger = field(default_factory=MemoryLedger)
    steps: list[str] = field(default_factory=list)
    held: dict[str, int] = field(default_factory=dict)

    def open(self, opened: Opened) -> None:
        self.inner.open(opened)
        self.steps.append("open")

    def settle(self, settlement: Settlement) -> None:
        row = self.inner.row(settlement.exchange_id)
        assert row is not None, "settled without an intent"
        if row.state == "held":
            assert EVENT_OF_STATE[settlement.state] in TRANSITIONS[row.state]
            self.steps.append(settlement.state)
        self.inner.settle(settlement)
        if row.opened.reservation_id:
            self.held.pop(row.opened.reservation_id, None)

    def hold(
        self, scope: str, amount_pico: int, cap_pico: int, *, reservation_id: str, now: datetime
    ) -> Held | Refused:
        self.held[reservation_id] = amount_pico
        return self.inner.hold(scope, amount_pico, cap_pico, reservation_id=reservation_id, now=now)

    def release(self, reservation_id: str) -> None:
        self.inner.release(reservation_id)
        self.held.pop(reservation_id, None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@dataclass
class Run:
    """A driver loop written out, which can be stopped before or after any effect."""

    chunks: list[bytes]
    headers: tuple[tuple[bytes, bytes], ...]
    ledger: Watched = field(default_factory=Watched)
    clock: TickingClock = field(default_factory=TickingClock)
    performed: list[Effect[Any]] = field(default_factory=list)

    @property
    def ports(self) -> Ports:
        return Ports(ledger=self.ledger, clock=self.clock, decoding=lambda _: None)

    def perform(self, effect: Effect[Any], *, chunks: int | None = None) -> object:
        """Do what a real driver does; ``chunks``: relay no more than that many."""
        match effect:
            case Send():
                return Head(200, self.headers, self.clock.monotonic_ns(), self.clock.monotonic_ns())
            case Read(tap, _):
                for chunk in self.chunks:
                    tap.feed(chunk)
                at = Moment(self.clock.now(), self.clock.monotonic_ns())
                return Body(b"".join(self.chunks), is_whole=True, at=at)
            case Relay(tap):
                for chunk in self.chunks[:chunks]:
                    tap.feed(chunk)
                return chunks is None
            case Deliver(part):
                assert isinstance(part, (ClientHead, bytes))
                return None
            case _:
                return perform(effect, self.ports)

    def step(self, effect: Effect[Any], stop: int | None, when: str) -> object:
        """Perform an effect, or die trying."""
        is_last = len(self.performed) == stop
        self.performed.append(effect)
        if is_last and when == "before":
            raise Stop
        reply = self.perform(effect, chunks=2 if is_last and when == "in" else None)
        if is_last:
            raise Stop
        return reply

    def go(self, stop: int | None, *, when: str, kill: bool = False) -> list[Effect[Any]]:
        """Run until effect number ``stop``; then stop (or kill) before, in or after it."""
        conversation = converse(call(), setup(task_cap_pico=10**13))
        try:
            effect = next(conversation)
            while True:
                effect = conversation.send(self.step(effect, stop, when))
        except StopIteration:
            return self.performed
        except Stop:
            if not kill:
                interrupt(conversation, self.ports)
            return self.performed


def plain() -> Run:
    return Run([message()], JSON)


def streamed() -> Run:
    return Run(stream(), EVENTS)


KINDS: Final = {"plain": plain, "streamed": streamed}
EFFECTS: Final = {name: make().go(None, when="after") for name, make in KINDS.items()}
STOPS: Final = [
    pytest.param(make, number, when, id=f"{name}-{number}-{type(effect).__name__}-{when}")
    for name, make in KINDS.items()
    for number, effect in enumerate(EFFECTS[name])
    for when in ("before", "in", "after")
]


def states_of(ledger: Watched) -> list[ExchangeRow]:
    return list(ledger.inner.rows(RowFilter()))


def test_both_kinds_settle_once_when_nothing_stops_them():
    for name, effects in EFFECTS.items():
        assert [type(e).__name__ for e in effects].count("Settle") == 1, name


@pytest.mark.parametrize(("make", "number", "when"), STOPS)
def test_a_stop_at_any_effect_leaves_no_hold_and_no_open_row(
    make: Callable[[], Run], number: int, when: str
):
    run = make()

    performed = run.go(number, when=when)

    assert run.ledger.held == {}
    rows = states_of(run.ledger)
    assert [row.state for row in rows if row.state == "held"] == []
    assert run.ledger.steps.count("open") <= 2
    assert len(run.ledger.steps) - run.ledger.steps.count("open") == len(rows)
    was_sent = any(isinstance(e, Send) for e in performed)
    assert {row.state for row in rows} <= ({"settled", "unsettled"} if was_sent else {"released"})


@pytest.mark.parametrize(("make", "number", "when"), STOPS)
def test_a_stop_after_the_request_left_leaves_an_interval_with_the_truth(
    make: Callable[[], Run], number: int, when: str
):
    run = make()
    whole = make()
    whole.go(None, when="after")
    truth = states_of(whole.ledger)[0].settlement
    assert truth is not None
    assert truth.cost is not None

    run.go(number, when=when)

    for row in states_of(run.ledger):
        end = row.settlement
        assert end is not None
        if end.state == "settled":
            assert end.cost == truth.cost
        elif end.state == "unsettled":
            assert end.low_pico is not None
            assert end.high_pico is not None
            assert end.low_pico <= truth.cost.total <= end.high_pico


@pytest.mark.parametrize(("make", "number", "when"), STOPS)
def test_a_kill_at_any_effect_is_found_by_the_next_process(
    make: Callable[[], Run], number: int, when: str
):
    run = make()
    performed = run.go(number, when=when, kill=True)
    left = states_of(run.ledger)

    found = MemoryLedger(left)
    found.recover(NOW)

    rows = list(found.rows(RowFilter()))
    assert len(rows) == len(left) <= 1
    if any(isinstance(effect, Send) for effect in performed):
        assert len(rows) == 1, "sent and not on record"
    for row in rows:
        assert row.state in {"settled", "unsettled"}


@pytest.mark.parametrize("kind", KINDS)
def test_settling_twice_is_settling_once(kind: str):
    run = KINDS[kind]()
    settles = [e for e in run.go(None, when="after") if isinstance(e, Settle)]

    for settle in settles * 2:
        perform(settle, run.ports)

    assert run.ledger.steps == ["open", "settled"]
