"""Rules of who speaks when: roles, system messages, the last word (8.8-8.10)."""

from __future__ import annotations

from collections.abc import Iterator

from farthing.wire.validity.rule import Rule, RuleHit, Subject, Turn
from farthing.wire.validity.shapes import SERVER_CALLS, is_server_result

__all__ = ["RULES"]

_ROLES = ("user", "assistant", "system")
_MOST_MESSAGES = 100_000


def _missing(subject: Subject) -> Iterator[RuleHit]:
    if not subject.request.messages:
        yield RuleHit("messages", "at least one message is required")


def _too_many(subject: Subject) -> Iterator[RuleHit]:
    count = len(subject.request.messages)
    if count > _MOST_MESSAGES:
        yield RuleHit("messages", f"at most {_MOST_MESSAGES} messages are allowed, found {count}")


def _unknown_role(subject: Subject) -> Iterator[RuleHit]:
    for message in subject.request.messages:
        if message.role not in _ROLES:
            yield RuleHit(
                f"messages.{message.index}.role",
                f'Unexpected role {message.role!r}. Allowed roles are "user" or "assistant"',
            )


def _first_role(subject: Subject) -> Iterator[RuleHit]:
    first = next(iter(subject.turns), None)
    if first is None or first.role != "assistant" or subject.is_continuation:
        return
    if not first.blocks or first.blocks[0].kind != "compaction":
        yield RuleHit("messages", 'first message must use the "user" role')


def _system_unsupported(subject: Subject) -> Iterator[RuleHit]:
    if subject.model.system_messages:
        return
    for turn in subject.turns:
        if turn.role == "system":
            yield RuleHit(f"{turn.address}.role", "this model does not accept system messages")


def _system_place(subject: Subject) -> Iterator[RuleHit]:
    before: Turn | None = None
    for turn, after in subject.following:
        if turn.role == "system":
            wrong = _misplacement(before, after, may_be_first=subject.is_continuation)
            if wrong is not None:
                yield RuleHit(f"{turn.address}.role", wrong)
        before = turn


def _misplacement(before: Turn | None, after: Turn | None, *, may_be_first: bool) -> str | None:
    """What is wrong with a system message between these turns; one reason is enough."""
    if before is None and not may_be_first:
        return "a system message cannot come first"
    if before is not None and not _may_precede_system(before):
        return "a system message must follow a user message or a server tool's result"
    if after is not None and after.role != "assistant":
        return "a system message must be the last or be followed by an assistant message"
    return None


def _may_precede_system(turn: Turn) -> bool:
    if turn.role == "assistant":
        return bool(turn.blocks) and is_server_result(turn.blocks[-1])
    return turn.role == "user"


def _last_word(subject: Subject) -> Turn | None:
    """The assistant's turn that the request ends with, if the model is to write it on."""
    last = subject.turns[-1] if subject.turns else None
    if last is None or last.role != "assistant":
        return None
    return None if _may_be_paused(last) else last


def _may_be_paused(turn: Turn) -> bool:
    """Was this answer paused, to go back as it is for the model to go on (8.16, 6.2)?

    A pause may come at any place of a turn in which server tools run, so also behind text; the body
    does not tell it from a prefill.
    """
    if any(block.kind in SERVER_CALLS or is_server_result(block) for block in turn.blocks):
        return True
    return bool(turn.blocks) and turn.blocks[-1].kind == "compaction"


def _prefill(subject: Subject) -> Iterator[RuleHit]:
    if not subject.model.prefill and _last_word(subject) is not None:
        yield RuleHit(
            "",
            "This model does not support assistant message prefill. The conversation must end "
            "with a user message.",
        )


def _prefill_space(subject: Subject) -> Iterator[RuleHit]:
    turn = _last_word(subject)
    end = turn.blocks[-1] if turn is not None and turn.blocks else None
    text = None if end is None else end.text
    if text is not None and text != text.rstrip():
        yield RuleHit("messages", "final assistant content cannot end with trailing whitespace")


RULES = (
    Rule(
        code="messages.missing",
        text="there is at least one message",
        source="8.8",
        check=_missing,
    ),
    Rule(
        code="messages.too_many",
        text="there are at most 100,000 messages",
        source="4.1",
        check=_too_many,
    ),
    Rule(
        code="messages.role",
        text="a role is user, assistant or system",
        source="4.1, 8.9",
        check=_unknown_role,
    ),
    Rule(
        code="messages.first_role",
        text="the first message is the user's, or begins with a compaction",
        source="8.8 (sometimes accepted; not to be relied on)",
        check=_first_role,
    ),
    Rule(
        code="system_message.unsupported",
        text="system messages only on models that accept them",
        source="2.6",
        check=_system_unsupported,
        needs_model=True,
    ),
    Rule(
        code="system_message.place",
        text="a system message follows the user or a server tool's result, and comes before the "
        "assistant or at the end; never first, never between a call and its result",
        source="8.9",
        check=_system_place,
    ),
    Rule(
        code="messages.prefill",
        text="the last message is not the assistant's, except where the model accepts prefill or "
        "goes on with a paused answer",
        source="4.1, 8.10, 8.16",
        check=_prefill,
        needs_model=True,
    ),
    Rule(
        code="messages.prefill_space",
        text="a prefilled answer does not end in whitespace",
        source="8.10",
        check=_prefill_space,
    ),
)
