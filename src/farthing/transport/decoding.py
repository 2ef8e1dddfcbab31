"""A readable copy of a compressed body, for the meter; the bytes on their way are never touched.

Codings (RFC 9110 section 8.4.1; what Claude Code asks for, clients.md 2026-11-20): gzip, deflate,
br, zstd. The first two are in Python; the others come with ``farthing[gateway]``. What cannot be
read raises ``UnreadableCoding``, a ``ValueError``: the call goes on, its usage is then not seen.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Final

from farthing.driver.ports import Decoder

__all__ = ["UnreadableCoding", "decoder_for"]

#: One chunk of 64 KB may unfold to this much at once; a bomb stops here.
_MAX_UNFOLDED: Final = 64 * 1024 * 1024
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS


class UnreadableCoding(ValueError):
    """The body's content coding cannot be read here."""


class _Zlib:
    """gzip and deflate, the latter with or without its envelope; several gzip members too."""

    def __init__(self) -> None:
        self._unfold = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._has_begun = False

    def decode(self, chunk: bytes) -> bytes:
        unfolded = self._begin(chunk) if chunk and not self._has_begun else self._more(chunk)
        while self._unfold.eof and self._unfold.unused_data:
            rest = self._unfold.unused_data
            self._unfold = zlib.decompressobj(_GZIP_OR_ZLIB)
            unfolded += self._more(rest)
        return unfolded

    def _begin(self, chunk: bytes) -> bytes:
        self._has_begun = True
        try:
            return self._more(chunk)
        except zlib.error:
            self._unfold = zlib.decompressobj(-zlib.MAX_WBITS)
            return self._more(chunk)

    def _more(self, chunk: bytes) -> bytes:
        unfolded = self._unfold.decompress(chunk, _MAX_UNFOLDED)
        if self._unfold.unconsumed_tail:
            raise UnreadableCoding("the body unfolds to more than it may")
        return unfolded


class _Foreign:
    """br or zstd by whatever function the library offers."""

    def __init__(self, unfold: Callable[[bytes], bytes]) -> None:
        self._unfold = unfold

    def decode(self, chunk: bytes) -> bytes:
        return self._unfold(chunk)


class _Guarded:
    """Foreign exceptions become ours."""

    def __init__(self, inner: Decoder, coding: str) -> None:
        self._inner = inner
        self._coding = coding

    def decode(self, chunk: bytes) -> bytes:
        try:
            return self._inner.decode(chunk)
        except UnreadableCoding:
            raise
        except Exception as error:  # each library has a root of its own, and two share none
            raise UnreadableCoding(f"the body is not valid {self._coding!r}") from error


def decoder_for(encoding: str) -> Decoder | None:
    """A decoder for one coding; None where there is none for it on this machine."""
    make = _MAKERS.get(encoding.strip().lower())
    try:
        return None if make is None else _Guarded(make(), encoding)
    except ImportError:
        return None


def _brotli() -> Decoder:
    return _Foreign(import_module("brotli").Decompressor().process)


def _zstd() -> Decoder:
    # a body may be several frames (RFC 8878, section 3.1), one for each flush
    unfold = import_module("zstandard").ZstdDecompressor().decompressobj(read_across_frames=True)
    return _Foreign(unfold.decompress)


_MAKERS: Final[dict[str, Callable[[], Decoder]]] = {
    "gzip": _Zlib,
    "x-gzip": _Zlib,
    "deflate": _Zlib,
    "br": _brotli,
    "zstd": _zstd,
}
