"""A seeded agent: answers any request, calls tools, loops on demand, says as much as it is told to.

Told by the header ``x-emulator-answer`` or by ``[[emulator: ...]]`` anywhere in a user's text:
``tools=2`` (rounds of tool calls before it answers), ``parallel=3`` (calls a round), ``loop`` (the
same call for ever), ``output=500`` (tokens of text), ``thinking=200``, ``search=1`` (server-side
web searches), ``stop=refusal``. Without a word it plays a small task decided by the seed and the
first message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from typing import Any

import msgspec

from farthing.lab.emulator.answers import Answer, Question
from farthing.lab.emulator.blocks import Block
from farthing.lab.emulator.chain import thinking_mode
from farthing.lab.emulator.ids import spell_id
from farthing.lab.emulator.schema_values import value_for
from farthing.lab.emulator.server_tools import search_blocks

__all__ = ["Agent", "words"]

_TOLD = re.compile(r"\[\[emulator:([^\]]*)\]\]")
# words that both stand-in tokenizers leave whole
_WORDS = "we run the test that fix all in main with what part when from none read".split()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Orders:
    rounds: int
    parallel: int
    output: int
    thinking: int
    searches: int
    loop: bool
    stop: str | None


def words(tokens: int) -> str:
    """A text of about that many tokens: words of one piece each."""
    count = max(1, tokens - 2)
    return " ".join(_WORDS[n % len(_WORDS)] for n in range(count))


class Agent:
    """Knows an answer to every question; the same question has the same answer."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def find(self, question: Question) -> Answer:
        """What the agent says."""
        random = self._random(question)
        orders = self._orders(question, random)
        blocks: list[dict[str, Any]] = []
        thinks = thinking_mode(question.prompt.fields, question.model) in ("adaptive", "enabled")
        if thinks and orders.thinking:
            blocks.append({"type": "thinking", "thinking": _summary(question, orders.thinking)})
        if orders.stop == "refusal":
            return Answer(
                stop_reason="refusal",
                stop_details={"type": "refusal", "category": "cyber", "explanation": None},
                output_tokens=0,
            )
        blocks.extend(self._speech(question, orders, random))
        return Answer(
            content=tuple(blocks),
            stop_reason=orders.stop,
            thinking_tokens=orders.thinking if thinks else 0,
        )

    def use(self, question: Question, answer: Answer) -> None:
        """Nothing to count: the agent never runs out."""

    def _speech(self, question: Question, orders: _Orders, random: Random) -> list[dict[str, Any]]:
        schema = _wanted_schema(question)
        if schema is not None:
            return [{"type": "text", "text": _json_text(value_for(schema, random))}]
        tools = _callable(question)
        if tools and (orders.loop or _rounds_done(question) < orders.rounds):
            text = {"type": "text", "text": "Let me check."}
            return [text, *self._calls(question, orders, tools, random)]
        text = {"type": "text", "text": words(orders.output)}
        return [*search_blocks(orders.searches, question.call.request_id), text]

    def _calls(
        self, question: Question, orders: _Orders, tools: list[Block], random: Random
    ) -> list[dict[str, Any]]:
        calls = []
        for n in range(orders.parallel):
            tool = tools[0] if orders.loop else tools[(n + _rounds_done(question)) % len(tools)]
            schema = tool.value.get("input_schema") or {}
            chosen = Random(self._seed) if orders.loop else random
            identifier = spell_id("toolu_", f"{question.call.request_id}/{n}")
            calls.append(
                {
                    "type": "tool_use",
                    "id": identifier,
                    "name": tool.value.get("name", ""),
                    "input": value_for(schema, chosen),
                }
            )
        return calls

    def _random(self, question: Question) -> Random:
        digest = blake2b(str(self._seed).encode(), digest_size=8)
        for message in question.prompt.messages:
            for block in message.blocks:
                digest.update(block.digest)
        return Random(digest.digest())

    def _orders(self, question: Question, random: Random) -> _Orders:
        told = _told(question)
        forced = _forced_tool(question)
        first = question.prompt.messages[0].blocks if question.prompt.messages else ()
        task = Random(first[0].digest if first else b"")
        return _Orders(
            rounds=int(told.get("tools", max(forced, task.randint(0, 2)))),
            parallel=int(told.get("parallel", 1)),
            output=int(told.get("output", random.randint(20, 120))),
            thinking=int(told.get("thinking", random.randint(20, 60))),
            searches=int(told.get("search", 0)),
            loop="loop" in told,
            stop=told.get("stop"),
        )


def _told(question: Question) -> Mapping[str, str]:
    text = question.call.headers.get("x-emulator-answer", "")
    if not text:
        for message in question.prompt.messages:
            for block in message.blocks if message.role == "user" else ():
                for found in _TOLD.findall(str(block.value.get("text", ""))):
                    text = found
    pairs = (word.partition("=") for word in text.replace(",", " ").split())
    return {name: value for name, _, value in pairs}


def _forced_tool(question: Question) -> int:
    choice = question.prompt.fields.get("tool_choice")
    forced = isinstance(choice, dict) and choice.get("type") in ("any", "tool")
    return _rounds_done(question) + 1 if forced else 0


def _callable(question: Question) -> list[Block]:
    choice = question.prompt.fields.get("tool_choice")
    choice = choice if isinstance(choice, dict) else {}
    if choice.get("type") == "none":
        return []
    own = [b for b in question.prompt.tools if "input_schema" in b.value]
    if choice.get("type") == "tool":
        own = [block for block in own if block.value.get("name") == choice.get("name")]
    return own


def _rounds_done(question: Question) -> int:
    """Tool rounds since the user last spoke."""
    rounds = 0
    for message in reversed(question.prompt.messages):
        if message.role == "assistant":
            rounds += bool(message.tool_use_ids)
        elif message.role == "user" and not message.tool_result_ids:
            break
    return rounds


def _wanted_schema(question: Question) -> Any:
    config = question.prompt.fields.get("output_config")
    form = config.get("format") if isinstance(config, dict) else None
    return form.get("schema") if isinstance(form, dict) else None


def _summary(question: Question, tokens: int) -> str:
    asked = question.prompt.fields.get("thinking")
    display = asked.get("display") if isinstance(asked, dict) else None
    shown = display == "summarized" or (display is None and not question.model.new_tokenizer)
    return words(min(tokens, 40)) if shown else ""


def _json_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
