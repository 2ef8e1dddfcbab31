"""Message threads: the server keeps the conversation, a ``continue`` sends only what is new.

Source: API facts, section 4.8 (beta ``message-threads-2026-08-12``). A thread lives five minutes
after its last request; each reply can be continued once. What is billed is the reconstructed
prompt.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from farthing.lab.emulator.call import Call
from farthing.lab.emulator.prompt import Message, Prompt
from farthing.lab.emulator.refusal import invalid, not_found

__all__ = ["Threads"]

_BETA = "message-threads-2026-08-12"
_LIVES = 300.0
_UNSUPPORTED = ("context_management", "fallbacks")


@dataclass(slots=True)
class _Held:
    prompt: Prompt
    reply: Message
    ready_at: float
    expires: float
    continued: bool = False


class Threads:
    """The conversations held, by the id of their last reply and the workspace."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], _Held] = {}

    def resolve(self, prompt: Prompt, call: Call) -> Prompt:
        """The prompt a request stands for: itself, or the thread it continues plus itself."""
        thread = prompt.fields.get("thread")
        if thread is None:
            return prompt
        if not call.has_beta(_BETA):
            raise invalid("thread: Extra inputs are not permitted")
        self._check_supported(prompt)
        if thread.get("type") == "create":
            return prompt
        if thread.get("type") != "continue":
            raise invalid("thread.type: Input should be 'create' or 'continue'")
        return self._continued(prompt, str(thread.get("previous_message_id", "")), call)

    def _check_supported(self, prompt: Prompt) -> None:
        found = [name for name in _UNSUPPORTED if prompt.fields.get(name)]
        if found:
            raise invalid(
                f"thread: not supported together with {', '.join(found)}",
                code="thread_unsupported_request",
                unsupported=found,
            )

    def _continued(self, prompt: Prompt, previous: str, call: Call) -> Prompt:
        held = self._held.get((call.account.scope, previous))
        if held is None or call.now >= held.expires:
            raise not_found(f"thread: {previous} was not found", code="thread_not_found")
        if call.now < held.ready_at:
            raise invalid("thread: the reply is still in flight", code="thread_continue_in_flight")
        if held.continued:
            raise invalid(
                "thread: the reply was continued already", code="thread_already_continued"
            )
        for name in ("system", "tools"):
            if name in prompt.present:
                raise invalid(f"{name}: must not be sent with `thread.type: continue`")
        if held.prompt.model_id != prompt.model_id:
            raise invalid(
                "thread: the request does not fit the thread's", code="thread_fingerprint_mismatch"
            )
        return replace(
            prompt,
            tools=held.prompt.tools,
            system=held.prompt.system,
            messages=(*_unmarked(held.prompt.messages), held.reply, *prompt.messages),
        )

    def keep(
        self, sent: Prompt, whole: Prompt, reply: tuple[str, Message], call: Call, ready_at: float
    ) -> None:
        """Hold the conversation up to a served reply, given by its id and content."""
        thread = sent.fields["thread"]
        if previous := thread.get("previous_message_id"):
            held = self._held.get((call.account.scope, str(previous)))
            if held is not None:
                held.continued = True
        self._held = {key: one for key, one in self._held.items() if call.now < one.expires}
        held_now = _Held(whole, reply[1], ready_at, call.now + _LIVES)
        self._held[call.account.scope, reply[0]] = held_now

    def expire(self) -> None:
        """Forget every thread at once."""
        self._held.clear()


def _unmarked(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Marks count for the turn that sent them: a request takes only four."""
    return tuple(
        replace(message, blocks=tuple(replace(block, ttl=None) for block in message.blocks))
        if any(block.ttl for block in message.blocks)
        else message
        for message in messages
    )
