"""Reading files line by line: plain or gzip, bounded memory, damage counted and not raised."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from farthing.traces.problems import Problems

__all__ = ["MAX_LINE_BYTES", "count_bytes", "first_lines", "open_bytes", "read_lines"]

#: a line of a transcript can hold a file of some megabytes, an image or two; not more than this
MAX_LINE_BYTES: Final = 64 * 1024 * 1024

_GZIP_MAGIC: Final = b"\x1f\x8b"
_BUFFER_BYTES: Final = 256 * 1024
_SNIFF_BYTES: Final = 32 * 1024


@contextmanager
def open_bytes(path: Path, buffer_bytes: int = _BUFFER_BYTES) -> Iterator[BinaryIO]:
    """The file's bytes, decompressed if its content (not its name) says gzip."""
    with path.open("rb", buffering=buffer_bytes) as file:
        # every buffered file can peek; the stubs of BinaryIO do not know it
        if cast("io.BufferedReader", file).peek(2)[:2] != _GZIP_MAGIC:
            yield file
            return
        # no larger buffer around it: that would lose what was read before a damaged place
        with gzip.GzipFile(fileobj=file) as plain:
            yield cast("BinaryIO", plain)


def read_lines(
    path: Path,
    problems: Problems,
    limit: int = MAX_LINE_BYTES,
    buffer_bytes: int = _BUFFER_BYTES,
) -> Iterator[bytes]:
    """The non-empty lines of a file, without their ends; what cannot be read is noted."""
    try:
        with open_bytes(path, buffer_bytes) as file:
            yield from _lines(file, str(path), problems, limit)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        problems.note("cut", str(path))
    except OSError:
        problems.note("unreadable", str(path))


def first_lines(path: Path, count: int, limit: int = MAX_LINE_BYTES) -> list[bytes]:
    """The first non-empty lines, for telling formats apart; [] where nothing can be read."""
    lines: list[bytes] = []
    for line in read_lines(path, Problems(), limit, _SNIFF_BYTES):
        lines.append(line)
        if len(lines) >= count:
            break
    return lines


def count_bytes(path: Path) -> int:
    """The size on disk, 0 where it cannot be known."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _lines(file: BinaryIO, where: str, problems: Problems, limit: int) -> Iterator[bytes]:
    while line := file.readline(limit):
        if len(line) >= limit and not line.endswith(b"\n"):
            problems.note("oversized", where)
            _skip_line(file, limit)
            continue
        stripped = line.strip()
        if stripped:
            yield stripped


def _skip_line(file: BinaryIO, limit: int) -> None:
    while rest := file.readline(limit):
        if rest.endswith(b"\n"):
            return
