"""Alerts in a running gateway: rows and facts in, deliveries out, all of it beside the calls.

Theory of operation. The service listens to the ledger: each exchange that ends goes through the
rules on the spot, which costs a few sums. What is raised is recorded at once, so it survives the
process, and the job is woken; the job gathers, attempts and records. Other parts hand their facts
to ``budget``, ``loop`` and ``breaker``, from any thread.

A fault of the ledger or of a rule is logged and costs an alert, never a call.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from farthing.compose.alert_channels import (
    alert_channels,
    alert_limits,
    alert_sender,
    flow_limits,
)
from farthing.compose.alert_rises import recent_rises
from farthing.compose.decisions import Decisions
from farthing.config import Settings
from farthing.core.alert_rules import AlertRules, BudgetFact, LoopFact
from farthing.core.alerts import Alert
from farthing.core.batches import RESULTS_KEPT
from farthing.core.breaker_values import Change
from farthing.core.journal_chain import Fact
from farthing.core.records import ExchangeRow
from farthing.driver.alerts import AlertStore, Delivery
from farthing.driver.jobs.alerting import Alerting, RetryLimits
from farthing.driver.ports import Clock, Ids, Ledger
from farthing.driver.system import SystemClock, TimeOrderedIds
from farthing.errors import FarthingError
from farthing.ledger import SqliteLedger
from farthing.ledger.alert_store import SqliteAlertStore
from farthing.notify.sending import AlertSender
from farthing.telemetry.ledger import TelemetryLedger

__all__ = ["AlertParts", "AlertService", "open_alerts"]

_logger = logging.getLogger(__name__)

#: how often batches are looked at, and deliveries that another process put back
_LOOK_SECONDS: Final = 30.0
_RISES_EVERY: Final = timedelta(hours=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertParts:
    """What the service is made of."""

    rules: AlertRules
    store: AlertStore
    alerting: Alerting
    sender: AlertSender
    decisions: Decisions
    ledger: SqliteLedger
    clock: Clock
    ids: Ids


class AlertService:
    """Raises and delivers; ``run`` is its job."""

    def __init__(self, parts: AlertParts) -> None:
        self._parts = parts
        # Facts come from any thread; rules and what they raised belong together.
        self._lock = threading.Lock()
        self._wake: Callable[[], None] = lambda: None
        self._rises_at = parts.clock.now() + timedelta(minutes=5)

    def ended(self, row: ExchangeRow) -> None:
        """An exchange has ended (``telemetry.ledger.Listener``)."""
        self._feed(lambda rules, now: rules.call(row, now))

    def budget(self, fact: BudgetFact) -> None:
        """A budget was spent from, raised or reset."""
        self._feed(lambda rules, _: rules.budget(fact))

    def loop(self, fact: LoopFact) -> None:
        """A loop was seen."""
        self._feed(lambda rules, _: rules.loop(fact))

    def breaker(self, change: Change) -> None:
        """A circuit opened or closed."""
        self._feed(lambda rules, _: rules.breaker(change))

    async def run(self) -> None:
        """Gather and deliver until cancelled; what waits then is sent by the next process."""
        event_loop, woken = asyncio.get_running_loop(), asyncio.Event()
        self._wake = lambda: _wake(event_loop, woken)
        while True:
            woken.clear()
            pause = _LOOK_SECONDS
            try:
                await self._turn()
                pause = await asyncio.to_thread(self._pause)
            except FarthingError as error:
                _logger.warning("alerts wait: %s", error, extra={"action": "alert.waiting"})
            with suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), pause)

    async def _turn(self) -> None:
        await asyncio.to_thread(self._look)
        while due := await asyncio.to_thread(self._gathered):
            await asyncio.gather(*(self._attempt(delivery) for delivery in due))

    def _look(self) -> None:
        parts, now = self._parts, self._parts.clock.now()
        batches = parts.ledger.batches(created_from=now - RESULTS_KEPT)
        self._feed(lambda rules, at: rules.batches(batches, at))
        if now >= self._rises_at:
            self._rises_at = now + _RISES_EVERY
            rises = recent_rises(parts.ledger.path, now)
            self._feed(lambda rules, at: rules.rises(rises, at))
            parts.alerting.expire(now)

    def _gathered(self) -> list[Delivery]:
        parts, now = self._parts, self._parts.clock.now()
        parts.alerting.gather(now, lambda: parts.ids.new_id("al"))
        return parts.alerting.due(now)

    async def _attempt(self, delivery: Delivery) -> None:
        parts = self._parts
        verdict = await parts.sender.attempt(delivery.channel, delivery.message)
        now, roll = parts.clock.now(), random.random()  # noqa: S311 -- spreads retries, no secret
        is_dead = await asyncio.to_thread(
            lambda: parts.alerting.ended(delivery, verdict, now, roll=roll)
        )
        if is_dead:
            await asyncio.to_thread(lambda: self._note_dead(delivery, verdict.why))

    def _note_dead(self, delivery: Delivery, why: str | None) -> None:
        _logger.error(
            "an alert could not be delivered to %s (%s): `farthing alerts retry` sends it again",
            delivery.channel,
            why,
            extra={"action": "alert.undelivered"},
        )
        facts: dict[str, Fact] = {
            "why": why,
            "alerts": len(delivery.message.alerts),
            "number": delivery.number,
        }
        self._parts.decisions.note(
            "alert.undelivered", actor="engine", subject=delivery.channel, facts=facts
        )

    def _pause(self) -> float:
        due = self._parts.alerting.seconds_until_due(self._parts.clock.now())
        return _LOOK_SECONDS if due is None else min(due, _LOOK_SECONDS)

    def _feed(self, ask: Callable[[AlertRules, datetime], list[Alert]]) -> None:
        parts = self._parts
        try:
            with self._lock:
                raised = ask(parts.rules, parts.clock.now())
                if raised:
                    parts.alerting.add(raised)
        except Exception:  # protects the call: an alert is lost, and the log says so
            _logger.exception("an alert was lost", extra={"action": "alert.lost"})
            return
        if raised:
            self._wake()


@contextmanager
def open_alerts(
    settings: Settings,
    ledger: SqliteLedger,
    records: Ledger,
    decisions: Decisions,
    *,
    retries: RetryLimits | None = None,
) -> Iterator[tuple[AlertService | None, Ledger]]:
    """The service and the ledger it listens to; where no channel is set up, neither."""
    channels = alert_channels(settings)
    if not channels:
        yield None, records
        return
    sender = alert_sender(channels, settings)
    limits, flow = alert_limits(settings), flow_limits(settings)
    clock = SystemClock()
    with _store(ledger.path) as store:
        rules = AlertRules(limits, since=clock.now(), firing=store.firing())
        alerting = Alerting(
            store=store,
            channels={name: channel.is_one_by_one for name, channel in channels.items()},
            flow=flow,
            retries=retries or RetryLimits(),
        )
        if gone := rules.restarted(clock.now()):
            alerting.add(gone)
        service = AlertService(
            AlertParts(
                rules=rules,
                store=store,
                alerting=alerting,
                sender=sender,
                decisions=decisions,
                ledger=ledger,
                clock=clock,
                ids=TimeOrderedIds(),
            )
        )
        yield service, TelemetryLedger(records, service)


@contextmanager
def _store(path: Path) -> Iterator[SqliteAlertStore]:
    store = SqliteAlertStore(path)
    try:
        yield store
    finally:
        store.close()


def _wake(event_loop: asyncio.AbstractEventLoop, woken: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the loop has ended: the next process sends
        event_loop.call_soon_threadsafe(woken.set)
