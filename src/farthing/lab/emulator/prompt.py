"""A Messages body as the emulated model sees it: blocks in render order, with digest and size.

Theory of operation. A body is cut into raw JSON slices, one per tool, system block and message; an
agent re-sends the same slices turn after turn, so everything that depends on one slice alone (its
digest, its size in tokens, its own mistakes) is remembered by the slice's bytes.
Rules of the file: nothing here knows a model, a clock or another block.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from farthing.lab.emulator.block_rules import message_problems
from farthing.lab.emulator.blocks import Block, block_of
from farthing.lab.emulator.refusal import invalid
from farthing.lab.emulator.shapes import check_shapes

__all__ = ["Message", "Prompt", "PromptReader"]

_SLICED = frozenset({"tools", "system", "messages"})


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of ``messages``; ``problems`` are what is wrong with it taken alone."""

    role: str
    blocks: tuple[Block, ...]
    is_string: bool = False
    problems: tuple[str, ...] = ()
    tool_use_ids: tuple[str, ...] = ()
    tool_result_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A parsed request; ``fields`` are the decoded members other than tools, system, messages."""

    fields: Mapping[str, Any]
    tools: tuple[Block, ...] = ()
    system: tuple[Block, ...] = ()
    messages: tuple[Message, ...] = ()
    present: frozenset[str] = field(default_factory=frozenset)

    @property
    def model_id(self) -> str:
        """The model asked for."""
        return str(self.fields.get("model", ""))

    def blocks(self) -> Iterator[Block]:
        """Every block in render order: tools, system, messages."""
        yield from self.tools
        yield from self.system
        for message in self.messages:
            yield from message.blocks

    def addresses(self) -> Iterator[tuple[str, Block]]:
        """Every block with the path that error messages use."""
        yield from ((f"tools.{n}", block) for n, block in enumerate(self.tools))
        yield from ((f"system.{n}", block) for n, block in enumerate(self.system))
        for m, message in enumerate(self.messages):
            yield from (
                (f"messages.{m}.content.{n}", block) for n, block in enumerate(message.blocks)
            )


class PromptReader:
    """Parses bodies, remembering what it learned of each raw slice, up to so many raw bytes."""

    def __init__(self, *, bytes_max: int = 64 * 1024 * 1024) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._seen: OrderedDict[tuple[str, bytes], Any] = OrderedDict()

    def read(self, body: bytes) -> Prompt:
        """The prompt of a body, or the 400 of a body that is no JSON object of the right shape."""
        slices = _members(body)
        fields: dict[str, Any] = {}
        for name, raw in slices.items():
            if name not in _SLICED:
                fields[name] = _decoded(raw)
        check_shapes(fields)
        return Prompt(
            fields=fields,
            present=frozenset(slices),
            tools=tuple(self._tool(raw) for raw in _elements(slices, "tools")),
            system=self._system(slices.get("system")),
            messages=tuple(self._message(raw) for raw in _elements(slices, "messages")),
        )

    def message_of(self, value: Mapping[str, Any]) -> Message:
        """The message of a decoded value, as if it had been sent."""
        return self._message(msgspec.Raw(msgspec.json.encode(value)))

    def _tool(self, raw: msgspec.Raw) -> Block:
        key = ("tool", bytes(raw))
        if (known := self._recall(key)) is None:
            known = self._keep(key, block_of("tools", None, _object(raw, "tools")))
        assert isinstance(known, Block)
        return known

    def _system(self, raw: msgspec.Raw | None) -> tuple[Block, ...]:
        if raw is None or bytes(raw) == b"null":
            return ()
        key = ("system", bytes(raw))
        if (known := self._recall(key)) is None:
            known = self._keep(key, _system_blocks(_decoded(raw)))
        assert isinstance(known, tuple)
        return known

    def _message(self, raw: msgspec.Raw) -> Message:
        key = ("message", bytes(raw))
        if (known := self._recall(key)) is None:
            known = self._keep(key, _message(_object(raw, "messages")))
        assert isinstance(known, Message)
        return known

    def _recall(self, key: tuple[str, bytes]) -> object:
        if (known := self._seen.get(key)) is not None:
            self._seen.move_to_end(key)
        return known

    def _keep(self, key: tuple[str, bytes], known: object) -> object:
        self._seen[key] = known
        self._bytes += len(key[1])
        while self._bytes > self._bytes_max and len(self._seen) > 1:
            (_, oldest), _ = self._seen.popitem(last=False)
            self._bytes -= len(oldest)
        return known


def _decoded(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise invalid(f"The request body is not valid JSON: {error}") from error


def _members(body: bytes) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(f"The request body is not valid JSON: {error}") from error


def _elements(slices: Mapping[str, msgspec.Raw], name: str) -> list[msgspec.Raw]:
    raw = slices.get(name)
    if raw is None or bytes(raw) == b"null":
        return []
    try:
        return msgspec.json.decode(raw, type=list[msgspec.Raw])
    except msgspec.DecodeError as error:
        raise invalid(f"{name}: Input should be a valid list") from error


def _object(raw: msgspec.Raw, name: str) -> dict[str, Any]:
    value = _decoded(raw)
    if not isinstance(value, dict):
        raise invalid(f"{name}: Input should be a valid dictionary")
    return value


def _system_blocks(value: Any) -> tuple[Block, ...]:
    if isinstance(value, str):
        # an empty string is accepted and renders nothing (section 8, rule 11)
        return (block_of("system", None, {"type": "text", "text": value}),) if value else ()
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise invalid("system: Input should be a valid string or a list of text blocks")
    return tuple(block_of("system", None, item) for item in value)


def _message(value: dict[str, Any]) -> Message:
    role = str(value.get("role", ""))
    content = value.get("content", "")
    if isinstance(content, str):
        texts = [{"type": "text", "text": content}] if content else []
        blocks = tuple(block_of("messages", role, text) for text in texts)
    elif isinstance(content, list) and all(isinstance(item, dict) for item in content):
        blocks = tuple(block_of("messages", role, item) for item in content)
    else:
        raise invalid("messages: content: Input should be a valid string or a list of blocks")
    return Message(
        role=role,
        blocks=blocks,
        is_string=isinstance(content, str),
        problems=message_problems(role, content),
        tool_use_ids=_ids(blocks, "tool_use", "id"),
        tool_result_ids=_ids(blocks, "tool_result", "tool_use_id"),
    )


def _ids(blocks: tuple[Block, ...], kind: str, name: str) -> tuple[str, ...]:
    return tuple(str(block.value.get(name, "")) for block in blocks if block.kind == kind)
