"""Streaming reader and writer of traces: one conversation in memory at a time."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self, cast

import msgspec

from farthing.errors import TraceError
from farthing.traces.format import FORMAT, VERSION, Conversation, Header
from farthing.traces.lines import read_lines
from farthing.traces.problems import Problems

__all__ = ["TraceWriter", "parse_header", "read_trace"]

_header_decoder = msgspec.json.Decoder(Header)
_conversation_decoder = msgspec.json.Decoder(Conversation)
_encoder = msgspec.json.Encoder()

#: fast; a level of 9 takes five times as long for a tenth less
_GZIP_LEVEL: Final = 6


def parse_header(line: bytes) -> Header | None:
    """The header of a trace, or None if this line is not one."""
    try:
        header = _header_decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return header if header.format == FORMAT and b'"format"' in line else None


def read_trace(path: Path, problems: Problems | None = None) -> Iterator[Conversation]:
    """The conversations of a trace, one by one.

    Without ``problems`` the first damage raises ``TraceError``; with it damage is noted and the
    rest is still read.
    """
    noted = problems or Problems()
    lines = read_lines(path, noted)
    header = parse_header(next(lines, b""))
    if header is None or header.version != VERSION:
        cause = "foreign_file" if header is None else "version"
        noted.note(cause, str(path))
        _raise_noted(noted, strict=problems is None)
        return
    for number, line in enumerate(lines, start=2):
        conversation = _parse_conversation(line, f"{path}:{number}", noted)
        if conversation is not None:
            yield conversation
        _raise_noted(noted, strict=problems is None)
    _raise_noted(noted, strict=problems is None)


def _parse_conversation(line: bytes, where: str, problems: Problems) -> Conversation | None:
    try:
        return _conversation_decoder.decode(line)
    except msgspec.ValidationError:
        problems.note("foreign_record", where)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        problems.note("malformed", where)
    return None


def _raise_noted(problems: Problems, *, strict: bool) -> None:
    if strict and problems.by_cause:
        cause, problem = next(iter(problems.by_cause.items()))
        where = problem.examples[0]
        raise TraceError(f"{where!r} cannot be read as a trace of version {VERSION}: {cause}")


class TraceWriter:
    """Writes a trace as it comes; gzip if the name ends in ``.gz``.

    The file has its name only when it is complete: until ``close`` it is called ``….part``.
    """

    def __init__(self, path: Path, *, redaction: str = "none", writer: str = "farthing") -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._file = _create(self._part, compressed=path.suffix == ".gz")
        self.conversations = 0
        self._write(Header(writer=writer, redaction=redaction))

    def write(self, conversation: Conversation) -> None:
        """Append one conversation."""
        self._write(conversation)
        self.conversations += 1

    def close(self) -> None:
        """Finish the file and give it its name."""
        self._file.close()
        self._part.replace(self._path)

    def discard(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        self._part.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.discard()

    def _write(self, record: Header | Conversation) -> None:
        self._file.write(_one_line(_encoder.encode(record)) + b"\n")


def _one_line(encoded: bytes) -> bytes:
    """A kept slice may be pretty-printed: JSON escapes line ends in strings, so these are space."""
    if b"\n" in encoded or b"\r" in encoded:
        return encoded.replace(b"\n", b" ").replace(b"\r", b" ")
    return encoded


def _create(path: Path, *, compressed: bool) -> BinaryIO:
    try:
        stream = path.open("wb")
    except OSError as error:
        raise TraceError(f"cannot write the trace {str(path)!r}: {error.strerror}") from error
    return cast("BinaryIO", _OwningGzip(stream)) if compressed else stream


class _OwningGzip(gzip.GzipFile):
    """A gzip stream that closes the file below it; the same content is the same bytes."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=stream, mtime=0)
        self._stream = stream

    def close(self) -> None:
        super().close()
        self._stream.close()
