"""A conversation being written: messages and calls with a clock of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from msgspec import Raw

from farthing.traces.format import Call, Conversation, Message
from farthing.traces.instants import dump_instant

__all__ = ["Block", "Client", "Draft", "result_block", "text_block", "use_block"]

_SOURCE: Final = "scenario"

Block = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What all conversations of one program send alike."""

    model: str
    task_type: str
    system: Sequence[Block] = ()
    tools: Sequence[Block] = ()
    #: where it sets breakpoints, and for how long; none: it does not use the prompt cache
    markers: Sequence[str] = ()
    ttl: str | None = None
    interactive: bool = False


@dataclass(slots=True)
class Draft:
    """Grows by what is said to the model and by what it answers."""

    client: Client
    id: str
    started_at: float
    agent_id: str | None = None
    #: seconds since ``started_at``
    now: float = 0.0
    _messages: list[Message] = field(default_factory=list)
    _calls: list[Call] = field(default_factory=list)
    _uses: int = 0

    def ask(self, *blocks: Block, after: float = 0.0) -> None:
        """The next user message, so many seconds after the answer."""
        self.now += after
        self._messages.append(Message(role="user", content=_raw(blocks)))

    def answer(self, *blocks: Block, seconds: float) -> None:
        """One call: the request is everything so far, this is its answer."""
        began, self.now = self.now, self.now + seconds
        self._calls.append(
            Call(
                prompt_messages=len(self._messages),
                model=self.client.model,
                at=round(began, 3),
                done_at=round(self.now, 3),
                stop_reason="tool_use" if blocks[-1]["type"] == "tool_use" else "end_turn",
            )
        )
        self._messages.append(Message(role="assistant", content=_raw(blocks)))

    def use(self, name: str, arguments: Mapping[str, Any]) -> Block:
        """A tool use with an id of its own."""
        self._uses += 1
        return use_block(f"toolu_{self.id.replace('/', '_')}_{self._uses}", name, arguments)

    def finish(self) -> Conversation:
        """The conversation as a trace has it; its usage is still to be counted."""
        client = self.client
        return Conversation(
            id=f"{self.id}#0",
            source=_SOURCE,
            model=client.model,
            task_type=client.task_type,
            started_at=dump_instant(self.started_at),
            system=_raw(client.system),
            tools=_raw(client.tools),
            messages=self._messages,
            calls=self._calls,
            session_id=self.id.partition("/agent")[0],
            agent_id=self.agent_id,
            project=client.task_type,
            segment="subagent" if self.agent_id else "start",
            ttl=client.ttl,
            markers=list(client.markers),
            interactive=client.interactive,
        )


def text_block(text: str) -> Block:
    """A text."""
    return {"type": "text", "text": text}


def use_block(identity: str, name: str, arguments: Mapping[str, Any]) -> Block:
    """A tool use."""
    return {"type": "tool_use", "id": identity, "name": name, "input": dict(arguments)}


def result_block(use: Block, content: str) -> Block:
    """The result of a tool use."""
    return {"type": "tool_result", "tool_use_id": use["id"], "content": content}


def _raw(value: Any) -> Raw:
    return Raw(msgspec.json.encode(value))
