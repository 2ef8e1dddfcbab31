"""A readable copy of a compressed body, for the meter; the bytes on their way are never touched.

Codings (RFC 9110 section 8.4.1; what Claude Code asks for, clients.md 2026-11-20): gzip, deflate,
br, zstd. The first two are in Python; the others come with ``farthing[gateway]``. What cannot be
read raises ``UnreadableCoding``, a ``ValueError``: the call goes on, its usage is then not seen.

An answer may unfold to ``AT_ONCE_BYTES`` and a hundred times its own size on top; one piece of it
never to more than ``AT_ONCE_BYTES`` at a time. So a few KB cannot fill the memory, nor a few MB
keep the event loop busy; an answer of Claude unfolds to some ten times its size.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, Protocol

from farthing.driver.ports import Decoder

__all__ = ["AT_ONCE_BYTES", "UnreadableCoding", "decoder_for"]

AT_ONCE_BYTES: Final = 64 * 1024 * 1024
_RATIO: Final = 100
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS
#: zstd's library unfolds whatever it is given: of this much, to 8 MB at most (RFC 8878, 3.1.1.2)
_SLICE_BYTES: Final = 256


class UnreadableCoding(ValueError):
    """The body's content coding cannot be read here."""


class _Unfolding(Protocol):
    def unfold(self, chunk: bytes, limit: int) -> bytes:
        """The plain bytes of the next chunk; ``UnreadableCoding`` beyond the limit."""


class _Zlib:
    """gzip and deflate, the latter with or without its envelope; several gzip members too."""

    def __init__(self) -> None:
        self._unfold = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._has_begun = False

    def unfold(self, chunk: bytes, limit: int) -> bytes:
        more = self._more if self._has_begun or not chunk else self._begin
        parts = [more(chunk, limit)]
        while self._unfold.eof and self._unfold.unused_data:
            rest = self._unfold.unused_data
            self._unfold = zlib.decompressobj(_GZIP_OR_ZLIB)
            limit -= len(parts[-1])
            parts.append(self._more(rest, limit))
        return b"".join(parts)

    def _begin(self, chunk: bytes, limit: int) -> bytes:
        self._has_begun = True
        try:
            return self._more(chunk, limit)
        except zlib.error:
            self._unfold = zlib.decompressobj(-zlib.MAX_WBITS)
            return self._more(chunk, limit)

    def _more(self, chunk: bytes, limit: int) -> bytes:
        # one more, because zero would be no limit
        return _within(self._unfold.decompress(chunk, limit + 1), limit)


class _Brotli:
    """br."""

    def __init__(self) -> None:
        self._unfold: Any = import_module("brotli").Decompressor()  # it ships no types

    def unfold(self, chunk: bytes, limit: int) -> bytes:
        unfolded: bytes = self._unfold.process(chunk, output_buffer_limit=limit + 1)
        return _within(unfolded, limit)


class _Zstd:
    """zstd; a body may be several frames (RFC 8878, section 3.1), one for each flush."""

    def __init__(self) -> None:
        decompressor = import_module("zstandard").ZstdDecompressor(max_window_size=AT_ONCE_BYTES)
        self._unfold = decompressor.decompressobj(read_across_frames=True)

    def unfold(self, chunk: bytes, limit: int) -> bytes:
        parts: list[bytes] = []
        for at in range(0, len(chunk), _SLICE_BYTES):
            parts.append(_within(self._unfold.decompress(chunk[at : at + _SLICE_BYTES]), limit))
            limit -= len(parts[-1])
        return b"".join(parts)


class _Guarded:
    """Keeps one body's unfolding within its limits; foreign exceptions become ours."""

    def __init__(self, inner: _Unfolding, coding: str) -> None:
        self._inner = inner
        self._coding = coding
        #: what this body may still unfold to
        self._left = AT_ONCE_BYTES

    def decode(self, chunk: bytes) -> bytes:
        self._left += _RATIO * len(chunk)
        try:
            unfolded = self._inner.unfold(chunk, min(self._left, AT_ONCE_BYTES))
        except UnreadableCoding:
            raise
        except Exception as error:  # each library has a root of its own, and two share none
            raise UnreadableCoding(f"the body is not valid {self._coding!r}") from error
        self._left -= len(unfolded)
        return unfolded


def decoder_for(encoding: str) -> Decoder | None:
    """A decoder for one coding; None where there is none for it on this machine."""
    make = _MAKERS.get(encoding.strip().lower())
    try:
        return None if make is None else _Guarded(make(), encoding)
    except ImportError:
        return None


def _within(unfolded: bytes, limit: int) -> bytes:
    if len(unfolded) > limit:
        raise UnreadableCoding("the body unfolds to more than it may")
    return unfolded


_MAKERS: Final[dict[str, Callable[[], _Unfolding]]] = {
    "gzip": _Zlib,
    "x-gzip": _Zlib,
    "deflate": _Zlib,
    "br": _Brotli,
    "zstd": _Zstd,
}
