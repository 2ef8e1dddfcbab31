"""What the provider renders of a request, and what it leaves out.

Blocks that stand in a request and not in the prompt, or not at their place (API facts 2.6, 6.3, 6.4
and 9.1; provider documentation read 2026-08 to 2026-10):

- a web-search tool counts at the system level, not among the tools;
- a deferred tool is in neither prefix nor token count before a ``tool_reference`` names it;
- the attribution line that Claude Code sends as first system block is stripped;
- some models keep the thinking of the last turn only.
"""

from __future__ import annotations

from typing import Final

from farthing.wire.blocks import Block
from farthing.wire.models import ModelTraits
from farthing.wire.request import Request

__all__ = [
    "THINKING_KINDS",
    "is_attribution",
    "is_deferred",
    "is_markable",
    "is_web_search",
    "stripped_thinking",
    "unrendered",
]

THINKING_KINDS: Final = frozenset({"thinking", "redacted_thinking"})

_ATTRIBUTION: Final = "x-anthropic-billing-header:"


def unrendered(request: Request, traits: ModelTraits) -> frozenset[int]:
    """Indices of the blocks that are not rendered at their place."""
    found = {
        index
        for index, tool in enumerate(request.tools)
        if is_deferred(tool) or is_web_search(tool)
    }
    if request.system and is_attribution(request.system[0]):
        found.add(len(request.tools))
    if not traits.keeps_all_thinking:
        found |= stripped_thinking(request)
    return frozenset(found)


def is_web_search(tool: Block) -> bool:
    """Is this the provider's own web search?"""
    return tool.level == "tools" and (tool.string("type") or "").startswith("web_search_")


def is_deferred(block: Block) -> bool:
    """Is this a tool that stays out of the prompt until a search finds it?"""
    return block.level == "tools" and block.get("defer_loading") == b"true"


def is_attribution(block: Block) -> bool:
    """Is this the line by which Claude Code names itself?"""
    return block.address == "system.0" and (block.text or "").startswith(_ATTRIBUTION)


def is_markable(block: Block) -> bool:
    """Can the automatic mark stand here? Thinking, empty text and deferred tools carry none."""
    if block.kind in THINKING_KINDS or is_deferred(block):
        return False
    return block.kind != "text" or bool(block.text)


def stripped_thinking(request: Request) -> set[int]:
    """Thinking before the last user message that is more than tool results (API facts, 6.4)."""
    position = len(request.tools) + len(request.system)
    thinking: set[int] = set()
    stripped: set[int] = set()
    for message in request.messages:
        if message.role == "user" and any(b.kind != "tool_result" for b in message.blocks):
            stripped |= thinking
        kinds = enumerate((block.kind for block in message.blocks), start=position)
        thinking |= {index for index, kind in kinds if kind in THINKING_KINDS}
        position += len(message.blocks)
    return stripped
