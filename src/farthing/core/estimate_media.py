"""Estimates the tokens of images by the provider's formula and of documents by an allowance.

Section 5 of the API facts (vision and PDF pages, read 2026-11): an image costs one token per
padded 28 × 28 cell, after it was scaled down, keeping its shape, to the largest size whose padded
edges and cell count fit the model's tier. Width and height stand in the first bytes of every format
the API accepts; nothing else of an image is decoded.
"""

from __future__ import annotations

import binascii
import re
from typing import Final, NamedTuple

from farthing.wire.models import ModelTraits

__all__ = [
    "Media",
    "Size",
    "estimate_document",
    "estimate_image",
    "image_tokens",
    "read_image_size",
]

_CELL: Final = 28
#: base64 characters looked at for an image's size; a JPEG may carry its preview and profile first
_HEAD_CHARS: Final = 4 * 65_536

#: JPEG segments that hold the frame's size: SOF0–15 without DHT, JPG and DAC
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

# A page is its text (1,500–3,000 tokens, documentation) plus an image of it. The size at which
# pages are drawn is not documented: assume that they fill the tier.
_PAGE_TEXT: Final = 2_250
_MOST_PAGE_TEXT: Final = 3_000
_PAGE: Final = re.compile(rb"/Type\s*/Page(?![a-zA-Z])")
#: bytes of PDF for a page when the page objects are compressed away; an assumption
_PAGE_BYTES: Final = 50_000
#: pages of a document that is not in the request (by URL or file id); an assumption
_UNSEEN_PAGES: Final = 10
_MOST_PAGES: Final = 600
_FEWEST_PAGE_BYTES: Final = 100


class Media(NamedTuple):
    """Tokens of something that is not text: expected, and at most."""

    tokens: float
    bound: int


class Size(NamedTuple):
    """An image's pixels."""

    width: int
    height: int


def estimate_image(data: str | None, traits: ModelTraits) -> Media:
    """An image given as base64; None, or an unknown header, counts as the largest of the tier."""
    _, most = traits.image_limits
    size = None if data is None else read_image_size(_decoded(data[:_HEAD_CHARS]))
    if size is None:
        return Media(most, most)
    tokens = image_tokens(size, traits.image_limits)
    return Media(tokens, tokens)


def image_tokens(size: Size, limits: tuple[int, int]) -> int:
    """Padded cells of the largest scaled size that fits ``limits`` (longest edge, most tokens)."""
    width, height = max(size.width, 1), max(size.height, 1)
    longest, most = limits
    across, down = -(-width // _CELL), -(-height // _CELL)
    edge = max(longest // _CELL, 1)
    if max(across, down) <= edge and across * down <= most:
        return across * down
    # The best scale fills a whole number of cells along one edge; one cell always fits.
    fits = [
        (cells / side, cells * others)
        for side, other in ((width, height), (height, width))
        for cells in range(1, edge + 1)
        if (others := -(-cells * other // side)) <= edge and cells * others <= most
    ]
    return max(fits)[1]


def read_image_size(head: bytes) -> Size | None:
    """Width and height from the first bytes of a PNG, GIF, WebP or JPEG; None if unreadable."""
    if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) >= 24:
        return _size(int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big"))
    if head.startswith((b"GIF87a", b"GIF89a")) and len(head) >= 10:
        return _size(int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little"))
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP" and len(head) >= 30:
        return _webp_size(head)
    if head.startswith(b"\xff\xd8"):
        return _jpeg_size(head)
    return None


def estimate_document(data: str | None, traits: ModelTraits) -> Media:
    """A PDF given as base64, or (None) one that lies elsewhere."""
    _, page_image = traits.image_limits
    pages, most_pages = _count_pages(data)
    return Media(
        pages * (_PAGE_TEXT + page_image),
        most_pages * (_MOST_PAGE_TEXT + page_image),
    )


def _count_pages(data: str | None) -> tuple[int, int]:
    """Expected and largest number of pages."""
    if data is None:
        return _UNSEEN_PAGES, _MOST_PAGES
    pdf = _decoded(data)
    most = max(1, min(_MOST_PAGES, len(pdf) // _FEWEST_PAGE_BYTES))
    pages = len(_PAGE.findall(pdf)) or len(pdf) // _PAGE_BYTES
    return min(max(1, pages), most), most


def _decoded(data: str) -> bytes:
    """What a base64 text says as far as it is well formed."""
    try:
        return binascii.a2b_base64(data[: len(data) // 4 * 4])
    except (binascii.Error, ValueError):
        return b""


def _size(width: int, height: int) -> Size | None:
    return Size(width, height) if width and height else None


def _webp_size(head: bytes) -> Size | None:
    """The three chunk kinds of WebP keep the canvas in three ways."""
    kind = head[12:16]
    if kind == b"VP8X":
        return Size(
            int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
        )
    if kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return Size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 ":
        return _size(
            int.from_bytes(head[26:28], "little") & 0x3FFF,
            int.from_bytes(head[28:30], "little") & 0x3FFF,
        )
    return None


def _jpeg_size(head: bytes) -> Size | None:
    """Walk the segments up to the first frame header."""
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _JPEG_FRAMES:
            height, width = head[at + 5 : at + 7], head[at + 7 : at + 9]
            return _size(int.from_bytes(width, "big"), int.from_bytes(height, "big"))
        at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return None
