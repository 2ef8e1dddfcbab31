"""From what the model would say to what it says: ids, limits, stop sequences, output tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from farthing.lab.emulator.answers import Answer
from farthing.lab.emulator.call import Call
from farthing.lab.emulator.catalog import Model
from farthing.lab.emulator.ids import spell_id
from farthing.lab.emulator.server_tools import split_rounds
from farthing.lab.emulator.sizes import block_size

__all__ = ["Finished", "finish"]

_SEARCH_ROUNDS_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What is served, before thinking is signed."""

    content: list[dict[str, Any]]
    stop_reason: str
    stop_sequence: str | None = None
    output: int = 0
    thinking: int = 0


def finish(
    answer: Answer, fields: Mapping[str, Any], model: Model, call: Call, *, room: int
) -> Finished:
    """The served answer; ``room`` is what the context window leaves for output."""
    content = [_identified(block, n, call) for n, block in enumerate(answer.content)]
    content, sequence = _stop_at(content, fields.get("stop_sequences") or ())
    stop = "stop_sequence" if sequence else answer.stop_reason or _natural_stop(content)
    rounds = split_rounds(content)
    if len(rounds) - 1 > _SEARCH_ROUNDS_MAX:
        content = [block for part in rounds[:_SEARCH_ROUNDS_MAX] for block in part]
        stop = "pause_turn"
    thinking = _thinking(answer, content)
    output = answer.output_tokens
    if output is None:
        output = thinking + sum(_spoken(block, model) for block in content)
    limit = min(int(fields["max_tokens"]), room)
    if output > limit:
        content = _cut(content, model, limit - thinking)
        output, sequence = limit, None
        stop = "max_tokens" if limit < room else "model_context_window_exceeded"
    return Finished(
        content=content,
        stop_reason=stop,
        stop_sequence=sequence,
        output=output,
        thinking=min(thinking, output),
    )


def _identified(block: dict[str, Any], number: int, call: Call) -> dict[str, Any]:
    if block.get("type") == "tool_use" and not block.get("id"):
        return {**block, "id": spell_id("toolu_", f"{call.request_id}/{number}")}
    return block


def _natural_stop(content: list[dict[str, Any]]) -> str:
    return "tool_use" if any(b.get("type") == "tool_use" for b in content) else "end_turn"


def _stop_at(
    content: list[dict[str, Any]], sequences: Any
) -> tuple[list[dict[str, Any]], str | None]:
    for n, block in enumerate(content):
        text = str(block.get("text", "")) if block.get("type") == "text" else ""
        found = [(text.index(one), one) for one in sequences if one and one in text]
        if found:
            at, sequence = min(found)
            return [*content[:n], {**block, "text": text[:at]}], str(sequence)
    return content, None


def _thinking(answer: Answer, content: list[dict[str, Any]]) -> int:
    if answer.thinking_tokens is not None:
        return answer.thinking_tokens
    return sum(block_size("thinking", b).new for b in content if b.get("type") == "thinking")


def _spoken(block: dict[str, Any], model: Model) -> int:
    kind = str(block.get("type"))
    if kind == "thinking" or kind.endswith("_tool_result"):
        return 0
    return block_size(kind, block).of(model.new_tokenizer)


def _cut(content: list[dict[str, Any]], model: Model, left: int) -> list[dict[str, Any]]:
    """The blocks that fit; a text that does not is cut, anything else is left out."""
    kept: list[dict[str, Any]] = []
    for block in content:
        size = _spoken(block, model)
        if size > left:
            if block.get("type") == "text" and left > 0:
                text = block["text"]
                kept.append({**block, "text": text[: max(1, len(text) * left // size)]})
            break
        kept.append(block)
        left -= size
    return kept
