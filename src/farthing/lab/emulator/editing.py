"""Server-side context editing: old tool results and old thinking are cleared from the prompt.

Source: API facts, section 6.1 (beta ``context-management-2025-06-27``). The client keeps and
re-sends its full history; each clearing breaks the prompt cache from the first cleared block on,
which needs no code here: the chain is built from the edited prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from farthing.lab.emulator.blocks import Block, block_of
from farthing.lab.emulator.call import Call
from farthing.lab.emulator.catalog import Model
from farthing.lab.emulator.prompt import Message, Prompt
from farthing.lab.emulator.refusal import invalid
from farthing.lab.emulator.shapes import Amount, Edit, parse_edits

__all__ = ["COMPACTION_EDIT", "EDITING_BETA", "Cleared", "EditedPrompt", "apply_edits"]

EDITING_BETA = "context-management-2025-06-27"
COMPACTION_EDIT = "compact_20260112"
Cleared = bool | list[str]  # clear all tool inputs, none, or those of the named tools
_PLACEHOLDER = "[Old tool result content cleared]"
_KINDS = ("thinking", "redacted_thinking")


@dataclass(frozen=True, slots=True, kw_only=True)
class EditedPrompt:
    """The prompt the model is shown, and what was applied; none if nothing was asked for."""

    prompt: Prompt
    applied: list[dict[str, Any]] | None = None


def apply_edits(prompt: Prompt, model: Model, call: Call, total_tokens: int) -> EditedPrompt:
    """The prompt after the edits the request asks for."""
    asked = prompt.fields.get("context_management")
    if asked is None:
        return EditedPrompt(prompt=prompt)
    if not call.has_beta(EDITING_BETA, "compact-2026-01-12"):
        raise invalid("context_management: Extra inputs are not permitted")
    applied: list[dict[str, Any]] = []
    for edit in _checked(asked):
        if edit.type == "clear_thinking_20251015":
            prompt, note = _clear_thinking(prompt, edit, model)
        elif edit.type == "clear_tool_uses_20250919":
            prompt, note = _clear_tool_uses(prompt, edit, model, total_tokens)
        else:
            continue
        applied += [note] if note else []
    return EditedPrompt(prompt=prompt, applied=applied)


def _checked(asked: Any) -> list[Edit]:
    edits = parse_edits(asked)
    known = ("clear_thinking_20251015", "clear_tool_uses_20250919", COMPACTION_EDIT)
    for at, edit in enumerate(edits):
        if edit.type not in known:
            names = ", ".join(known)
            raise invalid(
                f"context_management.edits.{at}.type: {edit.type!r} is not one of {names}"
            )
        if edit.type == known[0] and at > 0:
            raise invalid(
                "context_management.edits: clear_thinking_20251015 must be the first edit"
            )
    return edits


def _clear_thinking(
    prompt: Prompt, edit: Edit, model: Model
) -> tuple[Prompt, dict[str, Any] | None]:
    keep = edit.keep or ("all" if model.keeps_all_thinking else Amount(value=1))
    if isinstance(keep, str):
        return prompt, None
    turns = [m for m, message in enumerate(prompt.messages) if _thinks(message)]
    cleared = set(turns[: max(0, len(turns) - keep.value)])
    if not cleared:
        return prompt, None
    gone = [b for m in cleared for b in prompt.messages[m].blocks if b.kind in _KINDS]
    messages = tuple(
        replace(message, blocks=tuple(b for b in message.blocks if b.kind not in _KINDS))
        if m in cleared
        else message
        for m, message in enumerate(prompt.messages)
    )
    note = {
        "type": edit.type,
        "cleared_thinking_turns": len(cleared),
        "cleared_input_tokens": sum(b.size.of(model.new_tokenizer) for b in gone),
    }
    return replace(prompt, messages=messages), note


def _thinks(message: Message) -> bool:
    return any(block.kind in _KINDS for block in message.blocks)


def _clear_tool_uses(
    prompt: Prompt, edit: Edit, model: Model, total_tokens: int
) -> tuple[Prompt, dict[str, Any] | None]:
    uses = _uses(prompt, edit.exclude_tools or ())
    trigger = edit.trigger or Amount(value=100_000)
    reached = len(uses) if trigger.type == "tool_uses" else total_tokens
    keep = edit.keep.value if isinstance(edit.keep, Amount) else 3
    cleared = set(list(uses)[: max(0, len(uses) - keep)])
    if reached <= trigger.value or not cleared:
        return prompt, None
    inputs = edit.clear_tool_inputs or False
    edited = tuple(_cleared(message, cleared, inputs) for message in prompt.messages)

    def weigh(messages: tuple[Message, ...]) -> int:
        return sum(b.size.of(model.new_tokenizer) for message in messages for b in message.blocks)

    gain = weigh(prompt.messages) - weigh(edited)
    least = edit.clear_at_least.value if edit.clear_at_least else 0
    if gain <= 0 or gain < least:
        return prompt, None
    note = {"type": edit.type, "cleared_tool_uses": len(cleared), "cleared_input_tokens": gain}
    return replace(prompt, messages=edited), note


def _uses(prompt: Prompt, excluded: Sequence[str]) -> dict[str, str]:
    """Tool uses in order, by id, without those of excluded tools."""
    return {
        str(block.value.get("id")): str(block.value.get("name"))
        for message in prompt.messages
        for block in message.blocks
        if block.kind == "tool_use" and block.value.get("name") not in excluded
    }


def _cleared(message: Message, cleared: set[str], inputs: Cleared) -> Message:
    blocks = tuple(_cleared_block(block, cleared, inputs) for block in message.blocks)
    return message if blocks == message.blocks else replace(message, blocks=blocks)


def _cleared_block(block: Block, cleared: set[str], inputs: Cleared) -> Block:
    if block.kind == "tool_result" and block.value.get("tool_use_id") in cleared:
        value = {**block.value, "content": _PLACEHOLDER}
    elif block.kind == "tool_use" and block.value.get("id") in cleared and _clears(block, inputs):
        value = {**block.value, "input": {}}
    else:
        return block
    return replace(block_of(block.level, block.role, value), ttl=block.ttl)


def _clears(block: Block, inputs: Cleared) -> bool:
    return inputs if isinstance(inputs, bool) else block.value.get("name") in inputs
