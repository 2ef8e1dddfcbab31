"""From a ``Request`` and its fingerprint to the ``PrefixView`` that the prompt-cache model reads.

Token positions are estimates here; ``PromptCache.anchored`` replaces what answers have measured.
Marks follow the provider's rules (API facts 2.1, documentation as of 2026-10): explicit ones where
they stand, the automatic one on the last block that may carry a mark.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from farthing.core.estimate import BlockMemo, Tally, tally_hidden, tally_request
from farthing.core.prefix import Mark, PrefixView, Ttl
from farthing.wire import json
from farthing.wire.blocks import Block
from farthing.wire.fingerprint import Fingerprint
from farthing.wire.models import ModelTraits
from farthing.wire.rendering import is_markable, is_web_search
from farthing.wire.request import Request, common_prefix

__all__ = ["Weighed", "marks_of", "view_after", "view_of"]

#: Tools the provider runs: it samples several times and writes between, for 5 m (API facts 2.6).
_SERVER_TOOLS = ("web_search_", "web_fetch_", "code_execution_", "tool_search_tool_", "advisor_")


def view_of(
    request: Request,
    fingerprint: Fingerprint,
    traits: ModelTraits,
    *,
    memo: BlockMemo,
    scope: str = "",
    weigh: Callable[[Tally], float] = lambda tally: tally.total,
) -> PrefixView:
    """The request as the prompt cache sees it; ``weigh`` turns a block's tally into tokens.

    Who knows the lineage adds it with ``replace(view, lineage_id=...)``.
    """
    tokens = _tokens(fingerprint, traits, memo, weigh)
    total = max(weigh(tally_request(request, traits, memo)), sum(tokens))
    return _view(request, fingerprint, traits, tokens, total=total, scope=scope)


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the blocks of a request weigh, rendered or not: its next turn has most of them again."""

    blocks: Sequence[Block]
    tokens: Sequence[float]
    #: weights are those of a model
    traits: ModelTraits


def view_after(
    request: Request,
    fingerprint: Fingerprint,
    traits: ModelTraits,
    *,
    memo: BlockMemo,
    scope: str,
    after: Weighed | None,
) -> tuple[PrefixView, Weighed]:
    """``view_of`` in proportion to what is new since ``after``."""
    blocks, known = fingerprint.blocks, list[float]()
    if after is not None and after.traits is traits:
        known = list(after.tokens[: common_prefix(after.blocks, blocks)])
    known += [memo.tally(block, traits).total for block in blocks[len(known) :]]
    tokens = known
    if fingerprint.unrendered:
        tokens = [
            0.0 if index in fingerprint.unrendered and not is_web_search(blocks[index]) else weight
            for index, weight in enumerate(known)
        ]
    total = tally_hidden(request, traits).total + sum(tokens)
    view = _view(request, fingerprint, traits, tokens, total=total, scope=scope)
    return view, Weighed(blocks, known, traits)


def _view(
    request: Request,
    fingerprint: Fingerprint,
    traits: ModelTraits,
    tokens: Sequence[float],
    *,
    total: float,
    scope: str,
) -> PrefixView:
    # What the provider adds for tools comes with them, so it stands before the first block.
    positions = list(accumulate(tokens, initial=total - sum(tokens)))[1:]
    tools_end = len(request.tools)
    server_tools = any(_is_server_tool(tool) for tool in request.tools)
    return PrefixView(
        scope=scope,
        model=request.model or "",
        digests=fingerprint.digests,
        positions=[round(position) for position in positions],
        total_tokens=round(total),
        marks=marks_of(request),
        min_cacheable_tokens=traits.min_cacheable_tokens,
        tools_end=tools_end,
        system_end=tools_end + len(request.system),
        server_tools=server_tools,
        server_results=_server_results(fingerprint.blocks) if server_tools else (),
    )


def _tokens(
    fingerprint: Fingerprint,
    traits: ModelTraits,
    memo: BlockMemo,
    weigh: Callable[[Tally], float],
) -> list[float]:
    """Tokens of each block; what is not in the prompt has none, web search is in it elsewhere."""
    absent = {
        index for index in fingerprint.unrendered if not is_web_search(fingerprint.blocks[index])
    }
    return [
        0.0 if index in absent else weigh(memo.tally(block, traits))
        for index, block in enumerate(fingerprint.blocks)
    ]


def _server_results(blocks: Sequence[Block]) -> tuple[int, ...]:
    return tuple(
        index
        for index, block in enumerate(blocks)
        if block.kind.endswith("_tool_result") and block.level == "messages"
    )


def marks_of(request: Request) -> tuple[Mark, ...]:
    """All breakpoints in render order, the automatic one included."""
    explicit = {
        index: Mark(index=index, ttl=_ttl(control.ttl))
        for index, block in enumerate(request.blocks)
        if (control := block.cache_control) is not None
    }
    automatic = request.field("cache_control")
    if automatic is not None and automatic != b"null":
        last = _last_markable(request)
        if last is not None and last not in explicit:
            explicit[last] = Mark(index=last, ttl=_automatic_ttl(automatic))
    return tuple(explicit[index] for index in sorted(explicit))


def _last_markable(request: Request) -> int | None:
    """The automatic mark walks back over blocks that cannot carry one."""
    blocks = request.blocks
    markable = (index for index in range(len(blocks) - 1, -1, -1) if is_markable(blocks[index]))
    return next(markable, None)


def _automatic_ttl(raw: bytes) -> Ttl:
    ttl = json.raw_members(raw).get("ttl")
    return _ttl("5m" if ttl is None or bytes(ttl) == b"null" else json.decode_string(bytes(ttl)))


def _ttl(name: str) -> Ttl:
    """Anything but one hour is five minutes: other values are refused by the provider."""
    return "1h" if name == "1h" else "5m"


def _is_server_tool(tool: Block) -> bool:
    return (tool.string("type") or "").startswith(_SERVER_TOOLS)
