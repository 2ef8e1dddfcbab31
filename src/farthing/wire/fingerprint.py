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

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b, sha256

from farthing.wire import json
from farthing.wire.blocks import Block, Level
from farthing.wire.canonical import normal
from farthing.wire.models import ModelTraits
from farthing.wire.rendering import is_web_search, unrendered
from farthing.wire.request import Request, common_prefix

__all__ = ["Fingerprint", "KeyParameters", "fingerprint", "stored_digest"]


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
    skipped = unrendered(request, traits)
    head = len(request.tools) + len(request.system)
    seeds = {0: [_seed("tools", key, traits)]}
    seeds.setdefault(len(request.tools), []).append(_seed("system", key, traits))
    seeds.setdefault(head, []).append(_seed("messages", key, traits))
    known: tuple[bytes, ...] = ()
    if after is not None and after.key == key and shared > head:
        known = after.digests[: _alike(after.unrendered, skipped, shared)]
    digests = (*known, *_chain(blocks, known, seeds, skipped))
    return Fingerprint(
        key=key,
        digests=digests,
        blocks=blocks,
        first_image=image,
        first_citation=citation,
        unrendered=skipped,
    )


def stored_digest(digest: bytes, install_key: bytes) -> bytes:
    """The digest as it may rest on disk: useless without the key of this installation."""
    return blake2b(digest, key=install_key, digest_size=16).digest()


# -- the chain ------------------------------------------------------------------------------------


def _alike(one: frozenset[int], other: frozenset[int], shared: int) -> int:
    """How many of the shared blocks come before the first that only one request renders."""
    return min((index for index in one ^ other if index < shared), default=shared)


def _chain(
    blocks: Sequence[Block],
    known: Sequence[bytes],
    seeds: Mapping[int, Sequence[bytes]],
    skipped: frozenset[int],
) -> Iterator[bytes]:
    """The digests behind the known ones; a level's seed is mixed in where the level begins."""
    state = known[-1] if known else b""
    for index in range(len(known), len(blocks)):
        for seed in seeds.get(index, ()):
            state = sha256(state + seed).digest()
        if index not in skipped:
            block = blocks[index]
            # the role is rendered with the text: the same words said by another are other words
            state = sha256(b"%b%b%b" % (state, block.digest, (block.role or "").encode())).digest()
        yield state


def _seed(level: Level, key: KeyParameters, traits: ModelTraits) -> bytes:
    """What a level mixes in where it begins; configuration is compared at the messages always."""
    mixed = {
        each.name: getattr(key, each.name)
        for each in fields(key)
        if _level(each.name, traits) == level or (level == "messages" and each.name not in _LEVELS)
    }
    return json.encode([level, mixed])


# -- images, citations ----------------------------------------------------------------------------


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
    web_search = [tool.digest.hex() for tool in request.tools if is_web_search(tool)]
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
        tool_choice=_tool_choice(request),
        images=images,
    )


def _thinking(request: Request, traits: ModelTraits) -> str:
    """Mode and budget; leaving the field out means the model's default."""
    given = _object(request.field("thinking"))
    default = '"disabled"' if traits.default_thinking == "off" else '"adaptive"'
    return f"{given.get('type', default)} {given.get('budget_tokens', '')}".strip()


def _tool_choice(request: Request) -> str:
    """Type, name and whether calls may be parallel; leaving the field out means auto."""
    given = _object(request.field("tool_choice"))
    kind = given.get("type", '"auto"')
    alone = given.get("disable_parallel_tool_use", "false")
    return f"{kind} {given.get('name', '')} {alone}"


def _object(raw: bytes | None) -> dict[str, str]:
    """The members of an object in normal form, nulls left out."""
    if raw is None or not raw.startswith(b"{"):
        return {}
    values = {name: bytes(value) for name, value in json.raw_members(raw).items()}
    return {name: _normal(value) for name, value in values.items() if value != b"null"}


def _normal(raw: bytes | None) -> str:
    return "" if raw is None else normal(raw).decode()
