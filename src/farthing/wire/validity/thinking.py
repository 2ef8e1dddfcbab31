"""Rules of thinking: which mode on which model, how much, and in an open tool loop (4.1, 8.5)."""

from __future__ import annotations

from collections.abc import Iterator

from farthing.wire.rendering import THINKING_KINDS
from farthing.wire.validity.rule import Rule, RuleHit, Subject, Turn

__all__ = ["RULES"]

_SMALLEST_BUDGET = 1024
_HIGH_EFFORT = ("xhigh", "max")
#: what the provider itself puts in front of an answer: a summary, or that another model took over
_BEFORE_THINKING = ("compaction", "fallback")


def _mode(subject: Subject) -> str | None:
    return subject.word("thinking", "type")


def _disabled(subject: Subject) -> Iterator[RuleHit]:
    accepted = subject.model.thinking_disabled
    if _mode(subject) != "disabled" or accepted == "yes":
        return
    if accepted == "effort<=high":
        if subject.effort in _HIGH_EFFORT:
            yield RuleHit("thinking.type", f"disabled is not accepted at effort {subject.effort!r}")
    elif accepted == "between_tools":
        yield RuleHit("thinking.type", "this model accepts between_tools in place of disabled")
    else:
        yield RuleHit("thinking.type", "this model always thinks; disabled is not accepted")


def _between_tools(subject: Subject) -> Iterator[RuleHit]:
    if _mode(subject) != "between_tools":
        return
    if subject.model.thinking_disabled != "between_tools":
        yield RuleHit("thinking.type", "this model does not accept between_tools")
    elif subject.effort in _HIGH_EFFORT:
        effort = subject.effort
        yield RuleHit("thinking.type", f"between_tools is not accepted at effort {effort!r}")


def _enabled(subject: Subject) -> Iterator[RuleHit]:
    if _mode(subject) == "enabled" and not subject.model.thinking_budget:
        yield RuleHit("thinking.type", "this model does not accept enabled; use adaptive")


def _adaptive(subject: Subject) -> Iterator[RuleHit]:
    if _mode(subject) == "adaptive" and not subject.model.thinking_adaptive:
        yield RuleHit("thinking.type", "this model does not accept adaptive; use enabled")


def _budget(subject: Subject) -> Iterator[RuleHit]:
    if _mode(subject) != "enabled":
        return
    budget, limit = subject.number("thinking", "budget_tokens"), subject.request.max_tokens
    if budget is None or budget < _SMALLEST_BUDGET:
        yield RuleHit(
            "thinking.enabled.budget_tokens",
            f"Input should be greater than or equal to {_SMALLEST_BUDGET}",
        )
    # with tools and interleaved thinking, a beta the body does not show, the budget may be larger
    elif limit and budget >= limit and not subject.request.tools:
        yield RuleHit("", "`max_tokens` must be greater than `thinking.budget_tokens`.")


def _loop_start(subject: Subject) -> Iterator[RuleHit]:
    turn = _open_loop(subject) if _mode(subject) == "enabled" else None
    if turn is None:
        return
    first = next(block for block in turn.blocks if block.kind not in _BEFORE_THINKING)
    if first.kind not in THINKING_KINDS:
        yield RuleHit(
            f"{first.address}.type",
            f"Expected `thinking` or `redacted_thinking`, but found `{first.kind}`. When "
            "`thinking` is enabled, a final `assistant` message must start with a thinking block",
        )


def _open_loop(subject: Subject) -> Turn | None:
    """The assistant's turn that began the tool loop which the request is in the middle of.

    Without interleaved thinking the model thinks once, before its first call; the later turns of
    the loop begin with a call. So it is the first turn that must show the thinking. Whatever the
    user says beside results ends the loop (6.4).
    """
    began: Turn | None = None
    for turn in subject.turns:
        if turn.role == "user" and any(block.kind != "tool_result" for block in turn.blocks):
            began = None
        elif turn.role == "assistant" and began is None and turn.of("tool_use"):
            began = turn
    return began


RULES = (
    Rule(
        code="thinking.disabled",
        text="thinking is switched off only where the model allows it at this effort",
        source="4.1",
        check=_disabled,
        needs_model=True,
    ),
    Rule(
        code="thinking.between_tools",
        text="between_tools only on Sonnet 5.5, up to effort high",
        source="4.1",
        check=_between_tools,
        needs_model=True,
    ),
    Rule(
        code="thinking.enabled",
        text="a thinking budget only on models that take one",
        source="4.1",
        check=_enabled,
        needs_model=True,
    ),
    Rule(
        code="thinking.adaptive",
        text="adaptive thinking only on models that know it",
        source="4.1",
        check=_adaptive,
        needs_model=True,
    ),
    Rule(
        code="thinking.budget",
        text="a thinking budget is at least 1024 and less than max_tokens",
        source="4.1, 6.3",
        check=_budget,
    ),
    Rule(
        code="thinking.loop_start",
        text="with a thinking budget, an open tool loop begins with its thinking",
        source="8.5; wording [T] pydantic/pydantic-ai#2075",
        check=_loop_start,
    ),
)
