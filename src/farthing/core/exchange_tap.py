"""The tap: looks at an answer's bytes while they flow by, and never stands in their way.

Rules of this file: feeding never raises and never keeps the body. Whoever relays feeds each chunk
and passes the chunk itself on; what the tap thinks of it has no way back.
"""

from __future__ import annotations

from typing import Final, Protocol

from farthing.errors import UpstreamError
from farthing.wire.answers import BatchResult, batch_result
from farthing.wire.meter import StreamMeter

__all__ = ["NOTHING_SEEN", "BatchLines", "Decoder", "Tap", "Watch"]

#: results waiting to be booked before the relay pauses for it
_PENDING: Final = 256
#: one result line holds one message; a longer one is passed on unread
_LONGEST_LINE: Final = 32 * 1024 * 1024


class Decoder(Protocol):
    """Undoes one content encoding for the tap; the client gets the bytes as they came."""

    def decode(self, chunk: bytes) -> bytes:
        """The plain bytes of the next chunk; ``ValueError`` where it is no such encoding."""


class BatchLines:
    """Reads the lines of a batch's results."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._pending: list[BatchResult] = []
        #: lines that could not be read, and results that the ledger did not take
        self.unreadable = 0
        self.unbooked = 0

    @property
    def is_full(self) -> bool:
        """Is it time to ``take``?"""
        return len(self._pending) >= _PENDING

    def feed(self, chunk: bytes) -> None:
        """Read a chunk cut anywhere."""
        *complete, rest = chunk.split(b"\n")
        for line in complete:
            self._end_line(line)
        self._keep(rest)

    def finish(self) -> None:
        """The last line may lack its end."""
        self._end_line(b"")

    def take(self) -> list[BatchResult]:
        """What was read since the last time."""
        taken, self._pending = self._pending, []
        return taken

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if part and self._size <= _LONGEST_LINE:
            self._parts.append(part)

    def _end_line(self, part: bytes) -> None:
        self._keep(part)
        line, is_cut = b"".join(self._parts), self._size > _LONGEST_LINE
        self._parts, self._size = [], 0
        if not line.strip() and not is_cut:
            return
        result = None if is_cut else _result(line)
        if result is None:
            self.unreadable += 1
        else:
            self._pending.append(result)


def _result(line: bytes) -> BatchResult | None:
    try:
        return batch_result(line)
    except UpstreamError:
        return None


class Watch(Protocol):
    """Says when a stream is to be ended."""

    @property
    def is_over(self) -> bool:
        """Is it to be ended here?"""

    def feed(self, plain: bytes) -> None:
        """Look at a piece that the reader has read."""


class Tap:
    """Counts an answer's bytes and feeds them, decoded, to whoever reads its usage."""

    __slots__ = (
        "_decoder",
        "_lines",
        "_reader",
        "ended_ns",
        "first_ns",
        "is_awaited",
        "is_blind",
        "meter",
        "response_bytes",
        "watch",
    )

    def __init__(
        self, reader: StreamMeter | BatchLines | None = None, decoder: Decoder | None = None
    ) -> None:
        self._reader = reader
        self._decoder = decoder
        self._lines = reader if isinstance(reader, BatchLines) else None
        #: the meter of a streamed message
        self.meter = reader if isinstance(reader, StreamMeter) else None
        self.response_bytes = 0
        #: has an encoding defeated us; then what was read is not the whole
        self.is_blind = False
        #: does somebody wait for the first chunk; then the relay pauses behind it
        self.is_awaited = False
        #: None: whatever it costs, the stream goes on
        self.watch: Watch | None = None
        # stamped by whoever relays
        self.first_ns: int | None = None
        self.ended_ns: int | None = None

    @property
    def is_full(self) -> bool:
        """Should the relay pause: there is much to book, somebody waits, or it is to be ended?"""
        if self.is_awaited or (self._lines is not None and self._lines.is_full):
            return True
        return self.watch is not None and self.watch.is_over

    @property
    def is_overrun(self) -> bool:
        """Is the stream to be ended here?"""
        return self.watch is not None and self.watch.is_over

    @property
    def is_encoded(self) -> bool:
        """Does the client get other bytes than are read here?"""
        return self._decoder is not None

    def feed(self, chunk: bytes) -> None:
        """Look at a chunk that is passed on."""
        self.response_bytes += len(chunk)
        if self._reader is not None and not self.is_blind:
            plain = chunk if self._decoder is None else self.decoded(chunk)
            if plain:
                self._reader.feed(plain)
                if self.watch is not None:
                    self.watch.feed(plain)

    def decoded(self, chunk: bytes) -> bytes:
        """The plain bytes of a chunk; nothing from where the encoding cannot be read on."""
        if self._decoder is None:
            return chunk
        try:
            return self._decoder.decode(chunk)
        except ValueError:
            self.is_blind = True
            return b""


#: the tap of an exchange until an answer comes: nothing is ever fed to it
NOTHING_SEEN: Final = Tap()
