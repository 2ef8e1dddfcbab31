"""Rules of tools that run at the provider, and of calls that its code makes (6.3, 8.4, 8.16, 8.18).

Such a call has its result in an assistant message; while it is running, the user may answer the
calls it made and say nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator

from farthing.wire.blocks import Block
from farthing.wire.validity.rule import Rule, RuleHit, Subject, Turn
from farthing.wire.validity.shapes import (
    SERVER_CALLS,
    ids,
    is_server_result,
    member,
    message_address,
    word,
)

__all__ = ["RULES"]


def _caller(call: Block, name: str) -> str | None:
    caller = call.get("caller")
    return None if caller is None else word(member(caller, name))


def _server_orphan(subject: Subject) -> Iterator[RuleHit]:
    calls: set[str] = set()
    for turn in () if subject.is_continuation else subject.turns:
        for block in turn.blocks:
            if block.kind in SERVER_CALLS:
                calls.add(block.string("id") or "")
            elif is_server_result(block) and block.string("tool_use_id") not in calls:
                yield RuleHit(
                    block.address,
                    f"unexpected `tool_use_id` found in `{block.kind}` blocks: "
                    f"{block.string('tool_use_id')}. Each `{block.kind}` block must have a "
                    "corresponding `server_tool_use` block before it.",
                )


def _server_unresulted(subject: Subject) -> Iterator[RuleHit]:
    """Only what the last assistant turn has begun may still be running: ``pause_turn``, or code
    that waits for the results of the tools it called.
    """
    resulted = {
        block.string("tool_use_id") for block in subject.request.blocks if is_server_result(block)
    }
    last = next((turn for turn in reversed(subject.turns) if turn.role == "assistant"), None)
    if last is None:
        return
    running = set(ids(last.of(*SERVER_CALLS), "id"))
    running |= {_caller(call, "tool_id") or "" for call in last.of("tool_use")}
    for call in subject.of(*SERVER_CALLS):
        id_ = call.string("id") or ""
        if id_ not in resulted and id_ not in running:
            name = call.string("name")
            yield RuleHit(
                message_address(call),
                f"`{name}` tool use with id `{id_}` was found without a corresponding "
                f"`{name}_tool_result` block",
            )


def _only_results(turn: Turn, reason: str) -> Iterator[RuleHit]:
    other = next((block for block in turn.blocks if block.kind != "tool_result"), None)
    if other is not None:
        yield RuleHit(other.address, f"only `tool_result` blocks may follow {reason}")


def _pending_server_tool(subject: Subject) -> Iterator[RuleHit]:
    for turn, after in subject.following:
        if after is None or turn.role != "assistant" or after.role != "user":
            continue
        resulted = {block.string("tool_use_id") for block in turn.blocks if is_server_result(block)}
        if any(call.string("id") not in resulted for call in turn.of(*SERVER_CALLS)):
            yield from _only_results(after, "a server tool that is still running")


def _programmatic(subject: Subject) -> Iterator[RuleHit]:
    for turn, after in subject.following:
        if after is None or after.role != "user":
            continue
        callers = (_caller(call, "type") for call in turn.of("tool_use"))
        if any(caller not in (None, "direct") for caller in callers):
            yield from _only_results(after, "calls made by code")


RULES = (
    Rule(
        code="server_tools.orphan_result",
        text="a server tool's result stands behind its call",
        source="8.4; wording [T] anthropics/claude-code#65726",
        check=_server_orphan,
    ),
    Rule(
        code="server_tools.unresulted",
        text="a server tool's call has its result, unless it is still running",
        source="8.4, 8.16, 6.3",
        check=_server_unresulted,
    ),
    Rule(
        code="server_tools.pending",
        text="while a server tool is running, the user sends tool results only",
        source="8.4",
        check=_pending_server_tool,
    ),
    Rule(
        code="tools.programmatic",
        text="calls made by code are answered by tool results only",
        source="6.3, 8.18",
        check=_programmatic,
    ),
)
