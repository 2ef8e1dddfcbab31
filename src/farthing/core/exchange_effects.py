"""What an exchange asks for: each effect names the type of its reply.

``held = yield from ask(Reserve(...))`` is typed by ``Reserve(Effect[Admitted | Denied])``. Effects
that a driver performs without waiting (``Prompt``) are those that an interrupted exchange may still
ask for; ``Wait``, ``Send``, ``Read``, ``Relay`` and ``Deliver`` it may not.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from farthing.core.budgets_account import Admitted, Denied, Reservation
from farthing.core.exchange_call import Moment
from farthing.core.exchange_tap import Decoder, Tap
from farthing.core.fanout import Ticket
from farthing.core.pins import LineagePin
from farthing.core.records import Opened, Settlement
from farthing.errors import FarthingError
from farthing.wire.envelope import dump_refusal

__all__ = [
    "Body",
    "ClientHead",
    "Conversation",
    "DecoderFor",
    "Deliver",
    "Effect",
    "Head",
    "Interrupted",
    "Keep",
    "Note",
    "Now",
    "Open",
    "Prompt",
    "Read",
    "Recall",
    "Relay",
    "Release",
    "Reserve",
    "Send",
    "Settle",
    "Wait",
    "Wake",
    "answer_of",
    "ask",
]

_Reply = TypeVar("_Reply")
_RawHeaders = Sequence[tuple[bytes, bytes]]


class Interrupted(Exception):
    """Thrown into a conversation whose driver was stopped: only ``Prompt`` effects are left."""


class Effect(msgspec.Struct, Generic[_Reply], frozen=True):
    """Something only a driver can do; ``_Reply`` is what comes back."""


class Head(msgspec.Struct):
    """The head of an upstream answer and when it came."""

    status: int
    headers: _RawHeaders
    sent_ns: int
    at_ns: int
    #: the first value of each name, from when one is asked for
    _values: dict[bytes, bytes] | None = None

    def header(self, name: bytes) -> str | None:
        """The first value of a header by its lower-case name."""
        values = self._values
        if values is None:
            values = self._values = dict(reversed(self.headers))
        value = values.get(name)
        return None if value is None else value.decode("latin-1")


class Body(msgspec.Struct, frozen=True):
    """A plain answer's bytes as they came."""

    raw: bytes
    #: False: longer than was asked for; the rest is to be relayed
    is_whole: bool
    #: when so much of it was read
    at: Moment


class ClientHead(msgspec.Struct, frozen=True):
    """The first part of what goes to the client; without a body, chunks follow."""

    status: int
    headers: _RawHeaders
    body: bytes | None = None
    #: the refusal of ours that it says, for a door that can raise it
    error: FarthingError | None = None


# -- performed without waiting --------------------------------------------------------------------


class Now(Effect[Moment], frozen=True):
    """What time is it?"""


class Reserve(Effect[Admitted | Denied], frozen=True):
    """Hold in every budget that applies, or in none."""

    reservation: Reservation


class Release(Effect[None], frozen=True):
    """End a hold that led to nothing."""

    reservation_id: str


class Open(Effect[None], frozen=True):
    """Record an intent."""

    opened: Opened


class Settle(Effect[None], frozen=True):
    """Record how the exchange ended."""

    settlement: Settlement


class Note(Effect[None], frozen=True):
    """Count something that should not happen."""

    code: str
    exchange_id: str


class DecoderFor(Effect[Decoder | None], frozen=True):
    """A decoder for a content encoding; None where there is none."""

    encoding: str


class Recall(Effect[LineagePin | None], frozen=True):
    """What was chosen for a lineage, if anything is on record."""

    lineage_id: str


class Keep(Effect[LineagePin], frozen=True):
    """Record what was chosen; what is on record afterwards, ours or another replica's."""

    pin: LineagePin


class Wake(Effect[None], frozen=True):
    """Call exchanges that wait: their tickets have changed."""

    tickets: tuple[Ticket, ...]


Prompt = Now | Reserve | Release | Open | Settle | Note | DecoderFor | Recall | Keep | Wake


# -- performed by waiting -------------------------------------------------------------------------


class Wait(Effect[bool], frozen=True):
    """Sleep until called, at most so long; False where this driver cannot sleep."""

    ticket: Ticket
    seconds: float


class Send(Effect[Head], frozen=True):
    """Send the body upstream and wait for the head of the answer."""

    body: bytes


class Read(Effect[Body], frozen=True):
    """Read a plain answer, up to a limit."""

    tap: Tap
    limit_bytes: int


class Relay(Effect[bool], frozen=True):
    """Pass the chunks on, feeding the tap; True at the end, False where the tap is full."""

    tap: Tap


class Deliver(Effect[None], frozen=True):
    """Give the client a head, or bytes already read."""

    part: ClientHead | bytes


def answer_of(error: FarthingError, request_id: str, own: tuple[bytes, bytes]) -> ClientHead:
    """What a client gets instead of the provider's answer, in the provider's envelope."""
    refusal = dump_refusal(error, request_id=request_id)
    headers = [(name.encode(), text.encode()) for name, text in refusal.headers.items()]
    length = (b"content-length", str(len(refusal.body)).encode())
    return ClientHead(refusal.status, [*headers, length, own], refusal.body, error)


Conversation = Generator[Effect[Any], Any, None]


def ask(effect: Effect[_Reply]) -> Generator[Effect[Any], Any, _Reply]:
    """Yield an effect; the reply has the effect's type."""
    reply: _Reply = yield effect
    return reply
