"""What the emulated model says: the question as a source sees it, the answer, and who is asked
first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from farthing.lab.emulator.call import Call
from farthing.lab.emulator.catalog import Model
from farthing.lab.emulator.prompt import Prompt

__all__ = ["Answer", "AnswerChain", "AnswerSource", "Question", "matches"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request to be answered."""

    prompt: Prompt
    model: Model
    call: Call

    @property
    def conversation(self) -> str | None:
        """The recorded conversation the caller is replaying, by header."""
        return self.call.headers.get("x-emulator-conversation")

    @property
    def turn(self) -> int | None:
        """The recorded turn the caller wants, by header."""
        text = self.call.headers.get("x-emulator-turn", "")
        return int(text) if text.isdigit() else None

    def user_text(self) -> str:
        """What the last user message says, without tool results."""
        for message in reversed(self.prompt.messages):
            if message.role == "user":
                return "\n".join(str(b.value["text"]) for b in message.blocks if "text" in b.value)
        return ""

    def system_text(self) -> str:
        """What the system says."""
        return "\n".join(str(block.value.get("text", "")) for block in self.prompt.system)

    def turns_so_far(self) -> int:
        """How often the model has spoken in this conversation."""
        return sum(message.role == "assistant" for message in self.prompt.messages)

    def has_results(self) -> bool:
        """Whether what was said last carries tool results; system messages may follow it."""
        said = [message for message in self.prompt.messages if message.role != "system"]
        return bool(said) and bool(said[-1].tool_result_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model says, and what it costs where that is recorded."""

    content: tuple[dict[str, Any], ...] = ()
    stop_reason: str | None = None
    stop_details: Mapping[str, Any] | None = None
    output_tokens: int | None = None
    thinking_tokens: int | None = None
    # recorded sizes of the prompt: per block, or of the whole
    sizes: Sequence[int] | None = None
    prompt_tokens: int | None = None
    fault: str = ""
    ticket: int | None = None


class AnswerSource(Protocol):
    """Something that may know what to say."""

    def find(self, question: Question) -> Answer | None:
        """The answer, or none to let the next source try; changes nothing."""
        ...

    def use(self, question: Question, answer: Answer) -> None:
        """The answer was served."""
        ...


class AnswerChain:
    """Asks one source after the other."""

    def __init__(self, sources: Sequence[AnswerSource]) -> None:
        self._sources = sources

    def find(self, question: Question) -> tuple[Answer, AnswerSource]:
        """The first answer there is; the last source always knows one."""
        for source in self._sources:
            if (answer := source.find(question)) is not None:
                return answer, source
        raise AssertionError("the last source of a chain answers every question")


def matches(when: Mapping[str, Any], question: Question) -> bool:
    """Whether a question is the one a script line or a rule is meant for."""
    return all(_CONDITIONS[name](question, want) for name, want in when.items())


_CONDITIONS: Mapping[str, Callable[[Question, Any], bool]] = {
    "contains": lambda question, want: want in question.user_text(),
    "system_contains": lambda question, want: want in question.system_text(),
    "model": lambda question, want: question.prompt.model_id.startswith(want),
    "has_tools": lambda question, want: bool(question.prompt.tools) is want,
    "has_results": lambda question, want: question.has_results() is want,
    "turn": lambda question, want: question.turns_so_far() == want,
    "header": lambda question, want: want.items() <= question.call.headers.items(),
}
