"""The effects that need no waiting, performed alike by both drivers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

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
    Settle,
    Wake,
)
from farthing.core.pins import LineagePin
from farthing.driver.bells import Bells
from farthing.driver.pins import PinStore
from farthing.driver.ports import Clock, Decoder, Decoding, Ledger
from farthing.errors import EngineBug, LedgerError

__all__ = ["ACTS", "Ports", "Reply", "interrupt", "perform"]

Reply = Moment | Admitted | Denied | Decoder | LineagePin | None


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
    act = ACTS.get(type(effect))
    if act is None:
        raise EngineBug(f"{type(effect).__name__} cannot be performed without waiting")
    return act(effect, ports)


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


def _told_the_time(_: Now, ports: Ports) -> Moment:
    return Moment(ports.clock.now(), ports.clock.monotonic_ns())


def _recorded(effect: Reserve | Open | Settle | Release, ports: Ports) -> Admitted | Denied | None:
    ledger = ports.ledger
    try:
        if isinstance(effect, Open):
            ledger.open(effect.opened)
        elif isinstance(effect, Settle):
            ledger.settle(effect.settlement)
        elif isinstance(effect, Release):
            ledger.release(effect.reservation_id)
        else:
            return ledger.reserve(effect.reservation, now=ports.clock.now())
    except LedgerError:
        raise
    except Exception as error:  # protects the client's call from any fault of a ledger
        raise LedgerError(f"the ledger failed with {type(error).__name__}") from error
    return None


def _noted(effect: Note, ports: Ports) -> None:
    ports.note(effect.code, effect.exchange_id)


def _decoder(effect: DecoderFor, ports: Ports) -> Decoder | None:
    return ports.decoding(effect.encoding)


def _recalled(effect: Recall, ports: Ports) -> LineagePin | None:
    return None if ports.pins is None else ports.pins.pin(effect.lineage_id, ports.clock.now())


def _kept(effect: Keep, ports: Ports) -> LineagePin:
    return effect.pin if ports.pins is None else ports.pins.keep(effect.pin, ports.clock.now())


def _called(effect: Wake, ports: Ports) -> None:
    ports.bells.ring(effect.tickets)


#: how each ``Prompt`` effect is performed: looked up, because a ``match`` asks class after class
ACTS: Final[Mapping[type[Effect[Any]], Callable[[Any, Ports], Reply]]] = MappingProxyType(
    {
        Now: _told_the_time,
        Open: _recorded,
        Settle: _recorded,
        Reserve: _recorded,
        Release: _recorded,
        Note: _noted,
        DecoderFor: _decoder,
        Recall: _recalled,
        Keep: _kept,
        Wake: _called,
    }
)
