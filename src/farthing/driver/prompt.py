"""The effects that need no waiting, performed alike by both drivers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, assert_never

from farthing.core.budgets_account import Admitted, Denied
from farthing.core.exchange_call import Moment
from farthing.core.exchange_effects import (
    Conversation,
    DecoderFor,
    Effect,
    Interrupted,
    Keep,
    Note,
    Now,
    Open,
    Recall,
    Release,
    Reserve,
    ReserveAll,
    Settle,
    Wake,
)
from farthing.core.pins import LineagePin
from farthing.core.records import Held, Refused
from farthing.driver.bells import Bells
from farthing.driver.pins import PinStore
from farthing.driver.ports import Clock, Decoder, Decoding, Ledger
from farthing.errors import EngineBug, LedgerError

__all__ = ["Ports", "Reply", "interrupt", "perform"]

Reply = Moment | Held | Refused | Admitted | Denied | Decoder | LineagePin | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What a driver performs effects with; one for a process."""

    ledger: Ledger
    clock: Clock
    decoding: Decoding
    #: counts what should not happen: code and exchange id
    note: Callable[[str, str], None] = lambda code, exchange_id: None  # noqa: ARG005  a Note
    #: None: what is chosen for a lineage is remembered by the engine alone
    pins: PinStore | None = None
    #: where exchanges wait for one another
    bells: Bells = field(default_factory=Bells)


def perform(effect: Effect[Any], ports: Ports) -> Reply:
    """Do it now; ``LedgerError`` where the ledger cannot."""
    match effect:
        case Open() | Settle() | Reserve() | ReserveAll() | Release():
            return _recorded(effect, ports)
        case Now():
            return Moment(ports.clock.now(), ports.clock.monotonic_ns())
        case Note(code, exchange_id):
            ports.note(code, exchange_id)
            return None
        case DecoderFor(encoding):
            return ports.decoding(encoding)
        case Recall() | Keep():
            return _pinned(effect, ports)
        case Wake(tickets):
            ports.bells.ring(tickets)
            return None
        case _:
            raise EngineBug(f"{type(effect).__name__} cannot be performed without waiting")


def interrupt(conversation: Conversation, ports: Ports) -> None:
    """End a conversation whose driver is being stopped: it still settles, and nothing waits."""
    try:
        effect = conversation.throw(Interrupted())
        while True:
            try:
                reply = perform(effect, ports)
            except LedgerError as error:
                effect = conversation.throw(error)
            else:
                effect = conversation.send(reply)
    except (StopIteration, Interrupted):
        return


def _pinned(effect: Recall | Keep, ports: Ports) -> LineagePin | None:
    store, now = ports.pins, ports.clock.now()
    if isinstance(effect, Recall):
        return None if store is None else store.pin(effect.lineage_id, now)
    return effect.pin if store is None else store.keep(effect.pin, now)


def _recorded(
    effect: Reserve | ReserveAll | Open | Settle | Release, ports: Ports
) -> Held | Refused | Admitted | Denied | None:
    try:
        match effect:
            case Open(opened):
                ports.ledger.open(opened)
            case Settle(settlement):
                ports.ledger.settle(settlement)
            case Release(reservation_id):
                ports.ledger.release(reservation_id)
            case Reserve(scope, amount, cap, reservation_id):
                now = ports.clock.now()
                return ports.ledger.hold(scope, amount, cap, reservation_id=reservation_id, now=now)
            case ReserveAll(reservation):
                return ports.ledger.reserve(reservation, now=ports.clock.now())
            case _:
                assert_never(effect)
    except LedgerError:
        raise
    except Exception as error:  # protects the client's call from any fault of a ledger
        raise LedgerError(f"the ledger failed with {type(error).__name__}") from error
    return None
