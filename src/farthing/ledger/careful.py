"""A change that cannot be applied must not keep the others from being applied: it is set aside."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from farthing.errors import LedgerError
from farthing.ledger.applying import apply
from farthing.ledger.changes import Change, dump_change
from farthing.ledger.faults import translated
from farthing.ledger.reading import UnreadableRow

__all__ = ["apply_carefully", "rejected_path", "set_aside"]

_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND
_MODE: Final = 0o600

_logger = logging.getLogger(__name__)


def apply_carefully(
    connection: sqlite3.Connection, changes: Sequence[Change], database: Path
) -> None:
    """Apply a batch; where one of its changes is at fault, apply the others one by one.

    ``LedgerError`` where the storage is at fault: then nothing is set aside, and the batch can be
    applied again as a whole, because a change that is applied twice is applied once.
    """
    if _fault(connection, changes, database) is None:
        return
    for change in changes:
        fault = _fault(connection, [change], database)
        if fault is not None:
            why = type(fault).__name__
            set_aside(dump_change(change), why, database, exchange_id=change.exchange_id)


def rejected_path(database: Path) -> Path:
    """Where changes go that could not be applied, as lines of the journal."""
    return database.with_name(f"{database.name}.rejected")


def set_aside(line: bytes, why: str, database: Path, *, exchange_id: str | None) -> None:
    """Keep a line of the journal that cannot become a row, and say so."""
    with translated(database):
        file = os.open(rejected_path(database), _FLAGS, _MODE)
        try:
            os.write(file, line)
        finally:
            os.close(file)
    _logger.error(
        "a change of exchange %s cannot be applied (%s); kept in %s, please report it",
        exchange_id,
        why,
        rejected_path(database).name,
        extra={"action": "ledger.rejected", "exchange_id": exchange_id},
    )


def _fault(
    connection: sqlite3.Connection, changes: Sequence[Change], database: Path
) -> Exception | None:
    try:
        with translated(database):
            apply(connection, changes)
    except UnreadableRow as error:
        return error
    except LedgerError:
        raise
    except Exception as error:  # noqa: BLE001 -- protects all other rows from our mistake in one
        return error
    return None
