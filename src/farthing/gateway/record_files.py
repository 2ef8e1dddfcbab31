"""Trace files of recorded traffic: rotated by size, capped in total, readable by their owner only.

A file is called ``….part`` until it is complete (``farthing.traces.codec``), so a reader of the
folder never meets half of one. When all files together exceed the cap the oldest go; what a killed
gateway left incomplete counts among them. One gateway records into a folder at a time.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from farthing.errors import ConfigError
from farthing.traces.codec import TraceWriter
from farthing.traces.format import Conversation

__all__ = ["ROTATE_BYTES", "RecordFiles"]

#: a file this large before compression is complete
ROTATE_BYTES: Final = 64 * 1024 * 1024

_NAME: Final = "recorded-{stamp}-{number:04}.jsonl.gz"
_GLOB: Final = "recorded-*.jsonl.gz"
_PART: Final = ".part"


class RecordFiles:
    """Where recorded conversations go."""

    def __init__(
        self,
        folder: Path,
        *,
        redaction: str,
        cap_bytes: int,
        writer: str,
        rotate_bytes: int = ROTATE_BYTES,
    ) -> None:
        self._folder = folder
        self._redaction = redaction
        self._rotate_bytes = rotate_bytes
        self._cap_bytes = cap_bytes
        self._writer_name = writer
        self._open: TraceWriter | None = None
        self._written_bytes = 0
        self._number = 0
        #: begun by a gateway that was killed
        self._left: tuple[Path, ...] = ()
        self._open_folder()

    def write(self, conversation: Conversation, size_bytes: int, now: datetime) -> None:
        """Append one conversation; ``size_bytes``: about how large it is before compression."""
        if self._open is None:
            self._open = self._create(now)
        try:
            self._open.write(conversation)
        except OSError:
            self._open = None  # what comes behind half a conversation could not be read
            raise
        self._written_bytes += size_bytes
        if self._written_bytes >= self._rotate_bytes:
            self.close()

    def close(self) -> None:
        """Complete the file at hand; if that fails, the next conversation begins another."""
        done, self._open, self._written_bytes = self._open, None, 0
        if done is not None:
            done.close()
            self._drop_oldest()

    def _open_folder(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._left = tuple(self._folder.glob(_GLOB + _PART))
            self._drop_oldest()
        except OSError as error:
            raise ConfigError(
                f"cannot record into the folder {str(self._folder)!r}: {error.strerror}"
            ) from error

    def _create(self, now: datetime) -> TraceWriter:
        path = self._free_path(now.strftime("%Y%m%dT%H%M%S"))
        writer = TraceWriter(path, redaction=self._redaction, writer=self._writer_name)
        _part(path).chmod(0o600)
        return writer

    def _free_path(self, stamp: str) -> Path:
        """A name that no gateway has used, not even one that ended within this second."""
        while True:
            self._number += 1
            path = self._folder / _NAME.format(stamp=stamp, number=self._number)
            if not path.exists() and not _part(path).exists():
                return path

    def _drop_oldest(self) -> None:
        left = (file for file in self._left if file.exists())
        files = sorted([*self._folder.glob(_GLOB), *left])  # names sort by time
        total = sum(file.stat().st_size for file in files)
        for file in files[:-1]:
            if total <= self._cap_bytes:
                return
            total -= file.stat().st_size
            file.unlink()


def _part(path: Path) -> Path:
    """What a file is called until it is complete."""
    return path.with_name(path.name + _PART)
