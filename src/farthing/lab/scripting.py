"""A recorded conversation as a script for the emulator: each answer by conversation and turn.

A client that sends ``x-emulator-conversation`` and ``x-emulator-turn`` then gets the recorded next
turn, however it rewrote the history before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from farthing.errors import UpstreamError
from farthing.traces.format import Call, Conversation, is_given
from farthing.wire.usage import parse_usage

__all__ = ["script_lines"]

#: transcripts hold the first count of a stream, not the last: better to measure the text
_PARTIAL_OUTPUT: Final = "claude-code"


def script_lines(conversation: Conversation) -> Iterator[dict[str, Any]]:
    """One line per recorded answer, in order; turns count from 0."""
    for turn, call in enumerate(call for call in conversation.calls if not call.synthetic):
        answer = _answer(conversation, call)
        if answer is None:
            continue
        line = {"conversation": conversation.id, "turn": turn, "content": answer}
        if call.stop_reason:
            line["stop_reason"] = call.stop_reason
        yield line | _counts(conversation, call)


def _answer(conversation: Conversation, call: Call) -> Any:
    """The content of the message behind the prompt; None if the recording ends before it."""
    at = call.prompt_messages
    if at >= len(conversation.messages) or conversation.messages[at].role != "assistant":
        return None
    content = msgspec.json.decode(conversation.messages[at].content)
    if isinstance(content, list):
        return [_unsigned(block) for block in content]
    return content


def _unsigned(block: Any) -> Any:
    """Thinking whose signature was not recorded gets one from the emulator."""
    if isinstance(block, dict) and block.get("type") == "thinking" and not block.get("signature"):
        return {name: value for name, value in block.items() if name != "signature"}
    return block


def _counts(conversation: Conversation, call: Call) -> dict[str, int]:
    if not is_given(call.usage):
        return {}
    try:
        usage = parse_usage(bytes(call.usage))
    except UpstreamError:
        return {}  # a foreign usage object: the emulator measures instead
    counts = {"prompt_tokens": usage.prompt} if usage.prompt else {}
    if usage.output and not conversation.source.startswith(_PARTIAL_OUTPUT):
        counts["output_tokens"] = usage.output
    return counts
