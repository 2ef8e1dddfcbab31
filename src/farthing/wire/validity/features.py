"""Rules of features with a request shape of their own: batches, threads, context editing,
compaction, task budgets (3, 4.8, 6.1-6.3).
"""

from __future__ import annotations

from collections.abc import Iterator

from farthing.wire import json
from farthing.wire.validity.rule import Rule, RuleHit, Subject
from farthing.wire.validity.shapes import member, number, word

__all__ = ["RULES"]

_SMALLEST_COMPACTION_TRIGGER = 50_000
_SMALLEST_TASK_BUDGET = 20_000
_LONGEST_INSTRUCTIONS = 16_384


def _batch_item(subject: Subject) -> Iterator[RuleHit]:
    if not subject.is_batch:
        return
    refused = {
        "stream": subject.request.stream,
        "speed": subject.value("speed") is not None,
        "thread": subject.value("thread") is not None,
        "max_tokens": subject.request.max_tokens == 0,
    }
    for address, found in refused.items():
        if found:
            yield RuleHit(address, "not allowed in a batch")


def _continuation(subject: Subject) -> Iterator[RuleHit]:
    for name in ("system", "tools") if subject.is_continuation else ():
        if subject.value(name) is not None:
            yield RuleHit(name, "a thread goes on without system and tools")


def _edits(subject: Subject) -> list[bytes]:
    raw = subject.value("context_management", "edits") or b""
    if not raw.startswith(b"["):
        return []
    return [raw[start:end] for start, end in json.elements(raw)]


def _edit_order(subject: Subject) -> Iterator[RuleHit]:
    for place, edit in enumerate(_edits(subject)):
        if place and (word(member(edit, "type")) or "").startswith("clear_thinking"):
            yield RuleHit(f"context_management.edits.{place}", "clear_thinking must come first")


def _compaction_trigger(subject: Subject) -> Iterator[RuleHit]:
    for place, edit in enumerate(_edits(subject)):
        trigger = member(edit, "trigger")
        tokens = None if trigger is None else number(member(trigger, "value"))
        is_compaction = (word(member(edit, "type")) or "").startswith("compact")
        if is_compaction and tokens is not None and tokens < _SMALLEST_COMPACTION_TRIGGER:
            yield RuleHit(
                f"context_management.edits.{place}.trigger.value",
                f"Input should be greater than or equal to {_SMALLEST_COMPACTION_TRIGGER}",
            )


def _compaction_alone(subject: Subject) -> Iterator[RuleHit]:
    if subject.value("compaction") and subject.value("context_management"):
        yield RuleHit("compaction", "not allowed together with context_management")


def _compaction_instructions(subject: Subject) -> Iterator[RuleHit]:
    if len(subject.word("compaction", "instructions") or "") > _LONGEST_INSTRUCTIONS:
        yield RuleHit(
            "compaction.instructions", f"at most {_LONGEST_INSTRUCTIONS} characters are allowed"
        )


def _task_budget(subject: Subject) -> Iterator[RuleHit]:
    total = subject.number("output_config", "task_budget", "total")
    if total is not None and total < _SMALLEST_TASK_BUDGET:
        yield RuleHit(
            "output_config.task_budget.total",
            f"Input should be greater than or equal to {_SMALLEST_TASK_BUDGET}",
        )


RULES = (
    Rule(
        code="batch.item",
        text="a batch item has no stream, speed, thread and no max_tokens 0",
        source="3, 2.8",
        check=_batch_item,
    ),
    Rule(
        code="thread.continuation",
        text="the continuation of a thread has no system and no tools",
        source="4.8",
        check=_continuation,
    ),
    Rule(
        code="context_management.order",
        text="clearing of thinking is the first edit",
        source="6.1",
        check=_edit_order,
    ),
    Rule(
        code="compaction.trigger",
        text="compaction is triggered at 50,000 tokens or more",
        source="6.2",
        check=_compaction_trigger,
    ),
    Rule(
        code="compaction.alone",
        text="compaction on demand goes without context management",
        source="6.2",
        check=_compaction_alone,
    ),
    Rule(
        code="compaction.instructions",
        text="instructions for compaction have at most 16,384 characters",
        source="6.2",
        check=_compaction_instructions,
    ),
    Rule(
        code="output_config.task_budget",
        text="a task budget is 20,000 tokens or more",
        source="6.3",
        check=_task_budget,
    ),
)
