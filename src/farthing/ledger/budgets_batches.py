"""What batches hold in budgets: in the accounts while a process lives, in a table beyond that.

Theory of operation. The settlement of a batch's creation carries ``BatchRows``. In the step that
ends the creation's own hold, ``BatchHolds`` takes its place with one hold per key; so nothing is
held twice, and nothing for a moment not at all. The table gets the rows in the transaction of that
settlement. From then on each item that is booked lowers the holds of its keys, and a batch that is
over ends the rest.

After a restart the holds are those of the table without the rows that are booked, which the
exchanges say. So there is no second record of progress that could disagree.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

import msgspec

from farthing.core.batch_holds import BatchHold, BatchRows
from farthing.core.batches import RESULTS_KEPT
from farthing.core.budgets_account import Account
from farthing.ledger.changes import Change
from farthing.ledger.columns import dump_instant

__all__ = ["BatchHolds", "held_by_batches", "read_batch_holds", "write_batch_holds"]

_KEEP: Final = (
    "INSERT INTO batch_holds (batch_id, created_at, held) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
)
_END: Final = "DELETE FROM batch_holds WHERE batch_id = ?"
_HELD: Final = "SELECT held FROM batch_holds ORDER BY created_at, batch_id"
#: ``;`` is the character behind ``:``
_BOOKED: Final = (
    "SELECT substr(exchange_id, ?) FROM exchanges"
    " WHERE exchange_id > ? AND exchange_id < ? AND state = 'settled'"
)
_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(BatchRows)


class BatchHolds:
    """The holds of batches in the accounts of one process; the ledger's lock guards it."""

    def __init__(self, account: Callable[[str], Account]) -> None:
        self._account = account
        self._holds: dict[str, BatchHold] = {}

    def rows(self) -> list[BatchRows]:
        """Of the batches that hold something."""
        return [hold.rows for hold in self._holds.values()]

    def take(self, rows: BatchRows, booked: Iterable[str] = ()) -> None:
        """The rows of a batch hold from here on, but for those that are booked."""
        if rows.batch_id in self._holds:
            return
        hold = BatchHold(rows)
        for custom_id in booked:
            hold.book(custom_id)
        if hold.is_over:
            return
        self._holds[rows.batch_id] = hold
        for key, amount in hold.held().items():
            self._account(key).hold(_name(rows.batch_id), amount, amount)

    def booked(self, exchange_id: str) -> None:
        """The result of an item is booked: its part of the hold ends."""
        batch_id, _, custom_id = exchange_id.partition(":")
        hold = self._holds.get(batch_id)
        if hold is not None:
            self._lower(batch_id, hold.book(custom_id))
            if hold.is_over:
                self.end(batch_id)

    def counted(self, batch_id: str, succeeded: int) -> None:
        """A batch has ended, and only so many of its rows cost anything."""
        hold = self._holds.get(batch_id)
        if hold is not None:
            self._lower(batch_id, hold.succeeded(succeeded))

    def end(self, batch_id: str) -> None:
        """Nothing of a batch will be booked any more."""
        hold = self._holds.pop(batch_id, None)
        for key in () if hold is None else hold.held():
            self._account(key).release(_name(batch_id))

    def expire(self, now: datetime) -> None:
        """End those whose results can no longer be read."""
        for rows in self.rows():
            if now - rows.created_at >= RESULTS_KEPT:
                self.end(rows.batch_id)

    def _lower(self, batch_id: str, held: dict[str, int]) -> None:
        for key, amount in held.items():
            self._account(key).lower(_name(batch_id), amount)


def write_batch_holds(connection: sqlite3.Connection, changes: Iterable[Change]) -> None:
    """Record what batches hold, and that they hold nothing more, in the caller's transaction."""
    for change in changes:
        rows = None if change.settlement is None else change.settlement.batch
        if rows is not None:
            held = _encoder.encode(rows).decode()
            connection.execute(_KEEP, (rows.batch_id, dump_instant(rows.created_at), held))
        if change.batch is not None and change.batch.ending is not None:
            connection.execute(_END, (change.batch.batch_id,))


def read_batch_holds(connection: sqlite3.Connection) -> list[tuple[BatchRows, list[str]]]:
    """What is on record, with the names of the rows that are booked."""
    found = [_decoder.decode(held) for (held,) in connection.execute(_HELD).fetchall()]
    return [(rows, _booked(connection, rows.batch_id)) for rows in found]


def held_by_batches(connection: sqlite3.Connection, now: datetime) -> dict[str, int]:
    """What the rows of batches hold under each key, as far as it is on record."""
    found = dict[str, int]()
    for rows, booked in read_batch_holds(connection):
        if now - rows.created_at >= RESULTS_KEPT:
            continue
        hold = BatchHold(rows)
        for custom_id in booked:
            hold.book(custom_id)
        for key, amount in hold.held().items():
            found[key] = found.get(key, 0) + amount
    return {key: amount for key, amount in found.items() if amount}


def _booked(connection: sqlite3.Connection, batch_id: str) -> list[str]:
    words = (len(batch_id) + 2, f"{batch_id}:", f"{batch_id};")
    return [custom_id for (custom_id,) in connection.execute(_BOOKED, words).fetchall()]


def _name(batch_id: str) -> str:
    """What its holds are called in an account."""
    return f"batch:{batch_id}"
