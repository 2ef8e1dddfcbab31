"""Rules of what may stand in a block: emptiness, citations, images (1.7, 5, 8.11, 8.13, 8.15)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from farthing.wire import json
from farthing.wire.blocks import Block, Message
from farthing.wire.validity.rule import Rule, RuleHit, Subject
from farthing.wire.validity.shapes import is_empty_text, member

__all__ = ["RULES"]

#: "10 MB as base64"; the provider counts MB as powers of two in this message
_LARGEST_IMAGE_BYTES = 10 * 1024 * 1024
_LARGEST_BODY_BYTES = 32 * 1024 * 1024

#: a JSON string of whitespace only, literal or escaped
_BLANK = re.compile(rb'"(?: |\\[ntrf]|\\u00(?:09|0[aAcCdD]|20))*"')
_NO_CITATIONS = re.compile(rb"\[\s*\]")


def _body_size(subject: Subject) -> Iterator[RuleHit]:
    size = len(subject.request.body)
    if size > _LARGEST_BODY_BYTES:
        yield RuleHit("", f"the body has {size} bytes, {_LARGEST_BODY_BYTES} are allowed")


def _empty_text(subject: Subject) -> Iterator[RuleHit]:
    for block in subject.of("text"):
        if not block.is_string and is_empty_text(block):
            yield RuleHit(block.address, "text content blocks must be non-empty")


def _empty_user(subject: Subject) -> Iterator[RuleHit]:
    for message in subject.request.messages:
        if message.role == "user" and _is_empty(message):
            yield RuleHit(f"messages.{message.index}", "user messages must have non-empty content")


def _is_empty(message: Message) -> bool:
    return not message.blocks or (message.is_string and message.blocks[0].raw == b'""')


def _blank_user(subject: Subject) -> Iterator[RuleHit]:
    for turn in subject.turns:
        texts = [block.get("text") for block in turn.of("text")]
        if turn.role != "user" or not texts or len(texts) < len(turn.blocks):
            continue
        if all(map(_is_blank, texts)):
            yield RuleHit(turn.address, "text content blocks must contain non-whitespace text")


def _is_blank(text: bytes | None) -> bool:
    # an empty text has its own rule
    return text is not None and text != b'""' and _BLANK.fullmatch(text) is not None


def _assistant_document(subject: Subject) -> Iterator[RuleHit]:
    for block in subject.of("document") if _is_new_version(subject) else ():
        if block.role == "assistant":
            yield RuleHit(block.address, "document blocks are not allowed in assistant messages")


def _user_citations(subject: Subject) -> Iterator[RuleHit]:
    for block in subject.of("text", "search_result") if _is_new_version(subject) else ():
        if block.role == "user" and b"citations" in block.raw and _cites(block):
            yield RuleHit(
                f"{block.address}.citations", "citations are not allowed on the user's text"
            )


def _is_new_version(subject: Subject) -> bool:
    # versions are dates: a later one keeps the rule until somebody says otherwise
    return subject.api_version >= "2026-10-21"


def _cites(block: Block) -> bool:
    if block.kind == "text":
        return _is_cited(block.raw)
    content = block.get("content") or b""
    parts = json.elements(content) if content.startswith(b"[") else []
    return any(_is_cited(content[start:end]) for start, end in parts)


def _is_cited(text_block: bytes) -> bool:
    citations = member(text_block, "citations")
    return citations is not None and _NO_CITATIONS.fullmatch(citations) is None


def _images(subject: Subject) -> Iterator[tuple[str, bytes | None]]:
    """Address and source of each image, those inside tool results included."""
    for block in subject.of("image"):
        yield block.address, block.get("source")
    for block in subject.of("tool_result"):
        if b'"image"' not in block.raw:
            continue
        for place, inner in enumerate(block.inner):
            if bytes(inner.get("type", b"")) == b'"image"':
                source = inner.get("source")
                address = f"{block.address}.content.{place}"
                yield address, None if source is None else bytes(source)


def _too_many_images(subject: Subject) -> Iterator[RuleHit]:
    found, limit = sum(1 for _ in _images(subject)), subject.model.max_images
    if found > limit:
        yield RuleHit("messages", f"at most {limit} images are allowed, found {found}")


def _large_image(subject: Subject) -> Iterator[RuleHit]:
    for address, source in _images(subject):
        data = None if source is None else member(source, "data")
        size = 0 if data is None else len(data) - len('""')
        if size > _LARGEST_IMAGE_BYTES:
            yield RuleHit(
                f"{address}.source.base64",
                f"image exceeds 10 MB maximum: {size} bytes > {_LARGEST_IMAGE_BYTES} bytes",
            )


RULES = (
    Rule(
        code="request.too_large",
        text="a body has at most 32 MB",
        source="4.4 (status 413)",
        check=_body_size,
    ),
    Rule(
        code="content.empty_text",
        text="a text block is not empty",
        source="8.11 [T]",
        check=_empty_text,
    ),
    Rule(
        code="content.empty_user",
        text="a user message has content; an assistant's may be empty",
        source="8.11 [T]",
        check=_empty_user,
    ),
    Rule(
        code="content.blank_user",
        text="a user's turn of text alone is not all whitespace",
        source="8.11 [T]",
        check=_blank_user,
    ),
    Rule(
        code="content.assistant_document",
        text="from version 2026-10-21 on, no document in an assistant message",
        source="1.7, 8.13",
        check=_assistant_document,
    ),
    Rule(
        code="content.user_citations",
        text="from version 2026-10-21 on, no citations on the user's text or search results",
        source="1.7, 8.13",
        check=_user_citations,
    ),
    Rule(
        code="images.too_many",
        text="at most 600 images, 100 on models with a 200k context",
        source="5, 8.15",
        check=_too_many_images,
        needs_model=True,
    ),
    Rule(
        code="images.too_large",
        text="an image has at most 10 MB as base64",
        source="5, 8.15",
        check=_large_image,
    ),
)
