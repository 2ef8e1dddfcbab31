"""How many tokens one block takes in the prompt: text, tools, images, PDF pages, thinking.

Source: API facts, section 5 (vision formula, per-tool extras); the small constants per block are
this emulator's own choice and calibrate nothing but itself.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping
from math import ceil, sqrt
from typing import Any

import msgspec

from farthing.lab.emulator.signature import thinking_tokens
from farthing.lab.emulator.tokenizer import NOTHING, Size, measure_text

__all__ = ["block_size", "image_size"]

_PATCH = 28  # pixels of a vision patch's edge
_PDF_PAGE_TEXT = 2_000
_TOOL_EXTRAS = {
    "bash_": Size(244, 325),
    "text_editor_": Size(700, 700),
    "computer_": Size(735, 735),
}
_UNKNOWN_IMAGE = Size(1_300, 1_300)


def block_size(kind: str, value: Mapping[str, Any]) -> Size:
    """The size of one block under both tokenizers."""
    match kind:
        case "tool":
            return _tool_size(value)
        case "text":
            return measure_text(str(value.get("text", ""))).plus(2)
        case "tool_use" | "server_tool_use" | "mcp_tool_use":
            return _json_size([value.get("name"), value.get("input")]).plus(24)
        case "thinking" | "redacted_thinking":
            return _thinking_size(value)
        case "image":
            return image_size(value.get("source"))
        case "document":
            return _document_size(value)
        case "compaction":
            return measure_text(str(value.get("content") or "")).plus(4)
        case _:
            return _content_size(value.get("content")).plus(9)


def _content_size(content: Any) -> Size:
    if isinstance(content, str):
        return measure_text(content)
    if not isinstance(content, list):
        return NOTHING if content is None else _json_size(content)
    old = new = 0
    for inner in content:
        size = block_size(str(inner.get("type", "")), inner) if isinstance(inner, dict) else NOTHING
        old, new = old + size.old, new + size.new
    return Size(old, new)


def _json_size(value: Any) -> Size:
    return measure_text(msgspec.json.encode(value).decode())


def _tool_size(value: Mapping[str, Any]) -> Size:
    known = str(value.get("type", "custom"))
    for prefix, extra in _TOOL_EXTRAS.items():
        if known.startswith(prefix):
            return extra
    shown = {k: v for k, v in value.items() if k not in ("type", "defer_loading", "strict")}
    return _json_size(shown).plus(8)


def _thinking_size(value: Mapping[str, Any]) -> Size:
    """The raw thinking, which the signature remembers even where its text is left out."""
    tokens = thinking_tokens(str(value.get("signature") or value.get("data") or ""))
    if tokens is not None:
        return Size(tokens, tokens)
    return measure_text(str(value.get("thinking") or value.get("data") or ""))


def _document_size(value: Mapping[str, Any]) -> Size:
    source = value.get("source")
    if not isinstance(source, dict):
        return NOTHING
    if source.get("type") == "text":
        return measure_text(str(source.get("data", "")))
    if source.get("type") == "content":
        return _content_size(source.get("content"))
    pages = max(1, _decoded(source).count(b"/Type /Page") - _decoded(source).count(b"/Type /Pages"))
    page = Size(_PDF_PAGE_TEXT, _PDF_PAGE_TEXT).plus(_UNKNOWN_IMAGE.old)
    return Size(page.old * pages, page.new * pages)


def image_size(source: Any) -> Size:
    """An image under the standard tier (older models) and the high-resolution one (newer)."""
    if not isinstance(source, dict):
        return _UNKNOWN_IMAGE
    pixels = _dimensions(_decoded(source))
    if pixels is None:
        return _UNKNOWN_IMAGE
    return Size(_patches(*pixels, edge=1568, most=1568), _patches(*pixels, edge=2576, most=4784))


def _decoded(source: Mapping[str, Any]) -> bytes:
    try:
        return base64.b64decode(str(source.get("data", "")))
    except binascii.Error:
        return b""


def _dimensions(data: bytes) -> tuple[int, int] | None:
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    if data[:4] == b"GIF8" and len(data) >= 10:
        width, height = struct.unpack("<HH", data[6:10])
        return width, height
    return _jpeg_dimensions(data) if data[:2] == b"\xff\xd8" else None


def _jpeg_dimensions(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        if data[at + 1] in (0xC0, 0xC1, 0xC2):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    return None


def _patches(width: int, height: int, *, edge: int, most: int) -> int:
    """Patches after the largest aspect-preserving downscale that fits edge and token count."""
    scale = min(1.0, edge / max(width, height), sqrt(most * _PATCH * _PATCH / (width * height)))
    while True:
        across, down = ceil(width * scale / _PATCH), ceil(height * scale / _PATCH)
        if across * down <= most and max(across, down) * _PATCH <= edge:
            return across * down
        scale *= 0.998
