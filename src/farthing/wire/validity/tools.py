"""Rules of tool definitions and of the choice among them (4.1, 6.3, 8.7)."""

from __future__ import annotations

from collections.abc import Iterator

from farthing.wire.rendering import is_deferred
from farthing.wire.validity.rule import Rule, RuleHit, Subject

__all__ = ["RULES"]


def _all_deferred(subject: Subject) -> Iterator[RuleHit]:
    tools = subject.request.tools
    if tools and all(map(is_deferred, tools)):
        yield RuleHit("tools", "at least one tool must not have defer_loading")


def _tool_names(subject: Subject) -> set[str] | None:
    """The names that can be called; None if a toolset may define more than the body shows."""
    names = [tool.string("name") for tool in subject.request.tools]
    known = {name for name in names if name is not None}
    is_open = len(known) < len(names) or subject.is_continuation or subject.value("mcp_servers")
    return None if is_open else known


def _duplicate_name(subject: Subject) -> Iterator[RuleHit]:
    names = [name for tool in subject.request.tools if (name := tool.string("name")) is not None]
    if len(set(names)) < len(names):
        yield RuleHit("tools", "Tool names must be unique.")


def _chosen_tool(subject: Subject) -> Iterator[RuleHit]:
    names, chosen = _tool_names(subject), subject.word("tool_choice", "name")
    if names is None or not subject.is_tool_use_forced:
        return
    if not names:
        yield RuleHit("tool_choice", "tool_choice may only be specified while providing tools")
    elif chosen is not None and chosen not in names:
        yield RuleHit("tool_choice.name", f"Tool '{chosen}' not found in provided tools")


def _undefined_in_history(subject: Subject) -> Iterator[RuleHit]:
    names = _tool_names(subject)
    if names is None:
        return
    for call in subject.of("tool_use"):
        if call.string("name") not in names:
            yield RuleHit(call.address, f"tool {call.string('name')!r} is no longer defined")


RULES = (
    Rule(
        code="tools.all_deferred",
        text="at least one tool is loaded from the start",
        source="6.3, 8.7",
        check=_all_deferred,
    ),
    Rule(
        code="tools.duplicate_name",
        text="tool names are unique",
        source="[T] danny-avila/LibreChat#13162, anthropics/claude-code#10687",
        check=_duplicate_name,
    ),
    Rule(
        code="tool_choice.undefined",
        text="a forced tool is defined",
        source="4.1 [I]",
        check=_chosen_tool,
    ),
    Rule(
        code="tools.undefined_in_history",
        text="every tool named in the history stays defined",
        source="8.7",
        check=_undefined_in_history,
        severity="advice",
    ),
)
