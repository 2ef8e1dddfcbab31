"""Alerts and their deliveries in the ledger's file: ``driver.alerts.AlertStore``.

Theory of operation. Alerts are rare, so each change is one small transaction at once. An alert is
recorded without a message; ``tell`` names its message and adds a delivery per channel in the same
transaction, so a crash leaves it in either state and never in both or none. What fires is read from
the alerts themselves: the last word per dedup key.

Memory's twin is this store on a database in memory: one implementation, one behaviour.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from farthing.core.alert_flow import Pending
from farthing.core.alerts import Alert, Message, parse_alert, parse_message
from farthing.driver.alerts import Delivery, DeliveryState, Verdict
from farthing.ledger.columns import dump_instant
from farthing.ledger.database import open_writer
from farthing.ledger.faults import translated
from farthing.ledger.migrating import migrate
from farthing.ledger.reading import parse_instant

__all__ = ["SqliteAlertStore"]

_MEMORY: Final = Path(":memory:")

_ADD: Final = "INSERT INTO alerts (at, dedup_key, state, alert) VALUES (?, ?, ?, ?)"
_PENDING: Final = "SELECT number, alert FROM alerts WHERE message_id IS NULL ORDER BY number"
_TOLD: Final = (
    "SELECT min(created_at) FROM alert_deliveries WHERE created_at >= ?"
    " GROUP BY message_id ORDER BY 1"
)
_NAME: Final = "UPDATE alerts SET message_id = ? WHERE number = ? AND message_id IS NULL"
_DELIVER: Final = (
    "INSERT INTO alert_deliveries"
    " (message_id, channel, message, state, created_at, due_at, attempts)"
    " VALUES (?, ?, ?, 'waiting', ?, ?, 0)"
)
_DELIVERY: Final = (
    "SELECT number, channel, message, state, created_at, due_at, attempts, why"
    " FROM alert_deliveries"
)
_HEADS: Final = (
    f"{_DELIVERY} WHERE number IN (SELECT min(number) FROM alert_deliveries"  # noqa: S608 -- ours
    " WHERE state = 'waiting' GROUP BY channel) ORDER BY number"
)
_END: Final = (
    "UPDATE alert_deliveries SET state = ?, due_at = ?, why = ?, attempts = attempts + 1"
    " WHERE number = ? AND state = 'waiting'"
)
_FIRING: Final = (
    "SELECT alert FROM alerts WHERE state = 'firing' AND number IN"
    " (SELECT max(number) FROM alerts GROUP BY dedup_key) ORDER BY number"
)
_REVIVE: Final = (
    "UPDATE alert_deliveries SET state = 'waiting', due_at = ?, attempts = 0"
    " WHERE number = ? AND state = 'dead'"
)
_EXPIRE: Final = "DELETE FROM alert_deliveries WHERE created_at < ? AND state <> 'waiting'"
#: what still fires stays, however old
_EXPIRE_ALERTS: Final = (
    "DELETE FROM alerts WHERE at < ? AND message_id IS NOT NULL AND NOT (state = 'firing'"
    " AND number IN (SELECT max(number) FROM alerts GROUP BY dedup_key))"
)


class SqliteAlertStore:
    """Alerts in the ledger's file, through a connection of their own; no path: in memory."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or _MEMORY
        if path is None:
            self._connection = sqlite3.connect(
                ":memory:", isolation_level=None, check_same_thread=False
            )
            migrate(self._connection)
        else:
            self._connection = open_writer(path)
        # One connection is shared by threads; a transaction belongs to one of them.
        self._lock = threading.Lock()

    def add(self, alerts: Iterable[Alert]) -> None:
        """Record alerts."""
        values = [
            (dump_instant(alert.at), alert.dedup_key, alert.state, _text(alert)) for alert in alerts
        ]
        with self._changing() as connection:
            connection.executemany(_ADD, values)

    def pending(self) -> list[Pending]:
        """Those in no message yet, oldest first."""
        return [Pending(number, parse_alert(text)) for number, text in self._all(_PENDING)]

    def told_since(self, instant: datetime) -> list[datetime]:
        """When the messages since an instant were made."""
        return [parse_instant(at) for (at,) in self._all(_TOLD, dump_instant(instant))]

    def tell(
        self, numbers: Sequence[int], messages: Sequence[tuple[str, Message]], now: datetime
    ) -> None:
        """Put alerts into messages, with a delivery for each channel."""
        at = dump_instant(now)
        message_id = messages[0][1].message_id if messages else "nobody"
        with self._changing() as connection:
            connection.executemany(_NAME, [(message_id, number) for number in numbers])
            connection.executemany(
                _DELIVER,
                [(one.message_id, channel, _text(one), at, at) for channel, one in messages],
            )

    def heads(self) -> list[Delivery]:
        """For each channel the delivery that is first in line."""
        return [_delivery(row) for row in self._all(_HEADS)]

    def ended(self, number: int, verdict: Verdict, due_at: datetime) -> None:
        """How an attempt went."""
        state = "waiting" if verdict.state == "again" else verdict.state
        with self._changing() as connection:
            connection.execute(_END, (state, dump_instant(due_at), verdict.why, number))

    def firing(self) -> list[Alert]:
        """What began and has not ended; what never ends is not among it."""
        return [alert for (text,) in self._all(_FIRING) if (alert := parse_alert(text)).ends]

    def deliveries(self, state: DeliveryState) -> list[Delivery]:
        """All deliveries in a state, oldest first."""
        rows = self._all(f"{_DELIVERY} WHERE state = ? ORDER BY number", state)
        return [_delivery(row) for row in rows]

    def revive(self, numbers: Sequence[int], now: datetime) -> int:
        """Let dead deliveries wait again; how many."""
        at = dump_instant(now)
        with self._changing() as connection:
            return sum(connection.execute(_REVIVE, (at, number)).rowcount for number in numbers)

    def expire(self, before: datetime) -> int:
        """Forget what was delivered or given up before; how many deliveries."""
        at = dump_instant(before)
        with self._changing() as connection:
            connection.execute(_EXPIRE_ALERTS, (at,))
            return connection.execute(_EXPIRE, (at,)).rowcount

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    def _all(self, text: str, *values: str) -> list[Any]:
        with self._lock, translated(self._path):
            return self._connection.execute(text, values).fetchall()

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, translated(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:  # whatever it was, no half of a change may stay
                self._connection.execute("ROLLBACK")
                raise


def _text(value: Alert | Message) -> str:
    return msgspec.json.encode(value).decode()


def _delivery(row: tuple[Any, ...]) -> Delivery:
    number, channel, message, state, created_at, due_at, attempts, why = row
    return Delivery(
        number=number,
        channel=channel,
        message=parse_message(message),
        state=state,
        created_at=parse_instant(created_at),
        due_at=parse_instant(due_at),
        attempts=attempts,
        why=why,
    )
