"""When which alert is told to whom: a machine over a store, told the time and how attempts went.

Theory of operation. What the rules raise is recorded first, so from then on nothing is lost with
the process. ``gather`` turns what waits into messages (``core.alert_flow``), one delivery per
channel; a channel that takes alerts one by one gets a delivery for each. Each channel is a queue:
the next delivery waits for the one before, so that what ends never overtakes what begins. A failed
attempt is repeated after ``first_seconds``, then twice as long each time up to ``longest_seconds``,
times a factor that the caller rolled; after ``attempts`` it is dead: kept, listed, and put back by
`farthing alerts retry`. A refusal that no repetition mends is dead at once.

Deliveries are at least once: a process that is killed between sending and recording sends again.
Receivers tell by the message's id, PagerDuty by the dedup key.

Rules of this file: no clock, no dice, no I/O but the store's. Due times are the wall clock's,
because they outlive processes; no wait is longer than ``longest_seconds``, so a jump costs no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from farthing.core.alert_flow import FlowLimits, gather
from farthing.core.alerts import Alert, Message
from farthing.driver.alerts import AlertStore, Delivery, Verdict

__all__ = ["Alerting", "RetryLimits"]

_HOUR: Final = timedelta(hours=1)
_KEPT: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryLimits:
    """How long to go on trying."""

    first_seconds: float = 2.0
    longest_seconds: float = 900.0
    #: with the pauses above, some three hours
    attempts: int = 20


@dataclass(slots=True, kw_only=True)
class Alerting:
    """The alerts of one installation on their way out."""

    store: AlertStore
    #: name → does it take alerts one by one?
    channels: Mapping[str, bool]
    flow: FlowLimits = field(default_factory=FlowLimits)
    retries: RetryLimits = field(default_factory=RetryLimits)
    #: when the flow has to be looked at again
    flow_due_at: datetime | None = None

    def add(self, alerts: Iterable[Alert]) -> None:
        """Record what was raised."""
        self.store.add(alerts)

    def gather(self, now: datetime, new_id: Callable[[], str]) -> int:
        """Put what waits into messages; how many there are."""
        told = self.store.told_since(now - _HOUR)
        found = gather(self.store.pending(), told, now, self.flow)
        for group in found.groups:
            message = Message(message_id=new_id(), alerts=tuple(one.alert for one in group))
            numbers = [one.number for one in group]
            self.store.tell(numbers, list(self._addressed(message)), now)
        self.flow_due_at = found.due_at
        return len(found.groups)

    def due(self, now: datetime) -> list[Delivery]:
        """The deliveries to attempt now, at most one per channel."""
        longest = timedelta(seconds=self.retries.longest_seconds * 2)
        return [
            head
            for head in self._heads()
            # a clock that went back must not silence a channel for the rest of the day
            if head.due_at <= now or head.due_at - now > longest
        ]

    def ended(self, delivery: Delivery, verdict: Verdict, now: datetime, *, roll: float) -> bool:
        """How an attempt went; ``roll`` in [0, 1). True: the delivery is dead."""
        tried = delivery.attempts + 1
        if verdict.state == "again" and tried >= self.retries.attempts:
            verdict = Verdict(state="dead", why=verdict.why)
        pause = min(self.retries.first_seconds * 2.0 ** min(tried - 1, 30), self._longest)
        pause = max(pause * (0.5 + roll / 2), min(verdict.after_seconds or 0.0, self._longest))
        self.store.ended(delivery.number, verdict, now + timedelta(seconds=pause))
        return verdict.state == "dead"

    def seconds_until_due(self, now: datetime) -> float | None:
        """How long there is nothing to do; None: until something is raised."""
        instants = [head.due_at for head in self._heads()]
        if self.flow_due_at is not None:
            instants.append(self.flow_due_at)
        if not instants:
            return None
        return max(0.0, min((min(instants) - now).total_seconds(), self._longest))

    def expire(self, now: datetime) -> int:
        """Forget what is long delivered or given up."""
        return self.store.expire(now - _KEPT)

    def _heads(self) -> list[Delivery]:
        return [head for head in self.store.heads() if head.channel in self.channels]

    def _addressed(self, message: Message) -> Iterable[tuple[str, Message]]:
        for name, is_one_by_one in self.channels.items():
            if not is_one_by_one:
                yield name, message
                continue
            for alert in message.alerts:
                yield name, Message(message_id=message.message_id, alerts=(alert,))

    @property
    def _longest(self) -> float:
        return self.retries.longest_seconds
