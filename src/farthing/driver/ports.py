"""What the driver needs from outside, as protocols; adapters need not inherit.

Times and ids are minted here and nowhere below. ``Ledger`` is synchronous and cheap on purpose: a
cancelled job can still settle, because no ``await`` stands between the cancellation and the record.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from datetime import datetime
from typing import Protocol

from farthing.core.budgets_account import Admitted, Denied, Reservation
from farthing.core.records import (
    ExchangeRow,
    Held,
    Opened,
    Outcome,
    RecoveryReport,
    Refused,
    RowFilter,
    Settlement,
)

__all__ = [
    "Answer",
    "AsyncAnswer",
    "AsyncSender",
    "Clock",
    "Decoder",
    "Decoding",
    "Ids",
    "Ledger",
    "Sender",
]


class Ledger(Protocol):
    """The durable record. Nothing here waits for a disk to sync; ``LedgerError`` where it fails."""

    def open(self, opened: Opened) -> None:
        """Record an intent: it survives a killed process from when this returns.

        An exchange that is ``settled`` or ``released`` is opened again by a later ``attempt``; one
        that is on record with this attempt already is left alone.
        """

    def settle(self, settlement: Settlement) -> None:
        """Record how an exchange ended and end its hold; said twice it counts once."""

    def hold(
        self, scope: str, amount_pico: int, cap_pico: int, *, reservation_id: str, now: datetime
    ) -> Held | Refused:
        """Hold an amount under a cap, atomically: spent + held + asked never exceeds the cap."""

    def reserve(self, reservation: Reservation, *, now: datetime) -> Admitted | Denied:
        """Hold under several keys, all or none, atomically; asked again it changes nothing."""

    def release(self, reservation_id: str) -> None:
        """End a hold that led to nothing; unknown ids are ignored."""

    def outcome(self, task_id: str, outcome: Outcome) -> None:
        """Record how a task ended; the last word counts."""

    def row(self, exchange_id: str) -> ExchangeRow | None:
        """One exchange, or None."""

    def rows(self, where: RowFilter = ...) -> Iterator[ExchangeRow]:
        """Exchanges in the order they were opened."""

    def recover(self, now: datetime) -> RecoveryReport:
        """Close what a dead process left open: ``unsettled`` with [0 or the known low, high]."""

    def close(self) -> None:
        """Write what is waiting and let go of files."""


class Clock(Protocol):
    """Both times: the wall's for records, the monotonic one for durations."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go back."""


class Ids(Protocol):
    """Mints identifiers."""

    def new_id(self, prefix: str) -> str:
        """A new id ``<prefix>_…``; later ids sort behind earlier ones."""


class Answer(Protocol):
    """An upstream answer whose head has come."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """What may go to the client: lower-case names, hop-by-hop fields left out."""

    def chunks(self) -> Iterator[bytes]:
        """The body as it arrives, still compressed if it is; ``UpstreamError`` where it is cut."""

    def close(self) -> None:
        """Give the connection back, or cut it; may be called twice."""


class AsyncAnswer(Protocol):
    """``Answer`` whose chunks are awaited."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """What may go to the client: lower-case names, hop-by-hop fields left out."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, still compressed if it is; ``UpstreamError`` where it is cut."""

    def close(self) -> None:
        """Give the connection back, or cut it; may be called twice. Never waits."""


class Sender(Protocol):
    """Sends the body of one call; everything else of the HTTP request is bound already."""

    def __call__(self, body: bytes, /) -> Answer:
        """Send once, wait for the head; ``UpstreamError`` (``was_sent``: can it have left?)."""


class AsyncSender(Protocol):
    """``Sender``, awaited."""

    def __call__(self, body: bytes, /) -> Awaitable[AsyncAnswer]:
        """Send once, wait for the head; ``UpstreamError`` (``was_sent``: can it have left?)."""


class Decoder(Protocol):
    """Undoes one content encoding for the meter; the client gets the bytes as they came."""

    def decode(self, chunk: bytes) -> bytes:
        """The plain bytes of the next chunk; ``ValueError`` where it is no such encoding."""


class Decoding(Protocol):
    """Makes decoders."""

    def __call__(self, encoding: str, /) -> Decoder | None:
        """A decoder for ``gzip``, ``br``, …; None where there is none for it."""
