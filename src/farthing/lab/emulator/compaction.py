"""Compaction: the conversation is replaced by a summary, past a threshold or on demand.

Source: API facts, section 6.2 (betas ``compact-2026-01-12`` and ``compact-2026-09-04``). Its tokens
are in ``usage.iterations`` only; the top-level usage excludes them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from farthing.lab.emulator.agent import words
from farthing.lab.emulator.blocks import block_of
from farthing.lab.emulator.call import Call
from farthing.lab.emulator.editing import COMPACTION_EDIT
from farthing.lab.emulator.ids import spell_id
from farthing.lab.emulator.prompt import Message, Prompt
from farthing.lab.emulator.refusal import invalid
from farthing.lab.emulator.shapes import Edit, parse_edits

__all__ = [
    "ON_DEMAND_BETA",
    "THRESHOLD_BETA",
    "Compaction",
    "find_compaction",
    "summarised",
    "summary_block",
    "without_history",
]

THRESHOLD_BETA = "compact-2026-01-12"
ON_DEMAND_BETA = "compact-2026-09-04"
_LEAST_TRIGGER = 50_000
_DEFAULT_TRIGGER = 150_000
_INSTRUCTIONS_MAX = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Compaction:
    """What a request asks for."""

    trigger: int
    pause: bool
    on_demand: bool = False


def find_compaction(prompt: Prompt, call: Call) -> Compaction | None:
    """The compaction a request asks for; refuses what the API refuses."""
    asked = prompt.fields.get("compaction")
    if asked is not None:
        return _on_demand(prompt, asked, call)
    managed = prompt.fields.get("context_management")
    for edit in parse_edits(managed) if managed else ():
        if edit.type == COMPACTION_EDIT:
            return _threshold(edit, call)
    return None


def _on_demand(prompt: Prompt, asked: Any, call: Call) -> Compaction:
    if not call.has_beta(ON_DEMAND_BETA):
        raise invalid("compaction: Extra inputs are not permitted")
    if asked.get("type") != "summarize":
        raise invalid("compaction.type: Input should be 'summarize'")
    if prompt.fields.get("context_management"):
        raise invalid("compaction: cannot be combined with context_management")
    if len(str(asked.get("instructions") or "")) > _INSTRUCTIONS_MAX:
        raise invalid(f"compaction.instructions: at most {_INSTRUCTIONS_MAX} characters")
    return Compaction(trigger=0, pause=True, on_demand=True)


def _threshold(edit: Edit, call: Call) -> Compaction:
    if not call.has_beta(THRESHOLD_BETA):
        raise invalid(
            f"context_management.edits: {COMPACTION_EDIT} needs the beta {THRESHOLD_BETA}"
        )
    trigger = edit.trigger.value if edit.trigger else _DEFAULT_TRIGGER
    if trigger < _LEAST_TRIGGER:
        raise invalid(f"{COMPACTION_EDIT}.trigger: must be at least {_LEAST_TRIGGER} input tokens")
    return Compaction(trigger=trigger, pause=bool(edit.pause_after_compaction))


def without_history(prompt: Prompt) -> Prompt:
    """The prompt from its last compaction block on: everything before it is ignored."""
    for m in range(len(prompt.messages) - 1, -1, -1):
        message = prompt.messages[m]
        for b in range(len(message.blocks) - 1, -1, -1):
            block = message.blocks[b]
            if block.kind == "compaction" and block.value.get("content") is not None:
                rest = replace(message, blocks=message.blocks[b:])
                return replace(prompt, messages=(rest, *prompt.messages[m + 1 :]))
    return prompt


def summary_block(total_tokens: int, call: Call, *, signed: bool) -> dict[str, Any]:
    """The block a compaction answers with: about 2 % of what it replaces."""
    block = {"type": "compaction", "content": f"Summary: {words(max(40, total_tokens // 50))}"}
    if signed:
        block["signature"] = spell_id("cmp_", call.request_id, 40)
    return block


def summarised(prompt: Prompt, block: dict[str, Any]) -> Prompt:
    """The prompt after compaction: the summary stands for all messages."""
    only = Message(role="assistant", blocks=(block_of("messages", "assistant", block),))
    return replace(prompt, messages=(only,))
