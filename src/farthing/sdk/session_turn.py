"""One turn of a session as a conversation with its driver: effects go out, replies come in.

Theory of operation
-------------------
A turn asks Claude as often as tools are called. Each time, in this order: route (once a turn),
estimate, budget, loop, the call with its cache marks, settle. The generator does no I/O: it yields
``Ask`` or ``UseTool`` and is sent what came of it, or an exception is thrown in. The sync and the
async session are two short loops around it.

The history changes only when a turn has ended well. A turn that fails leaves the session as it was,
but what it spent stays spent. A call that the API refused costs nothing; of one that ended
otherwise (a timeout, a cut connection, a cancelled job) nobody knows, so its hold stays.

What counts as the same call, for the loop detector, is what Claude said last *and* what it is told
now, in full: three times "continue" between different answers is work, not a loop.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from farthing.core.loop_detector import LoopDetector
from farthing.core.marking import cached
from farthing.core.message_values import THINKING
from farthing.core.task_models import TaskModels, select_model
from farthing.errors import BudgetExceeded, FarthingError, LoopDetectedError
from farthing.sdk.session_budget import SessionBudget
from farthing.sdk.session_quote import Quotes
from farthing.sdk.session_tools import Toolbox
from farthing.wire.usage_objects import usage_of

if TYPE_CHECKING:
    from anthropic.types import Message

__all__ = ["Ask", "Conversation", "Effect", "UseTool"]

#: what differs between two blocks that say the same
_INCIDENTAL: Final = frozenset({"id", "tool_use_id", "cache_control", "citations", "caller"})
#: what the SDK's HTTP client raises where no connection came about
_NOT_SENT: Final = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Send this request; the reply is the message."""

    request: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class UseTool:
    """Run a tool; the reply is its content."""

    name: str
    arguments: dict[str, Any]


Effect = Ask | UseTool
_Steps = Generator[Effect, Any, Any]


@dataclass(slots=True, kw_only=True)
class Conversation:
    """What a session is between two turns, and how a turn goes on from there."""

    system: str | Sequence[Mapping[str, Any]] | None
    toolbox: Toolbox
    max_tokens: int
    policy: TaskModels | str | None
    budget: SessionBudget
    detector: LoopDetector
    messages: list[dict[str, Any]] = field(default_factory=list)
    quotes: Quotes = field(default_factory=Quotes)
    #: trying again what failed is not a loop
    failures: int = 0

    def turn(self, task_type: str, user_message: str, *, on: date) -> _Steps:
        """Everything between the user's words and Claude's last ones, which are returned."""
        new = [_message("user", user_message)]
        model = self._route(task_type, new)
        said = ""
        while True:
            answer = yield from self._ask(self._request(model, new), on=on)
            content = _content(answer)
            if content:
                new.append(_message("assistant", content))
            said += "".join(block["text"] for block in content if block["type"] == "text")
            calls = [block for block in content if block["type"] == "tool_use"]
            if calls:
                said = ""  # what comes after the tools is the answer
                new.append(_message("user", (yield from _results(calls))))
            elif answer.stop_reason != "pause_turn" or not content:
                self.messages += new
                return said

    def _route(self, task_type: str, new: Sequence[dict[str, Any]]) -> str:
        """The model for this turn; how long the input is depends on who reads it."""
        candidate = select_model(task_type, policy=self.policy)
        tokens = self.quotes.prompt_tokens(self._request(candidate, new))
        return select_model(task_type, tokens, policy=self.policy)

    def _request(self, model: str, new: Sequence[dict[str, Any]]) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": model,
            "max_tokens": self.max_tokens,
            "messages": [*self.messages, *new],
        }
        if self.system:
            request["system"] = self.system
        if self.toolbox.definitions:
            request["tools"] = self.toolbox.definitions
        return request

    def _ask(self, request: dict[str, Any], *, on: date) -> Generator[Effect, Message, Message]:
        """One call: held, watched for loops, sent with its marks, settled."""
        worst = self.quotes.worst(request, on=on)
        self.budget.hold(worst)
        try:
            self._check_loop(request["messages"])
            answer = yield Ask(request=cached(request))
        except (LoopDetectedError, BudgetExceeded):  # nothing was sent
            self.budget.settle(worst, 0)
            raise
        except Exception as error:
            self.failures += 1
            if _is_free(error):
                self.budget.settle(worst, 0)
            raise
        usage = usage_of(answer)
        cost = self.quotes.cost(usage, served=answer.model, asked=request["model"], on=on)
        self.budget.settle(worst, cost)
        return answer

    def _check_loop(self, messages: Sequence[Mapping[str, Any]]) -> None:
        match = self.detector.record(f"{self.failures} {_signature(messages)}")
        if match is not None:
            raise LoopDetectedError(
                f"the last {len(match.cycle)} call(s) of this session came {match.repeats} times "
                "in a row with the same answers: say something else, or start a new session",
                match=match,
            )


def _is_free(error: Exception) -> bool:
    """Did the API refuse the call, or did it never leave? The SDK keeps its transport's reason."""
    return hasattr(error, "status_code") or type(error.__cause__).__name__ in _NOT_SENT


def _results(calls: Sequence[Mapping[str, Any]]) -> _Steps:
    """The results of all calls of one answer, in one message."""
    results = list[dict[str, Any]]()
    for call in calls:
        result: dict[str, Any] = {"type": "tool_result", "tool_use_id": call["id"]}
        try:
            result["content"] = yield UseTool(name=call["name"], arguments=call["input"])
        except FarthingError:
            raise  # a budget or a loop inside the tool ends this turn too
        except Exception as error:  # noqa: BLE001  a tool that fails is Claude's to deal with
            result |= {"content": f"{type(error).__name__}: {error}", "is_error": True}
        results.append(result)
    return results


def _message(role: str, content: str | Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"role": role, "content": content}


def _content(answer: Message) -> list[dict[str, Any]]:
    """The answer's blocks as they can go back (API facts, 8.1 and 8.11).

    An empty text would be refused, and so would a call without its result: one that was cut off by
    ``max_tokens`` has none.
    """
    blocks = [block.to_dict(mode="json") for block in answer.content]
    return [
        block
        for block in blocks
        if block.get("text") != "" and (block["type"] != "tool_use" or _is_complete(answer))
    ]


def _is_complete(answer: Message) -> bool:
    return answer.stop_reason == "tool_use"


def _signature(messages: Sequence[Mapping[str, Any]]) -> str:
    """What Claude said last and what it is told now, without ids and thinking."""
    return json.dumps([_essence(message) for message in messages[-2:]], sort_keys=True)


def _essence(message: Mapping[str, Any]) -> list[object]:
    content = message["content"]
    if isinstance(content, str):
        return [content]
    return [
        {name: value for name, value in block.items() if name not in _INCIDENTAL}
        for block in content
        if block["type"] not in THINKING
    ]
