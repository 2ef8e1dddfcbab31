"""The intent journal: what was recorded but may not be in the database yet, one line per record.

Theory of operation. A line is written with one ``os.write`` to a file opened for appending. When
that returns, the bytes are the kernel's: killing the process cannot take them back (losing the
machine's power can). The database follows, a batch at a time. A segment is deleted once everything
in it is in the database; what a dead process left is read back at the next start. Reading back is
idempotent, so a segment that was applied but not yet deleted does no harm.

Rules of this file: bytes in, bytes out, it knows nothing of what a line means; a line that has no
end was never acknowledged, so it does not count; nothing here is buffered.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["SEGMENT_BYTES", "Journal", "read_lines", "segment_path", "segments"]

#: a segment is closed beyond this; at some 900 bytes an exchange, ten thousand to read back
SEGMENT_BYTES: Final = 8 * 2**20

_MODE: Final = 0o600
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
_DIGITS: Final = 8


class Journal:
    """Appends to the newest segment. Not thread-safe: the ledger's lock orders the writers."""

    def __init__(self, database: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._database = database
        self._segment_bytes = segment_bytes
        found = segments(database)
        self._number = _number(found[-1]) if found else 0
        self._file = -1
        self._is_torn = False
        self.size = 0
        self._start_segment()

    def append(self, line: bytes) -> None:
        """Write one line, which must end in a newline and hold no other; ``OSError`` if it cannot.

        A line cut short by a full disk is closed by the next one, which then starts afresh.
        """
        data = b"\n" + line if self._is_torn else line
        while data:
            written = os.write(self._file, data)
            self._is_torn = written < len(data)
            self.size += written
            data = data[written:]

    @property
    def is_full(self) -> bool:
        """Whether it is time to ``rotate``."""
        return self.size >= self._segment_bytes

    def rotate(self) -> list[Path]:
        """Go on in a new segment; the ones before it, to be deleted once they are applied."""
        before = segments(self._database)
        self._start_segment()
        return before

    def close(self) -> None:
        """Close the file; what it holds stays."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _start_segment(self) -> None:
        path = segment_path(self._database, self._number + 1)
        file = os.open(path, _FLAGS, _MODE)
        self.close()
        self._file, self._number = file, self._number + 1
        self.size, self._is_torn = 0, False


def segments(database: Path) -> list[Path]:
    """The segments beside a database, oldest first."""
    name = re.compile(rf"{re.escape(database.name)}\.intents-\d{{{_DIGITS}}}", re.ASCII)
    try:
        return sorted(p for p in database.parent.iterdir() if name.fullmatch(p.name))
    except FileNotFoundError:
        return []


def read_lines(segment: Path) -> Iterator[bytes]:
    """The complete lines of a segment, without their ends."""
    with segment.open("rb") as file:
        for line in file:
            if line.endswith(b"\n") and len(line) > 1:
                yield line[:-1]


def segment_path(database: Path, number: int) -> Path:
    """Where a segment lies: beside the database, so that both share a disk and its permissions."""
    return database.with_name(f"{database.name}.intents-{number:0{_DIGITS}d}")


def _number(segment: Path) -> int:
    return int(segment.name[-_DIGITS:])
