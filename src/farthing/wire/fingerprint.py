"""Fingerprints: what keys the provider's prompt cache, one digest per prefix.

Theory of operation. The provider renders tools, then system, then messages, and keys each prefix by
a cumulative hash of every byte up to a block plus the parameters that reach the prompt (API facts,
2.2 and 2.6; provider documentation read 2026-08 to 2026-10). A parameter that is rendered or
compared at one level loses that level and all behind it, so each is mixed into the chain where its
level begins::

    tools     model, and where the model renders them first: thinking, effort, budget, output format
    system    speed, web search, citations
    messages  tool choice, images, and again the thinking configuration

Two prefixes have the same digest iff the provider would find one written by the other, as far as
documentation says. Marks do not count: they are not rendered and may move freely.

On the next turn of a conversation the chain goes on where the blocks stop being the very objects
that the last fingerprint saw; see ``farthing.wire.request``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b, sha256

from farthing.wire import json
from farthing.wire.blocks import Block, Level
from farthing.wire.canonical import normal
from farthing.wire.models import ModelTraits
from farthing.wire.request import Request, common_prefix

__all__ = ["Fingerprint", "KeyParameters", "fingerprint", "stored_digest"]

_THINKING = frozenset({"thinking", "redacted_thinking"})


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyParameters:
    """All that keys the prompt cache besides the blocks, spelled one way."""

    model: str
    thinking: str
    effort: str
    task_budget: str
    output_format: str
    mcp_servers: str
    speed: str
    web_search: str
    citations: bool
    tool_choice: str
    images: bool

    def lost_levels(self, other: KeyParameters, traits: ModelTraits) -> dict[str, Level]:
        """The parameters in which two requests differ, each with the first level it loses."""
        return {
            each.name: _level(each.name, traits)
            for each in fields(self)
            if getattr(self, each.name) != getattr(other, each.name)
        }


_LEVELS: dict[str, Level] = {
    "model": "tools",
    "mcp_servers": "tools",
    "speed": "system",
    "web_search": "system",
    "citations": "system",
    "tool_choice": "messages",
    "images": "messages",
}


def _level(name: str, traits: ModelTraits) -> Level:
    # "model-specific" in the provider's table: which models is not said, so the traits decide
    return _LEVELS.get(name, "tools" if traits.renders_config_first else "messages")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """One cumulative digest per block, in render order."""

    key: KeyParameters
    digests: tuple[bytes, ...]
    blocks: tuple[Block, ...]
    #: index of the first block that brings an image, or turns citations on
    first_image: int | None = None
    first_citation: int | None = None
    #: blocks that the provider does not render at their place
    unrendered: frozenset[int] = frozenset()


def fingerprint(
    request: Request, traits: ModelTraits, *, after: Fingerprint | None = None
) -> Fingerprint:
    """The request's fingerprint; ``after`` is that of the request it was parsed after."""
    blocks = tuple(request.blocks)
    shared = 0 if after is None else common_prefix(after.blocks, blocks)
    for block in blocks[shared:]:
        block.digest  # noqa: B018  decodes a new block once, and remembers its kind
    image = _first(blocks, shared, None if after is None else after.first_image, _brings_image)
    citation = _first(blocks, shared, None if after is None else after.first_citation, _cites)
    key = _parameters(request, traits, images=image is not None, citations=citation is not None)
    unrendered = _unrendered(request, traits)
    head = len(request.tools) + len(request.system)
    if after is not None and shared > head and after.key == key and not unrendered:
        digests = list(after.digests[:shared])
        digests += _chain(digests[-1], blocks[shared:])
    else:
        digests = list(_whole_chain(request, blocks, key, traits, unrendered))
    return Fingerprint(
        key=key,
        digests=tuple(digests),
        blocks=blocks,
        first_image=image,
        first_citation=citation,
        unrendered=unrendered,
    )


def stored_digest(digest: bytes, install_key: bytes) -> bytes:
    """The digest as it may rest on disk: useless without the key of this installation."""
    return blake2b(digest, key=install_key, digest_size=16).digest()


# -- the chain ------------------------------------------------------------------------------------


def _chain(state: bytes, blocks: Sequence[Block]) -> Iterator[bytes]:
    for block in blocks:
        state = sha256(state + block.digest).digest()
        yield state


def _whole_chain(
    request: Request,
    blocks: Sequence[Block],
    key: KeyParameters,
    traits: ModelTraits,
    unrendered: frozenset[int],
) -> Iterator[bytes]:
    head = len(request.tools) + len(request.system)
    segments: tuple[tuple[Level, Sequence[Block]], ...] = (
        ("tools", request.tools),
        ("system", request.system),
        ("messages", blocks[head:]),
    )
    state, index = b"", 0
    for level, segment in segments:
        state = sha256(state + _seed(level, key, traits)).digest()
        for block in segment:
            if index not in unrendered:
                state = sha256(state + block.digest).digest()
            yield state
            index += 1


def _seed(level: Level, key: KeyParameters, traits: ModelTraits) -> bytes:
    """What a level mixes in where it begins; configuration is compared at the messages always."""
    mixed = {
        each.name: getattr(key, each.name)
        for each in fields(key)
        if _level(each.name, traits) == level or (level == "messages" and each.name not in _LEVELS)
    }
    return json.encode([level, mixed])


# -- what is rendered -----------------------------------------------------------------------------


def _unrendered(request: Request, traits: ModelTraits) -> frozenset[int]:
    """Web-search tools, which count at the system level, and thinking that the model strips."""
    skipped = {index for index, tool in enumerate(request.tools) if _is_web_search(tool)}
    if not traits.keeps_all_thinking:
        skipped |= _stripped_thinking(request)
    return frozenset(skipped)


def _stripped_thinking(request: Request) -> set[int]:
    """Thinking before the last user message that is more than tool results (API facts, 6.4)."""
    position = len(request.tools) + len(request.system)
    thinking: set[int] = set()
    stripped: set[int] = set()
    for message in request.messages:
        if message.role == "user" and any(b.kind != "tool_result" for b in message.blocks):
            stripped |= thinking
        kinds = enumerate((block.kind for block in message.blocks), start=position)
        thinking |= {index for index, kind in kinds if kind in _THINKING}
        position += len(message.blocks)
    return stripped


def _is_web_search(tool: Block) -> bool:
    return (tool.string("type") or "").startswith("web_search_")


def _first(
    blocks: Sequence[Block], shared: int, known: int | None, test: Callable[[Block], bool]
) -> int | None:
    """Index of the first block that passes a test, given the answer for the shared ones."""
    if known is not None and known < shared:
        return known
    return next((i for i in range(shared, len(blocks)) if test(blocks[i])), None)


def _brings_image(block: Block) -> bool:
    if block.kind == "image":
        return True
    if block.kind != "tool_result" or not (b"image" in block.raw or b"\\u" in block.raw):
        return False
    return any(json.decode_string(bytes(v["type"])) == "image" for v in block.inner if "type" in v)


def _cites(block: Block) -> bool:
    """Does a document or a search result turn citations on?"""
    citations = block.get("citations") if b"citations" in block.raw else None
    if citations is None or block.kind not in {"document", "search_result"}:
        return False
    if not citations.startswith(b"{"):
        return False
    return bytes(json.raw_members(citations).get("enabled", b"")) == b"true"


# -- key parameters -------------------------------------------------------------------------------


def _parameters(
    request: Request, traits: ModelTraits, *, images: bool, citations: bool
) -> KeyParameters:
    config = _object(request.field("output_config"))
    web_search = [tool.digest.hex() for tool in request.tools if _is_web_search(tool)]
    return KeyParameters(
        model=request.model or "",
        thinking=_thinking(request, traits),
        effort=config.get("effort", f'"{traits.default_effort}"'),
        task_budget=config.get("task_budget", ""),
        output_format=config.get("format", ""),
        mcp_servers=_normal(request.field("mcp_servers")),
        speed=_normal(request.field("speed")) or '"standard"',
        web_search=",".join(web_search),
        citations=citations,
        tool_choice=_normal(request.field("tool_choice")) or '{"type":"auto"}',
        images=images,
    )


def _thinking(request: Request, traits: ModelTraits) -> str:
    """Mode and budget; leaving the field out means the model's default."""
    given = _object(request.field("thinking"))
    default = '"disabled"' if traits.default_thinking == "off" else '"adaptive"'
    return f"{given.get('type', default)} {given.get('budget_tokens', '')}".strip()


def _object(raw: bytes | None) -> dict[str, str]:
    """The members of an object in normal form, nulls left out."""
    if raw is None or not raw.startswith(b"{"):
        return {}
    values = {name: bytes(value) for name, value in json.raw_members(raw).items()}
    return {name: _normal(value) for name, value in values.items() if value != b"null"}


def _normal(raw: bytes | None) -> str:
    return "" if raw is None else normal(raw).decode()
