"""Lineage pins and learned tables, in memory and in SQLite: ``driver.pins.PinStore`` twice.

Theory of operation. A pin is written once per lineage, and read once per process and lineage, so
both go straight to the database: one small transaction in WAL mode, without a sync. Its loss in a
crash of the machine is harmless by design (a lost pin leaves the lineage's content as the client
sends it). ``used_at`` is renewed at most once an hour, so that asking for a pin does not write.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from farthing.core.pins import LineagePin
from farthing.driver.pins import LearnedTable
from farthing.ledger.columns import dump_instant
from farthing.ledger.database import open_writer
from farthing.ledger.faults import translated

__all__ = ["MemoryPins", "SqlitePins"]

_RENEW_AFTER: Final = timedelta(hours=1)

#: the first of an epoch wins; only the next epoch takes its place
_KEEP: Final = (
    "INSERT INTO lineage_pins (lineage_id, epoch, chosen_at, used_at, pin) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (lineage_id) DO UPDATE SET epoch = excluded.epoch,"
    " chosen_at = excluded.chosen_at, used_at = excluded.used_at, pin = excluded.pin"
    " WHERE lineage_pins.epoch = excluded.epoch - 1"
)
_PIN: Final = "SELECT pin, used_at FROM lineage_pins WHERE lineage_id = ?"
_TOUCH: Final = "UPDATE lineage_pins SET used_at = ? WHERE lineage_id = ? AND used_at < ?"
_EXPIRE: Final = "DELETE FROM lineage_pins WHERE used_at < ?"
_TABLE: Final = "SELECT version, saved_at, body FROM learned_tables WHERE name = ?"
_INSERT_TABLE: Final = (
    "INSERT INTO learned_tables (name, version, saved_at, body) VALUES (?, 1, ?, ?)"
    " ON CONFLICT (name) DO NOTHING"
)
_SAVE_TABLE: Final = (
    "UPDATE learned_tables SET version = version + 1, saved_at = ?, body = ?"
    " WHERE name = ? AND version = ?"
)


class MemoryPins:
    """Pins that live as long as the process: for tests, and for runs that want no file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # a store is shared by the threads of a sync client
        self._pins: dict[str, tuple[LineagePin, datetime]] = {}
        self._tables: dict[str, LearnedTable] = {}

    def pin(self, lineage_id: str, now: datetime) -> LineagePin | None:
        """The pin of a lineage, or None; a pin that is asked for does not expire."""
        with self._lock:
            found = self._pins.get(lineage_id)
            if found is None:
                return None
            self._pins[lineage_id] = found[0], max(found[1], now)
            return found[0]

    def keep(self, pin: LineagePin, now: datetime) -> LineagePin:
        """Record a pin where there is none or the epoch before; what is on record afterwards."""
        with self._lock:
            found = self._pins.get(pin.lineage_id)
            if found is not None and found[0].epoch != pin.epoch - 1:
                return found[0]
            self._pins[pin.lineage_id] = pin, now
            return pin

    def expire(self, unused_since: datetime) -> int:
        """Forget pins that nobody asked for since; how many."""
        with self._lock:
            kept = {id_: row for id_, row in self._pins.items() if row[1] >= unused_since}
            gone = len(self._pins) - len(kept)
            self._pins = kept
            return gone

    def table(self, name: str) -> LearnedTable | None:
        """A learned table, or None."""
        with self._lock:
            return self._tables.get(name)

    def save_table(self, name: str, body: bytes, *, based_on: int, now: datetime) -> bool:
        """Save a table made from version ``based_on``; False: another was saved in between."""
        with self._lock:
            before = self._tables.get(name)
            if based_on != (before.version if before else 0):
                return False
            table = LearnedTable(name=name, version=based_on + 1, saved_at=now, body=body)
            self._tables[name] = table
            return True

    def close(self) -> None:
        """Nothing to let go of."""


class SqlitePins:
    """Pins in the ledger's file, through a connection of their own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_writer(path)
        # One connection is shared by threads; a statement and what it answers belong together.
        self._lock = threading.Lock()

    def pin(self, lineage_id: str, now: datetime) -> LineagePin | None:
        """The pin of a lineage, or None; a pin that is asked for does not expire."""
        with self._lock, translated(self._path):
            row = self._connection.execute(_PIN, (lineage_id,)).fetchone()
            if row is None:
                return None
            due = dump_instant(now - _RENEW_AFTER)
            if row[1] < due:
                self._connection.execute(_TOUCH, (dump_instant(now), lineage_id, due))
        return LineagePin.parse(row[0])

    def keep(self, pin: LineagePin, now: datetime) -> LineagePin:
        """Record a pin where there is none or the epoch before; what is on record afterwards."""
        values = (pin.lineage_id, pin.epoch, dump_instant(pin.chosen_at), dump_instant(now))
        text = pin.dump().decode()
        with self._lock, translated(self._path):
            self._connection.execute(_KEEP, (*values, text))
            (kept, _) = self._connection.execute(_PIN, (pin.lineage_id,)).fetchone()
        return pin if kept == text else LineagePin.parse(kept)

    def expire(self, unused_since: datetime) -> int:
        """Forget pins that nobody asked for since; how many."""
        with self._lock, translated(self._path):
            return self._connection.execute(_EXPIRE, (dump_instant(unused_since),)).rowcount

    def table(self, name: str) -> LearnedTable | None:
        """A learned table, or None."""
        with self._lock, translated(self._path):
            row = self._connection.execute(_TABLE, (name,)).fetchone()
        if row is None:
            return None
        saved_at = datetime.fromisoformat(row[1])
        return LearnedTable(name=name, version=row[0], saved_at=saved_at, body=row[2])

    def save_table(self, name: str, body: bytes, *, based_on: int, now: datetime) -> bool:
        """Save a table made from version ``based_on``; False: another was saved in between."""
        with self._lock, translated(self._path):
            if not based_on:
                values: tuple[object, ...] = (name, dump_instant(now), body)
                return self._connection.execute(_INSERT_TABLE, values).rowcount == 1
            values = (dump_instant(now), body, name, based_on)
            return self._connection.execute(_SAVE_TABLE, values).rowcount == 1

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()
