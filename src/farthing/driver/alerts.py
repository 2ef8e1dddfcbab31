"""What the driver needs to raise and deliver alerts: a store, as a protocol, and its rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from farthing.core.alert_flow import Pending
from farthing.core.alerts import Alert, Message

__all__ = ["AlertStore", "Delivery", "DeliveryState", "Verdict"]

DeliveryState = Literal["waiting", "delivered", "dead"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message for one channel."""

    number: int
    channel: str
    message: Message
    state: DeliveryState
    created_at: datetime
    due_at: datetime
    attempts: int = 0
    #: why the last attempt failed: a status or an error's name, never an address
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How an attempt went."""

    state: Literal["delivered", "again", "dead"]
    why: str | None = None
    #: the receiver says how long to wait
    after_seconds: float | None = None


class AlertStore(Protocol):
    """Alerts and their deliveries, durable; ``LedgerError`` where they are not."""

    def add(self, alerts: Iterable[Alert]) -> None:
        """Record alerts; they survive a killed process from when this returns."""

    def pending(self) -> list[Pending]:
        """Those in no message yet, oldest first."""

    def told_since(self, instant: datetime) -> list[datetime]:
        """When the messages since an instant were made."""

    def tell(
        self, numbers: Sequence[int], messages: Sequence[tuple[str, Message]], now: datetime
    ) -> None:
        """Put alerts into messages, one delivery each for a channel, in one step."""

    def heads(self) -> list[Delivery]:
        """For each channel the delivery that is first in line."""

    def ended(self, number: int, verdict: Verdict, due_at: datetime) -> None:
        """How an attempt went; ``due_at``: when the next one is, if there is one."""

    def firing(self) -> list[Alert]:
        """What began and has not ended."""

    def deliveries(self, state: DeliveryState) -> list[Delivery]:
        """All deliveries in a state, oldest first."""

    def revive(self, numbers: Sequence[int], now: datetime) -> int:
        """Let dead deliveries wait again, from the first attempt on; how many."""

    def expire(self, before: datetime) -> int:
        """Forget what was delivered or given up before; how many deliveries."""

    def close(self) -> None:
        """Let go of files."""
