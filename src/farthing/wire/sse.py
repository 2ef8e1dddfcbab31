"""Server-sent events: bytes in, events out, whatever the borders of the chunks.

Theory of operation. The stream is a sequence of lines ended by LF, CRLF or CR; a blank line ends an
event (WHATWG HTML, section 9.2 "Server-sent events", read 2026-11). ``feed`` cuts the bytes into
lines and keeps the unfinished one; ``_field`` adds a line to the event at hand; a blank line hands
the event out. Only an event's name is decoded, and a border inside a UTF-8 sequence cannot hurt:
such a sequence contains no line end.

A reader that wants few kinds of events says so (``only``). Then the data of an event known to be
another kind is dropped as it arrives, and a chunk of whole events in which no wanted name occurs is
not even cut into lines: in a stream of text deltas that is nearly every chunk.

Rules of this file: it knows nothing of Claude; it imports nothing of farthing (the emulator uses
it too); memory is bounded by ``max_event_bytes``, and an event beyond it is left out and counted,
not an error, because the stream itself must flow on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["MAX_EVENT_BYTES", "SseEvent", "SseParser", "encode_event"]

#: Far above what the Claude API sends in one event (a web search result, a compaction summary:
#: some 100 KB), far below what hurts a gateway with many streams.
MAX_EVENT_BYTES = 16 * 1024 * 1024

#: A line longer than this names no event that anybody asked for.
_LONGEST_NAME_LINE_BYTES = 256

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One event; ``name`` is empty where the stream gave none."""

    name: str
    data: bytes


class SseParser:
    """Cuts a stream into events; one instance per stream."""

    def __init__(
        self, *, only: Iterable[str] | None = None, max_event_bytes: int = MAX_EVENT_BYTES
    ) -> None:
        self._only = None if only is None else tuple(name.encode() for name in only)
        self._max_event_bytes = max_event_bytes
        #: events left out because they were larger than ``max_event_bytes``
        self.oversized_events = 0
        # per stream
        self._at_start = True
        self._after_cr = False
        # per line: what has come of an unfinished one
        self._pieces: list[bytes] = []
        self._skips_line = False
        # per event
        self._name = b""
        self._data: list[bytes] = []
        self._held_bytes = 0
        self._is_oversized = False

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events that this chunk completes."""
        if self._only is not None and self._is_dull(chunk, self._only):
            self._name = b""
            self._held_bytes = 0
            self._skips_line = False
            return []
        events: list[SseEvent] = []
        for line in self._lines(chunk):
            if line:
                self._field(line)
            else:
                self._end_event(events)
        return events

    def _is_dull(self, chunk: bytes, only: tuple[bytes, ...]) -> bool:
        """Does this chunk end an unwanted event, and contain at most whole unwanted ones?

        A wanted name inside some other event's text costs the short cut, never an event.
        """
        if self._pieces or self._data or self._is_oversized or self._name in only:
            return False
        if self._at_start or self._after_cr or b"\r" in chunk or not chunk.endswith(b"\n\n"):
            return False
        for name in only:  # noqa: SIM110  asked for each chunk: a generator costs as much again
            if name in chunk:
                return False
        return True

    # -- lines

    def _lines(self, chunk: bytes) -> Iterator[bytes]:
        """The lines this chunk completes, without their ends; the rest is kept."""
        if not chunk:
            return
        if self._after_cr:
            # a CRLF cut in two: the CR has already ended the line
            chunk = chunk.removeprefix(b"\n")
        self._after_cr = chunk.endswith(b"\r")
        for line in chunk.splitlines(keepends=True):
            if not line.endswith((b"\n", b"\r")):
                self._keep(line)
            elif not self._skips_line:
                yield self._whole(line.rstrip(b"\r\n"))
            else:
                self._skips_line = False

    def _keep(self, piece: bytes) -> None:
        """Keep the unfinished line, as far as somebody may want it."""
        if self._skips_line:
            return
        self._pieces.append(piece)
        self._held_bytes += len(piece)
        if self._is_unwanted() and self._held_bytes > _LONGEST_NAME_LINE_BYTES:
            self._skip_line()
        elif self._held_bytes > self._max_event_bytes:
            self._is_oversized = True
            self._data.clear()
            self._skip_line()

    def _skip_line(self) -> None:
        self._skips_line = True
        self._pieces.clear()
        self._held_bytes = 0

    def _whole(self, end: bytes) -> bytes:
        """The line that ``end`` finishes."""
        line = end
        if self._pieces:
            line = b"".join((*self._pieces, end))
            self._held_bytes -= len(line) - len(end)
            self._pieces.clear()
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        return line

    # -- events

    def _is_unwanted(self) -> bool:
        """Is the event at hand known to be none that was asked for?"""
        return self._only is not None and self._name != b"" and self._name not in self._only

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"event":
            self._name = value.removeprefix(b" ")
            if self._is_unwanted():
                self._data.clear()
                self._held_bytes = 0
        elif name == b"data" and not self._is_oversized and not self._is_unwanted():
            self._hold(value.removeprefix(b" "))
        # comments (no name before the colon), ids, retry times and unknown fields mean nothing here

    def _hold(self, value: bytes) -> None:
        # the line end counts, or a million empty data lines would weigh nothing
        self._held_bytes += len(value) + 1
        if self._held_bytes > self._max_event_bytes:
            self._is_oversized = True
            self._data.clear()
            self._held_bytes = 0
        else:
            self._data.append(value)

    def _end_event(self, events: list[SseEvent]) -> None:
        if self._only is None or self._name in self._only:
            self.oversized_events += self._is_oversized
            if self._data:
                name = self._name.decode("utf-8", "replace")
                events.append(SseEvent(name, b"\n".join(self._data)))
        self._start_event()

    def _start_event(self) -> None:
        self._name = b""
        self._data.clear()
        self._held_bytes = 0
        self._is_oversized = False


def encode_event(name: str, data: bytes) -> bytes:
    """One event as the Claude API writes it; an empty name is left out.

    The format cannot carry a CR in ``data``; JSON never contains one unescaped.
    """
    head = b"event: %b\n" % name.encode() if name else b""
    lines = b"".join(b"data: %b\n" % line for line in data.split(b"\n"))
    return b"%b%b\n" % (head, lines)
