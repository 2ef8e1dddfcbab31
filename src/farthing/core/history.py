"""Makes a conversation shorter without breaking it: the newest part, or a summary of the oldest.

Theory of operation
-------------------
Pruning cuts one piece out of the middle: what stays is the task (the first thing the user said)
and a suffix. So only the *seams* must be valid, and a seam is forbidden where two messages belong
together (API facts, section 8; provider's pages on tool calls and thinking, 2026-11):

- an assistant's tool calls and the user's results, however many messages they take (8.1-8.3);
- messages of the assistant in a row: the API reads them as one answer (8.4, 8.8, 8.16);
- a system message and what it follows (8.9).

The task stays even where it alone is over the limit, and so does the newest piece: a request
without the question that is open answers nothing.

A thinking block may be bound to all that stands before it, and a bound block after a cut is a 400;
*all* of them may go (6.5). So a cut takes all thinking along, unless the caller says that it must
stay: with a thinking budget an open tool loop has to begin with its thinking (8.5).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, TypedDict, TypeVar, cast

from farthing.core.message_values import (
    THINKING,
    blocks_of,
    estimate_message_tokens,
    has_kind,
    kind_of,
    role_of,
)
from farthing.wire.usage_objects import member_of

__all__ = ["SummaryMessage", "prune_messages", "summarize_history"]

#: a message as the caller types it: a plain dict, or the SDK's ``MessageParam``
_M = TypeVar("_M", bound=Mapping[str, object])

_BLANKS: Final = re.compile(r"[ \t\r\n]+")


class SummaryMessage(TypedDict):
    """A message of the user with text."""

    role: Literal["user"]
    content: str


def prune_messages(
    messages: Sequence[_M],
    max_tokens: int = 8000,
    *,
    count_tokens: Callable[[_M], int] = estimate_message_tokens,
    keep_thinking: bool = False,
) -> list[_M]:
    """The first task and the newest messages that fit, valid to send; the input is not touched.

    Tool calls stay with their results, the user speaks first, and neither the task nor the newest
    piece is ever dropped. ``count_tokens`` replaces the rule of thumb for a message's size;
    ``keep_thinking`` is for requests with a thinking budget.

    >>> messages = [
    ...     {"role": "user", "content": "Fix the bug."},
    ...     {"role": "assistant", "content": "Looking. " * 900},
    ...     {"role": "user", "content": "And?"},
    ... ]
    >>> [message["content"] for message in prune_messages(messages, max_tokens=500)]
    ['Fix the bug.', 'And?']
    """
    task = _task(messages)
    if task is None:  # nothing here may come first but what does
        return list(messages)
    start = _start(messages, task, max_tokens, count_tokens)
    kept = [messages[task], *messages[start:]]
    is_cut = len(kept) < len(messages)
    return _without_thinking(kept) if is_cut and not keep_thinking else kept


def summarize_history(
    messages: Sequence[Mapping[str, object]], *, keep_last: int = 12, characters: int = 200
) -> SummaryMessage:
    """All but the last messages as one user message, a line each, cut to so many characters.

    Deterministic and offline: the same messages give the same text. Put it before what
    ``prune_messages`` leaves of the rest, so that no tool result loses its call.

    >>> talk = [{"role": "user", "content": "Where is the invoice?"}] * 13
    >>> summarize_history(talk)
    {'role': 'user', 'content': '[Session summary] user: Where is the invoice?'}
    """
    if keep_last < 0 or characters < 0:
        raise ValueError(f"keep_last={keep_last!r}, characters={characters!r}: give 0 or more")
    old = messages[: max(0, len(messages) - keep_last)]
    lines = [f"{role_of(message)}: {_gist(message)[:characters]}" for message in old]
    text = "\n".join(lines) or "nothing yet"
    return SummaryMessage(role="user", content=f"[Session summary] {text}")


def _task(messages: Sequence[_M]) -> int | None:
    """Where the conversation starts: the user's first words, or a compaction in their place."""
    for index, message in enumerate(messages):
        if role_of(message) == "user" and not has_kind(message, "tool_result"):
            return index
        if [kind_of(block) for block in blocks_of(message)[:1]] == ["compaction"]:
            return index
    return None


def _start(
    messages: Sequence[_M], task: int, max_tokens: int, count_tokens: Callable[[_M], int]
) -> int:
    """The first message of the longest suffix that fits beside the task and may follow it."""
    linked = _links(messages)
    room = max_tokens - count_tokens(messages[task])
    start = len(messages)
    for index in reversed(range(task + 1, len(messages))):
        room -= count_tokens(messages[index])
        if room < 0 and start < len(messages):
            break
        if not linked[index] or index == task + 1:
            start = index
    return start


def _links(messages: Sequence[_M]) -> list[bool]:
    """For each message: must it stay with the one before it?"""
    linked = [False] * len(messages)
    has_results_ahead = False
    for index in reversed(range(1, len(messages))):
        role, before = role_of(messages[index]), role_of(messages[index - 1])
        if role == "user":
            has_results_ahead = has_results_ahead or has_kind(messages[index], "tool_result")
            linked[index] = has_results_ahead
        else:
            has_results_ahead = False
            linked[index] = role in {"system", before}
    return linked


def _without_thinking(messages: Sequence[_M]) -> list[_M]:
    """The same messages without thinking blocks; one of thinking alone goes as a whole."""
    kept = list[_M]()
    for message in messages:
        blocks = blocks_of(message)
        others = [block for block in blocks if kind_of(block) not in THINKING]
        if len(others) == len(blocks):
            kept.append(message)
        elif others:
            kept.append(cast("_M", {**message, "content": others}))
    return kept


def _gist(message: Mapping[str, object]) -> str:
    """What a message says, in one line, without its thinking."""
    parts = (_words(block) for block in blocks_of(message))
    return _BLANKS.sub(" ", " ".join(part for part in parts if part)).strip(" ")


def _words(block: object) -> str:
    kind = kind_of(block)
    if kind == "text":
        return str(member_of(block, "text") or "")
    if kind == "tool_use":
        return f"[calls {member_of(block, 'name')}]"
    if kind == "tool_result":
        inner = member_of(block, "content")
        return f"[result] {_gist({'content': inner})}"
    return "" if kind in THINKING else f"[{kind}]"
