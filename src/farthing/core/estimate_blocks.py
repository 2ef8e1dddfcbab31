r"""Reads from one block what its tokens depend on: class counts, structure, media, hidden bytes.

Theory of operation
-------------------
The provider renders a block as text before it tokenizes it, so what counts is the *decoded* text: a
``\n`` escaped in JSON is one newline, a tool's input is its keys and values, not its quoting. What
the frame of a block adds is a constant per kind (``Structure``).

Encrypted text is counted by its length. A thinking block shows a summary or nothing, yet the whole
thinking is billed as input when it is sent back; it is inside the signature. Measured on the 409
blocks of the recorded transcripts: ``len(signature) · 3/4`` is the text's bytes plus 174 (median;
80 % lie within 169–176 on the models that show all), so the difference tells what is not shown.

``bound`` uses one fact only: each token covers at least one byte. It is the block's raw bytes (an
escape is never shorter than what it stands for) plus a generous frame; media have their own bound.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from farthing.core.estimate_media import Media, estimate_document, estimate_image
from farthing.core.estimate_text import Counts, count_classes
from farthing.core.estimate_weights import Structure
from farthing.wire.blocks import Block
from farthing.wire.models import ModelTraits
from farthing.wire.rendering import THINKING_KINDS, is_attribution, is_deferred

__all__ = ["Content", "Features", "read_features"]

#: kinds that are corrected apart from each other
Content = Literal["text", "thinking", "tool_use", "tool_result", "other"]

_CALLS: Final = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
#: members that are encrypted, not text
_OPAQUE: Final = frozenset({"signature", "encrypted_content", "encrypted_index"})
#: members that are not rendered, or counted with the frame
_SILENT: Final = frozenset({"type", "id", "tool_use_id", "cache_control", "is_error"})

#: bytes of a signature, decoded, that are not thinking (measured, see above), and its own noise
_SIGNATURE_FRAME: Final = 174
_SIGNATURE_NOISE: Final = 64

# Tools whose definition the provider writes: tokens by prefix of their type (API facts, section 5),
# for the old and the new tokenizer.
_TYPED_TOOLS: Final = {
    "bash_": (244, 325),
    "text_editor_": (700, 700),
    "computer_toolset_": (4_500, 4_500),
    "computer_": (1_234, 1_234),
    "browser_toolset_": (6_600, 6_600),
}

#: most tokens that the frame of one block, and of one argument of a call, may add
_FRAME_BOUND: Final = 96
_ARGUMENT_BOUND: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What the tokens of one block depend on, before any weight."""

    content: Content
    counts: Counts
    structures: tuple[tuple[Structure, int], ...]
    #: bytes of text that is there only encrypted
    opaque_bytes: int
    #: images, documents, tools defined by the provider
    fixed_tokens: float
    #: the block has never more tokens than this
    bound: int


@dataclass(slots=True)
class _Reading:
    """What has been gathered so far of one block."""

    traits: ModelTraits
    role: str | None
    texts: list[str] = field(default_factory=list)
    structures: Counter[Structure] = field(default_factory=Counter)
    opaque_bytes: int = 0
    fixed_tokens: float = 0.0
    bound: int = 0

    def add_media(self, media: Media, data: str | None) -> None:
        """Media count by their own rule instead of by their bytes."""
        self.fixed_tokens += media.tokens
        self.bound += media.bound - len(data or "")


def read_features(block: Block, traits: ModelTraits) -> Features:
    """The features of a block; never raises, whatever the block holds."""
    reading = _Reading(traits, block.role)
    kind = block.kind
    try:
        value = msgspec.json.decode(block.raw)
    except msgspec.DecodeError:  # e.g. half a surrogate pair: the bytes are all there is to count
        value = block.raw.decode(errors="replace")
    if isinstance(value, str):
        value = {"text": value}
    if not is_attribution(block) and not is_deferred(block):  # neither is in the prompt
        _read(reading, kind, value)
    arguments = reading.structures["argument"]
    return Features(
        content=_content(kind),
        counts=count_classes("\n".join(reading.texts).encode(errors="replace")),
        structures=tuple(reading.structures.items()),
        opaque_bytes=reading.opaque_bytes,
        fixed_tokens=reading.fixed_tokens,
        bound=len(block.raw) + reading.bound + _FRAME_BOUND + _ARGUMENT_BOUND * arguments,
    )


def _content(kind: str) -> Content:
    if kind == "text":
        return "text"
    if kind in THINKING_KINDS:
        return "thinking"
    if kind in _CALLS:
        return "tool_use"
    return "tool_result" if kind.endswith("tool_result") else "other"


def _read(reading: _Reading, kind: str, value: dict[str, object]) -> None:
    """Gather one block, or one block inside another."""
    if kind == "text":
        reading.texts.append(_string(value, "text"))
        reading.structures[_TEXT_FRAMES.get(reading.role, "user_text")] += 1
    elif kind == "thinking":
        _read_thinking(reading, value)
    elif kind == "redacted_thinking":
        reading.structures["thinking"] += 1
        reading.opaque_bytes += max(0, _decoded_bytes(_string(value, "data")) - _SIGNATURE_FRAME)
    elif kind in _CALLS:
        _read_call(reading, value)
    elif kind == "image":
        data = _base64(value.get("source"))
        reading.add_media(estimate_image(data, reading.traits), data)
    elif kind == "document":
        _read_document(reading, value)
    elif kind == "tool":
        _read_tool(reading, value)
    else:
        _read_result(reading, value)


_TEXT_FRAMES: Final[dict[str | None, Structure]] = {
    None: "system_text",
    "system": "system_text",
    "assistant": "assistant_text",
}


def _read_thinking(reading: _Reading, value: dict[str, object]) -> None:
    text = _string(value, "thinking")
    hidden = _decoded_bytes(_string(value, "signature")) - _SIGNATURE_FRAME - len(text.encode())
    reading.texts.append(text)
    reading.structures["thinking"] += 1
    if hidden > _SIGNATURE_NOISE:
        reading.opaque_bytes += hidden


def _read_call(reading: _Reading, value: dict[str, object]) -> None:
    """A tool's name and input: each argument by its own, a string as it is, the rest as JSON."""
    reading.structures["tool_use"] += 1
    reading.texts.append(_string(value, "name"))
    given = value.get("input")
    if not isinstance(given, dict):
        return
    reading.structures["argument"] += len(given)
    for name, argument in given.items():
        reading.texts += [name, argument if isinstance(argument, str) else _json(argument)]


def _read_result(reading: _Reading, value: dict[str, object]) -> None:
    """A tool's result, and any block of a kind not known here: all the text in it."""
    if value.get("is_error") is True:
        reading.structures["tool_error"] += 1
    reading.structures["tool_result"] += 1
    for name, member in value.items():
        if name == "content" and isinstance(member, list):
            for inner in member:
                _read_inner(reading, inner)
        elif name not in _SILENT:
            _read_value(reading, name, member)


def _read_inner(reading: _Reading, inner: object) -> None:
    """A block inside a result or a document: only media are not simply text."""
    if not isinstance(inner, dict):
        _read_value(reading, "", inner)
    elif inner.get("type") in {"image", "document"}:
        _read(reading, str(inner["type"]), inner)
    else:
        _read_value(reading, "", inner)


def _read_value(reading: _Reading, name: str, value: object) -> None:
    if name in _OPAQUE and isinstance(value, str):
        reading.opaque_bytes += _decoded_bytes(value)
    elif isinstance(value, dict):
        for inner_name, inner in value.items():
            if inner_name not in _SILENT:
                _read_value(reading, inner_name, inner)
    elif isinstance(value, list):
        for inner in value:
            _read_value(reading, name, inner)
    else:
        reading.texts.append(value if isinstance(value, str) else _json(value))


def _read_document(reading: _Reading, value: dict[str, object]) -> None:
    """A document by its source: text and blocks count as such, a PDF by its pages."""
    source = value.get("source")
    reading.texts += [_string(value, "title"), _string(value, "context")]
    reading.structures["user_text"] += 1
    if not isinstance(source, dict):
        return
    content = source.get("content")
    if source.get("type") == "text":
        reading.texts.append(_string(source, "data"))
    elif source.get("type") == "content":
        for inner in content if isinstance(content, list) else [content]:
            _read_inner(reading, inner)
    else:
        data = _base64(source)
        reading.add_media(estimate_document(data, reading.traits), data)


def _read_tool(reading: _Reading, value: dict[str, object]) -> None:
    """A definition: its JSON in a frame, unless the provider has its own text for the type."""
    typed = _string(value, "type")
    for prefix, (old, new) in _TYPED_TOOLS.items():
        if typed.startswith(prefix):
            tokens = new if reading.traits.tokenizer == "new" else old
            reading.fixed_tokens += tokens
            reading.bound += tokens
            return
    reading.structures["tool"] += 1
    shown = {name: part for name, part in value.items() if name not in _SILENT}
    reading.texts.append(_json(shown))


def _string(value: dict[str, object], name: str) -> str:
    member = value.get(name)
    return member if isinstance(member, str) else ""


def _base64(source: object) -> str | None:
    """The data of a base64 source; None where the bytes are not in the request."""
    if not isinstance(source, dict):
        return None
    data = source.get("data")
    return data if isinstance(data, str) else None


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _decoded_bytes(base64: str) -> int:
    return len(base64) * 3 // 4
