"""What the database keeps of batches: one row each, from creation until nobody can read them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from farthing.core.batches import KnownBatch
from farthing.core.records import Attribution
from farthing.ledger.columns import dump_instant
from farthing.ledger.database import open_reader
from farthing.ledger.faults import translated
from farthing.ledger.reading import UnreadableRow, parse_instant

__all__ = ["read_batches", "write_batches"]

_KEEP: Final = (
    "INSERT INTO batches (batch_id, created_at, exchange_id, attribution, scope, ending, ended_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (batch_id)"
    " DO UPDATE SET ending = excluded.ending, ended_at = excluded.ended_at"
    # what is booked stays so, whichever line of a journal is read back last
    " WHERE batches.ending IS NOT 'booked'"
)
_encoder: Final = msgspec.json.Encoder()
_attribution: Final = msgspec.json.Decoder(Attribution)


def write_batches(connection: sqlite3.Connection, batches: Iterable[KnownBatch]) -> None:
    """Record batches, within the caller's transaction; a batch that is on record may only end."""
    connection.executemany(_KEEP, (_values(batch) for batch in batches))


def read_batches(path: Path, *, created_from: datetime) -> list[KnownBatch]:
    """The batches created since, oldest first."""
    with closing(open_reader(path)) as reader, translated(path):
        found = reader.execute(
            "SELECT * FROM batches WHERE created_at >= ? ORDER BY created_at, batch_id",
            (dump_instant(created_from),),
        )
        return [_batch(row) for row in found]


def _values(batch: KnownBatch) -> tuple[str | None, ...]:
    return (
        batch.batch_id,
        dump_instant(batch.created_at),
        batch.exchange_id,
        _encoder.encode(batch.attribution).decode(),
        batch.scope,
        batch.ending,
        None if batch.ended_at is None else dump_instant(batch.ended_at),
    )


def _batch(row: sqlite3.Row) -> KnownBatch:
    try:
        return KnownBatch(
            batch_id=row["batch_id"],
            created_at=parse_instant(row["created_at"]),
            exchange_id=row["exchange_id"],
            attribution=_attribution.decode(row["attribution"]),
            scope=row["scope"],
            ending=row["ending"],
            ended_at=None if row["ended_at"] is None else parse_instant(row["ended_at"]),
        )
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise UnreadableRow(
            f"batch {row['batch_id']!r} of the ledger cannot be read ({error}): "
            "it was changed by another program; run `farthing ledger check`"
        ) from error
