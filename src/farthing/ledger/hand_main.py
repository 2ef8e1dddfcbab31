"""The process that writes a ledger's database for another: ``python -m farthing.ledger.hand_main``.

Theory of operation. It reads a batch from standard input, applies it in one transaction, replies on
standard output, and ends when its input does: when the ledger was closed, or its process is gone.
Then it first finishes the batch it has. It holds the ledger's file lock together with its parent,
so nobody else opens the ledger before it is done. Ctrl-C and SIGTERM are for the parent, which has
calls to drain and rows to write; here they mean nothing.

Losing this process loses nothing: what it had not replied to stays queued and journaled in the
parent, and a change that is applied twice is applied once.
"""

from __future__ import annotations

import gc
import logging
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from farthing.errors import LedgerError
from farthing.ledger.database import open_writer
from farthing.ledger.hand_frames import Remark, Reply, dump_reply, read_frame, write_frame
from farthing.ledger.scribe import Scribe
from farthing.ledger.writer import fault_of

__all__ = ["main"]

#: a batch leaves no cycles behind, but many objects
_GC_THRESHOLD: Final = 50_000


class _Remarks(logging.Handler):
    """Collects what the code under it logs, for the parent."""

    def __init__(self) -> None:
        super().__init__()
        self._made = list[Remark]()

    def emit(self, record: logging.LogRecord) -> None:
        facts = {name: getattr(record, name, None) for name in ("action", "exchange_id")}
        made = Remark(
            logger=record.name, level=record.levelno, text=record.getMessage(), facts=facts
        )
        self._made.append(made)

    def taken(self) -> tuple[Remark, ...]:
        """What has come together since last time."""
        made, self._made = self._made, []
        return tuple(made)


class _Database:
    """The database behind its scribe; opened with the first batch."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._scribe: Scribe | None = None

    def apply(self, lines: Sequence[bytes]) -> None:
        """Bring a batch into the database."""
        if self._scribe is None:
            self._scribe = Scribe(open_writer(self._path), self._path)
        self._scribe.apply(lines)

    def close(self) -> None:
        """Let go of it."""
        if self._scribe is not None:
            self._scribe.connection.close()


def main(arguments: Sequence[str]) -> int:
    """Write for the parent until it ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, *gc.get_threshold()[1:])
    remarks = _Remarks()
    logging.getLogger("farthing").addHandler(remarks)
    database = _Database(Path(arguments[0]))
    try:
        _work(database, remarks)
    finally:
        database.close()
    return 0


def _work(database: _Database, remarks: _Remarks) -> None:
    given, replies = _raw(0, "rb"), _raw(1, "wb")
    while (lines := read_frame(given)) is not None:
        reply = _reply(database, lines.splitlines(keepends=True), remarks)
        with suppress(BrokenPipeError):  # the parent is gone: what it gave is in the database
            write_frame(replies, dump_reply(reply))


def _reply(database: _Database, lines: Sequence[bytes], remarks: _Remarks) -> Reply:
    try:
        database.apply(lines)
    except Exception as error:  # noqa: BLE001 -- the process's main: it must survive our mistakes
        fault = fault_of(error)
        return Reply(
            fault=str(fault),
            is_ours=not isinstance(fault, LedgerError),
            remarks=remarks.taken(),
        )
    return Reply(remarks=remarks.taken())


def _raw(number: int, mode: str) -> BinaryIO:
    return open(number, mode, buffering=0, closefd=False)  # type: ignore[return-value]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
