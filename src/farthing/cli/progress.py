"""A progress bar for what takes over a second: on stderr, and only if a person looks at it."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Final, Self, TextIO

__all__ = ["ProgressBar"]

_REDRAW_SECONDS: Final = 0.1
_WIDTH: Final = 30


class ProgressBar:
    """Draws ``label [####----] 42 %`` after the first second; leaves nothing behind."""

    def __init__(
        self, label: str, stream: TextIO | None = None, *, quiet_seconds: float = 1.0
    ) -> None:
        self._label = label
        self._quiet_seconds = quiet_seconds
        self._stream = stream or sys.stderr
        self._shown = False
        self._started = time.monotonic()
        self._due = 0.0
        self._wanted = self._stream.isatty()

    def update(self, done: float, total: float) -> None:
        """Say how far it is; cheap to call often."""
        if not self._wanted:
            return
        now = time.monotonic()
        if now - self._started < self._quiet_seconds or now < self._due:
            return
        self._due, self._shown = now + _REDRAW_SECONDS, True
        ratio = min(1.0, done / total) if total else 1.0
        full = int(_WIDTH * ratio)
        bar = "#" * full + "-" * (_WIDTH - full)
        self._stream.write(f"\r{self._label} [{bar}] {ratio:4.0%}")
        self._stream.flush()

    def close(self) -> None:
        """Wipe the line."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
