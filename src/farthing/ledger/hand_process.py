"""A child process that writes the database, as the ledger's own process sees it.

Theory of operation. The child is started at once, so that it has imported what it needs by the time
the first batch is due. A batch goes to it as the journal's lines, in one frame; the writer's thread
then waits in a read, without the interpreter. A child that died (killed, out of memory) is a fault
of that batch, which stays queued; the next try starts another. What is logged there is logged here.

The child inherits the ledger's file lock: if this process is killed while a commit is under way,
the next one waits until it is over. It is in a group of its own, so Ctrl-C does not reach it.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import msgspec

from farthing.errors import EngineBug, LedgerError
from farthing.ledger.hand_frames import Reply, parse_reply, read_frame, write_frame
from farthing.ledger.lock import ProcessLock

__all__ = ["ChildHand"]

_MODULE: Final = "farthing.ledger.hand_main"
#: a batch under load; where the system does not allow it, it goes in more pieces
_PIPE_BYTES: Final = 2**20
#: for a child that has nothing left to do
_END_SECONDS: Final = 5.0

_logger = logging.getLogger(__name__)


class ChildHand:
    """Has batches applied by a process of its own."""

    def __init__(self, path: Path, lock: ProcessLock) -> None:
        self._path = path
        self._lock = lock
        self._child: subprocess.Popen[bytes] | None = self._start()

    @property
    def pid(self) -> int | None:
        """The child's process id; None while there is none."""
        return None if self._child is None else self._child.pid

    def apply(self, lines: Sequence[bytes]) -> None:
        """Return once a batch is in the database."""
        if self._child is None or self._child.poll() is not None:
            self._drop()
            self._child = self._start()
        reply = self._ask(self._child, b"".join(lines))
        for remark in reply.remarks:
            logging.getLogger(remark.logger).log(
                remark.level, "%s", remark.text, extra=dict(remark.facts)
            )
        if reply.fault is not None:
            raise (EngineBug if reply.is_ours else LedgerError)(reply.fault)

    def close(self) -> None:
        """Let the child end and wait for it."""
        self._drop()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", _MODULE, str(self._path.absolute())]
        is_windows = sys.platform == "win32"
        try:
            return subprocess.Popen(  # noqa: S603 -- our own module
                command,
                bufsize=0,
                pipesize=_PIPE_BYTES,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=() if is_windows else (self._lock.fileno(),),
                start_new_session=not is_windows,
            )
        except OSError as error:
            raise LedgerError(
                f"ledger {str(self._path)!r}: the process that writes it cannot be started "
                f"({error.strerror}): see whether memory or the number of processes ran out"
            ) from error

    def _ask(self, child: subprocess.Popen[bytes], lines: bytes) -> Reply:
        answer = None
        with suppress(OSError, msgspec.MsgspecError):
            write_frame(_open(child.stdin), lines)
            answer = read_frame(_open(child.stdout))
            if answer is not None:
                return parse_reply(answer)
        child.kill()  # it is gone, or says nothing that can be understood
        status = child.wait()
        raise LedgerError(
            f"ledger {str(self._path)!r}: the process that writes it ended (status {status}); "
            "another is started: if that happens again, see whether memory ran out"
        )

    def _drop(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        for file in (child.stdin, child.stdout):
            _open(file).close()
        try:
            child.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _open(file: IO[bytes] | None) -> IO[bytes]:
    assert file is not None  # both were asked for
    return file
