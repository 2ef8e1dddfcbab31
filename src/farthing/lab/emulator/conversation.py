"""Which conversations the Claude API refuses: pairing, roles, prefill, tools, documents.

Source: API facts, section 8 (rules by number) and 1.7. Runs of messages of one role are merged
first, as the API does (rule 8); what is wrong with a message alone was found when it was read.
"""

from __future__ import annotations

from collections.abc import Sequence

from farthing.lab.emulator.blocks import Block
from farthing.lab.emulator.call import Call
from farthing.lab.emulator.catalog import Model
from farthing.lab.emulator.prompt import Message, Prompt
from farthing.lab.emulator.refusal import invalid
from farthing.lab.emulator.validity import NEW_VERSION

__all__ = ["check_conversation"]

_MESSAGES_MAX = 100_000
_PREFILL = (
    "This model does not support assistant message prefill. The conversation must end with a user "
    "message."
)


def check_conversation(prompt: Prompt, model: Model, call: Call) -> None:
    """Refuse what is refused for its messages, tools or system."""
    if not prompt.messages:
        raise invalid("messages: at least one message is required")
    if len(prompt.messages) > _MESSAGES_MAX:
        raise invalid(f"messages: at most {_MESSAGES_MAX} messages are allowed")
    _check_alone(prompt)
    _check_tools(prompt.tools)
    _check_roles(prompt.messages, model)
    _check_pairs(prompt.messages)
    _check_end(prompt.messages, model)
    if call.version == NEW_VERSION:
        _check_new_version(prompt)


def _check_alone(prompt: Prompt) -> None:
    for m, message in enumerate(prompt.messages):
        for problem in message.problems:
            raise invalid(f"messages.{m}{problem}")
    for address, block in prompt.addresses():
        for problem in block.problems:
            raise invalid(f"{address}{problem}")


def _check_tools(tools: Sequence[Block]) -> None:
    names = [str(block.value.get("name", block.value.get("type"))) for block in tools]
    if len(set(names)) < len(names):
        raise invalid("tools: Tool names must be unique.")
    if tools and all(block.value.get("defer_loading") for block in tools):
        raise invalid("tools: At least one tool must have defer_loading=false.")


def _check_roles(messages: Sequence[Message], model: Model) -> None:
    """Rules 8 and 9: the first is the user's; a system message follows a user turn."""
    first = messages[0]
    compacted = bool(first.blocks) and first.blocks[0].kind == "compaction"
    if first.role == "assistant" and not compacted:
        raise invalid('messages: first message must use the "user" role')
    for at, message in enumerate(messages):
        if message.role != "system":
            continue
        if not model.system_messages:
            raise invalid(f'messages.{at}.role: "system" is not supported for this model')
        after = messages[at + 1] if at + 1 < len(messages) else None
        before_ok = at > 0 and (
            messages[at - 1].role == "user" or _ends_server_side(messages[at - 1])
        )
        if not before_ok or (after is not None and after.role != "assistant"):
            raise invalid(f'messages.{at}: a "system" message must follow a user turn')


def _ends_server_side(message: Message) -> bool:
    return bool(message.blocks) and message.blocks[-1].kind.endswith("_tool_result")


def _merged(
    messages: Sequence[Message],
) -> list[tuple[int, str, list[Block], list[str], list[str]]]:
    turns: list[tuple[int, str, list[Block], list[str], list[str]]] = []
    for at, message in enumerate(messages):
        if message.role == "system":
            continue
        if turns and turns[-1][1] == message.role:
            _, _, blocks, uses, results = turns[-1]
            blocks.extend(message.blocks)
            uses.extend(message.tool_use_ids)
            results.extend(message.tool_result_ids)
        else:
            turns.append(
                (
                    at,
                    message.role,
                    list(message.blocks),
                    list(message.tool_use_ids),
                    list(message.tool_result_ids),
                )
            )
    return turns


def _check_pairs(messages: Sequence[Message]) -> None:
    """Rules 1 and 2: each tool_use answered in the very next turn, no result without its use."""
    seen: set[str] = set()
    pending: list[str] = []
    for at, role, blocks, uses, results in _merged(messages):
        if role == "assistant":
            _check_unique(at, uses, seen)
            pending = uses
            continue
        _check_answered(at, pending, results)
        _check_results(at, blocks, pending, results)
        pending = []
    if pending:
        _check_answered(len(messages), pending, [])


def _check_unique(at: int, uses: Sequence[str], seen: set[str]) -> None:
    if len(set(uses)) < len(uses) or seen.intersection(uses):
        raise invalid(f"messages.{at}: `tool_use` ids must be unique")
    seen.update(uses)


def _check_answered(at: int, pending: Sequence[str], results: Sequence[str]) -> None:
    missing = [one for one in pending if one not in results]
    if missing:
        raise invalid(
            f"messages.{max(0, at - 1)}: `tool_use` ids were found without `tool_result` blocks "
            f"immediately after: {', '.join(missing)}. Each `tool_use` block must have a "
            "corresponding `tool_result` block in the next message."
        )


def _check_results(
    at: int, blocks: Sequence[Block], pending: Sequence[str], results: Sequence[str]
) -> None:
    for one in results:
        if one not in pending:
            raise invalid(
                f"messages.{at}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: "
                f"{one}. Each `tool_result` block must have a corresponding `tool_use` block in "
                "the previous message."
            )
    if len(set(results)) < len(results):
        raise invalid(f"messages.{at}: each tool_use must have a single result.")
    spoken = False
    for block in blocks:
        if block.kind == "tool_result" and spoken:
            raise invalid(f"messages.{at}: `tool_result` blocks must come first in the message")
        spoken = spoken or block.kind != "tool_result"


def _check_end(messages: Sequence[Message], model: Model) -> None:
    """Rule 10: a final assistant message is a prefill, which newer models refuse."""
    last = next((message for message in reversed(messages) if message.role != "system"), None)
    if last is None or last.role != "assistant" or _is_unfinished(last):
        return
    if not model.prefill:
        raise invalid(_PREFILL)
    text = str(last.blocks[-1].value.get("text", "")) if last.blocks else ""
    if text != text.rstrip():
        raise invalid("messages: final assistant content cannot end with trailing whitespace")


def _is_unfinished(message: Message) -> bool:
    """A paused server-tool turn is sent back as it is (rule 16); so is a compaction block."""
    kinds = {block.kind for block in message.blocks}
    return "server_tool_use" in kinds or kinds == {"compaction"}


def _check_new_version(prompt: Prompt) -> None:
    """What version 2026-10-21 newly refuses (section 1.7; rule 13)."""
    for m, message in enumerate(prompt.messages):
        for b, block in enumerate(message.blocks):
            if message.role == "assistant" and block.kind == "document":
                raise invalid(
                    f"messages.{m}.content.{b}: `document` is not allowed in an assistant message"
                )
            if message.role == "user" and block.kind == "text" and block.value.get("citations"):
                raise invalid(
                    f"messages.{m}.content.{b}.citations: must be empty on a user text block"
                )
