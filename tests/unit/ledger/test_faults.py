from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from farthing.errors import EngineBug, LedgerError
from farthing.ledger.faults import ledger_fault, translated

DATABASE = Path("state/ledger.db")


def sqlite_classes() -> list[type[sqlite3.Error]]:
    named = (getattr(sqlite3, name) for name in dir(sqlite3))
    return [c for c in named if isinstance(c, type) and issubclass(c, sqlite3.Error)]


@pytest.mark.parametrize("foreign", sqlite_classes())
def test_every_error_of_sqlite3_has_an_error_of_ours(foreign):
    assert isinstance(ledger_fault(foreign("words"), DATABASE), (LedgerError, EngineBug))


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (sqlite3.SQLITE_BUSY, "another program holds"),
        (sqlite3.SQLITE_FULL, "free space"),
        (sqlite3.SQLITE_READONLY, "write permission"),
        (sqlite3.SQLITE_CANTOPEN, "check that the folder exists"),
        (sqlite3.SQLITE_CORRUPT, "restore a backup"),
        (sqlite3.SQLITE_NOTADB, "restore a backup"),
        (sqlite3.SQLITE_IOERR_WRITE, "check the disk"),
    ],
)
def test_the_message_says_what_the_operator_can_do(code, advice):
    error = sqlite3.OperationalError("words")
    error.sqlite_errorcode = code

    fault = ledger_fault(error, DATABASE)

    assert advice in str(fault)
    assert "ledger.db" in str(fault)


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free space"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "write permission"),
        (errno.EACCES, "write permission"),
        (errno.EIO, "check the disk"),
        (errno.EMFILE, "check the disk"),
    ],
)
def test_errors_of_the_file_system_say_it_too(number, advice):
    assert advice in str(ledger_fault(OSError(number, os.strerror(number)), DATABASE))


def test_wrong_sql_is_our_bug_and_nobody_elses():
    with pytest.raises(EngineBug) as raised, translated(DATABASE):
        raise sqlite3.IntegrityError("CHECK constraint failed")

    assert isinstance(raised.value.__cause__, sqlite3.IntegrityError)
