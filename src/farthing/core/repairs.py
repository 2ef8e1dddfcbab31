"""Equivalent repairs of what breaks the prompt cache: edits that are functions of the request.

Theory of operation. The same history must give the same bytes on every turn, every replica and
after every restart. So a repair looks at nothing but the request, and at the place that the pin of
its lineage remembers; whether it is made at all is the pin's too (``farthing.core.pins``).

- ``repair.tools_order`` sorts the tools by name, deferred ones last. A mark stays at its position,
  not with its tool: it says where a prefix ends.
- ``repair.schema_keys`` sorts the keys in each ``input_schema``; arrays keep their order.
- ``repair.volatile_system`` takes the lines out of the system prompt that hold a timestamp, a date,
  an id or a user's name, and puts them where less lies behind them, whole and in their order. As a
  ``role: system`` message where the model takes one in mid-conversation (Opus 4.8 and 5 on, Fable
  and Mythos 5 on, Sonnet 5.5, Haiku 5.5; API facts 2.6), else as a text block of the user's.
  ``head`` is behind the first turn of the user: there it stays for the whole conversation, so what
  follows is appended behind it and thinking that is bound to its prefix survives. ``tail`` is the
  end of the request, for lines that change on every turn: it moves from turn to turn, so it is
  refused where thinking is bound to its prefix.

A moved line costs its own tokens as plain input, nothing else: it is not cached, nor is the prompt
longer but for the message around it.

Nothing is repaired by halves: if the repaired request would break a rule of ``wire.validity`` that
the client's did not, the repair is declined and the bytes stay.

Interface: ``repair(request, traits, choices)`` → ``Repaired`` (request, applied, declined).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from farthing.core.pins import RepairChoice
from farthing.core.volatile import VOLATILE, detect
from farthing.errors import RequestError
from farthing.wire import json
from farthing.wire.apply import apply
from farthing.wire.blocks import Block
from farthing.wire.canonical import normal
from farthing.wire.edits import (
    Edit,
    InsertBlock,
    InsertMessage,
    RemoveBlock,
    ReplaceText,
    SetField,
    SetTopLevel,
)
from farthing.wire.models import ModelTraits
from farthing.wire.rendering import is_attribution, is_deferred
from farthing.wire.request import Request
from farthing.wire.sorted_json import sorted_keys
from farthing.wire.validity import check

__all__ = ["Repaired", "repair", "volatile_lines"]

_MARK: Final = "cache_control"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """The request to plan on, and what was and was not done to it."""

    request: Request
    applied: tuple[str, ...] = ()
    #: lever and reason: ``repair.tools_order:nothing_to_do``
    declined: tuple[str, ...] = ()


class _DeclinedError(Exception):
    """A repair that does not fit this request; its argument is the reason code."""


_Repair = Callable[[Request, ModelTraits, str], list[Edit]]


def repair(request: Request, traits: ModelTraits, choices: Sequence[RepairChoice]) -> Repaired:
    """Make the chosen repairs, one after the other, each valid or not at all."""
    applied: list[str] = []
    declined: list[str] = []
    now = request
    for choice in choices:
        try:
            now = _made(now, traits, choice)
            applied.append(choice.lever)
        except _DeclinedError as reason:
            declined.append(f"{choice.lever}:{reason}")
        except RequestError:
            declined.append(f"{choice.lever}:unreadable")
    return Repaired(request=now, applied=tuple(applied), declined=tuple(declined))


def _made(request: Request, traits: ModelTraits, choice: RepairChoice) -> Request:
    edits = _REPAIRS[choice.lever](request, traits, choice.place)
    if not edits:
        raise _DeclinedError("nothing_to_do")
    after = Request.parse(apply(request, edits))
    before = {violation.code for violation in check(request, traits)}
    if any(violation.code not in before for violation in check(after, traits)):
        raise _DeclinedError("invalid")
    return after


# -- tools ----------------------------------------------------------------------------------------


def _tools_order(request: Request, traits: ModelTraits, place: str) -> list[Edit]:  # noqa: ARG001
    tools = request.tools
    ordered = sorted(tools, key=_tool_key)
    if list(ordered) == list(tools):
        return []
    marks = [tool.get(_MARK) for tool in tools]
    values = [_with_mark(tool, mark) for tool, mark in zip(ordered, marks, strict=True)]
    return [SetTopLevel("tools", b"[%b]" % b",".join(values))]


def _tool_key(tool: Block) -> tuple[bool, str, bytes]:
    name = tool.string("name") or tool.string("type") or ""
    return is_deferred(tool), name, tool.digest


def _with_mark(tool: Block, mark: bytes | None) -> bytes:
    """The tool as it stands, but for its mark."""
    if tool.get(_MARK) == mark:
        return tool.raw
    members = [member for member in json.members(tool.raw) if member.name != _MARK]
    kept = [tool.raw[member.key_start : member.end] for member in members]
    if mark is not None:
        kept.append(b'"cache_control":%b' % mark)
    return b"{%b}" % b",".join(kept)


def _schema_keys(request: Request, traits: ModelTraits, place: str) -> list[Edit]:  # noqa: ARG001
    found: list[Edit] = []
    for tool in request.tools:
        schema = tool.get("input_schema")
        if schema is None:
            continue
        after = sorted_keys(schema)
        if normal(after) != normal(schema):  # whitespace alone is not rendered
            found.append(SetField(tool.address, "input_schema", after))
    return found


# -- volatile lines of the system prompt ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Split:
    """A system block in two: what stays, and what is moved."""

    block: Block
    stays: str
    moved: str


def volatile_lines(block: Block) -> tuple[str, str]:
    """The text of a system block without its volatile lines, and those lines."""
    lines = (block.text or "").splitlines(keepends=True)
    is_moved = [_is_volatile(line) for line in lines]
    parts = [
        "".join(line for line, moved in zip(lines, is_moved, strict=True) if moved is wanted)
        for wanted in (False, True)
    ]
    return parts[0], parts[1]


def _is_volatile(line: str) -> bool:
    return any(one.detector in VOLATILE for one in detect(line.encode(errors="replace")))


def _volatile_system(request: Request, traits: ModelTraits, place: str) -> list[Edit]:
    splits = list(_splits(request))
    if not splits:
        return []
    if place == "tail" and traits.binds_thinking != "no":
        raise _DeclinedError("thinking_is_bound")
    edits = [_shortened(split) for split in splits]
    if len(edits) == len(request.system) and all(isinstance(edit, RemoveBlock) for edit in edits):
        raise _DeclinedError("nothing_stays")
    moved = "\n".join(split.moved.strip("\n") for split in splits)
    return [*edits, _placed(request, traits, place, moved)]


def _splits(request: Request) -> Iterator[_Split]:
    for block in request.system:
        if block.text is None or is_attribution(block):
            continue
        stays, moved = volatile_lines(block)
        if moved:
            yield _Split(block, stays, moved)


def _shortened(split: _Split) -> Edit:
    if split.stays.strip():
        return ReplaceText(split.block.address, split.stays)
    if split.block.is_string:
        raise _DeclinedError("nothing_stays")
    if split.block.cache_control is not None:
        raise _DeclinedError("client_mark")
    return RemoveBlock(split.block.address)


def _placed(request: Request, traits: ModelTraits, place: str, text: str) -> Edit:
    block = json.encode({"type": "text", "text": text})
    end = _end_of_turn(request) if place != "tail" else len(request.messages)
    if not end or request.messages[end - 1].role != "user":
        raise _DeclinedError("no_place")
    if traits.system_messages:
        return InsertMessage(end, b'{"role":"system","content":[%b]}' % block)
    message = request.messages[end - 1]
    if any(each.kind == "tool_result" for each in message.blocks):
        raise _DeclinedError("tool_results")  # text behind results teaches models to stop
    return InsertBlock(f"messages.{end - 1}.content.{len(message.blocks)}", block)


def _end_of_turn(request: Request) -> int:
    """The number of messages in the user's first turn, which consecutive messages share."""
    messages = request.messages
    return next((each.index for each in messages if each.role != "user"), len(messages))


_REPAIRS: Final[dict[str, _Repair]] = {
    "repair.tools_order": _tools_order,
    "repair.schema_keys": _schema_keys,
    "repair.volatile_system": _volatile_system,
}
