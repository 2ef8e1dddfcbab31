"""Rules of client tool calls and their results: each call answered, at once, once (8.1-8.4).

They hold for turns, that is for messages of one role in a row merged: how the client cuts a turn
into messages does not matter. A thread's ``continue`` body begins in the middle of the
conversation, so its first turn may answer calls that are not in it.
"""

from __future__ import annotations

from collections.abc import Iterator

from farthing.wire.validity.rule import Rule, RuleHit, Subject
from farthing.wire.validity.shapes import SERVER_CALLS, ids, message_address

__all__ = ["RULES"]

_ROLE_OF = {"tool_use": "assistant", "tool_result": "user"} | dict.fromkeys(
    SERVER_CALLS, "assistant"
)


def _unanswered(subject: Subject) -> Iterator[RuleHit]:
    for turn, after in subject.following:
        calls = turn.of("tool_use")
        if turn.role != "assistant" or not calls:
            continue
        results = after.of("tool_result") if after is not None and after.role == "user" else []
        answered = set(ids(results, "tool_use_id"))
        open_calls = [call for call in calls if call.string("id") not in answered]
        if open_calls:
            yield RuleHit(
                message_address(open_calls[0]),
                "`tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(ids(open_calls, 'id'))}. Each `tool_use` block must have a "
                "corresponding `tool_result` block in the next message.",
            )


def _orphan(subject: Subject) -> Iterator[RuleHit]:
    asked: set[str] = set()
    for place, turn in enumerate(subject.turns):
        is_answer_to_unseen = place == 0 and subject.is_continuation
        for result in turn.of("tool_result") if turn.role == "user" else ():
            id_ = result.string("tool_use_id") or ""
            if id_ not in asked and not is_answer_to_unseen:
                yield RuleHit(
                    result.address,
                    f"unexpected `tool_use_id` found in `tool_result` blocks: {id_}. Each "
                    "`tool_result` block must have a corresponding `tool_use` block in the "
                    "previous message.",
                )
        asked = set(ids(turn.of("tool_use"), "id")) if turn.role == "assistant" else set()


def _results_first(subject: Subject) -> Iterator[RuleHit]:
    for turn in subject.turns:
        other_seen = False
        for block in turn.blocks if turn.role == "user" else ():
            if block.kind != "tool_result":
                other_seen = True
            elif other_seen:
                yield RuleHit(
                    block.address, "`tool_result` blocks must come before any other content"
                )
                break


def _duplicate_call(subject: Subject) -> Iterator[RuleHit]:
    seen: set[str] = set()
    for call in subject.of("tool_use", *SERVER_CALLS):
        id_ = call.string("id") or ""
        if id_ in seen:
            yield RuleHit(call.address, f"`tool_use` ids must be unique: {id_}")
        seen.add(id_)


def _duplicate_result(subject: Subject) -> Iterator[RuleHit]:
    for turn in subject.turns:
        seen: set[str] = set()
        for result in turn.of("tool_result"):
            id_ = result.string("tool_use_id") or ""
            if id_ in seen:
                yield RuleHit(
                    result.address,
                    "each tool_use must have a single result. Found multiple `tool_result` "
                    f"blocks with id: {id_}",
                )
            seen.add(id_)


def _block_role(subject: Subject) -> Iterator[RuleHit]:
    for block in subject.of(*_ROLE_OF):
        role = _ROLE_OF[block.kind]
        if block.role != role:
            yield RuleHit(block.address, f"`{block.kind}` blocks can only be in `{role}` messages")


def _text_after_results(subject: Subject) -> Iterator[RuleHit]:
    for turn in subject.turns:
        results = turn.of("tool_result")
        last = turn.blocks[-1] if turn.blocks else None
        if results and last is not None and last.kind == "text":
            yield RuleHit(last.address, "text right after tool results invites empty answers")


RULES = (
    Rule(
        code="tools.unanswered",
        text="every client tool call is answered in the very next turn, by the user",
        source="8.1, 8.3",
        check=_unanswered,
    ),
    Rule(
        code="tools.orphan_result",
        text="every tool result answers a call of the turn just before",
        source="8.2, 8.4",
        check=_orphan,
    ),
    Rule(
        code="tools.results_first",
        text="in a turn, tool results come before everything else",
        source="8.1",
        check=_results_first,
    ),
    Rule(
        code="tools.duplicate_call",
        text="the ids of tool calls are unique",
        source="8.2",
        check=_duplicate_call,
    ),
    Rule(
        code="tools.duplicate_result",
        text="a call has one result",
        source="8.1",
        check=_duplicate_result,
    ),
    Rule(
        code="tools.block_role",
        text="calls stand in assistant messages, results in user messages",
        source="8.1, 8.4",
        check=_block_role,
    ),
    Rule(
        code="tools.text_after_results",
        text="no text right after tool results",
        source="8.14",
        check=_text_after_results,
        severity="advice",
    ),
)
