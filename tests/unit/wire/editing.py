"""Strategies for edits of a request, and what they should do, told on the decoded value."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

from farthing.wire.edits import (
    Edit,
    InsertBlock,
    InsertMessage,
    RemoveBlock,
    RemoveField,
    RemoveMessage,
    RemoveTopLevel,
    ReplaceText,
    SetField,
    SetTopLevel,
)
from farthing.wire.request import Request
from tests.unit.wire.spelling import json_values, texts

__all__ = ["edit_lists", "edited"]

_VALUES = json_values.map(lambda value: json.dumps(value).encode())


@st.composite
def edit_lists(draw: st.DrawFn, request: Request) -> list[Edit]:
    """Edits that do not conflict: at most one of each thing, none inside what another removes."""
    edits: list[Edit] = []
    count = len(request.messages)
    gone = draw(st.sets(st.integers(0, count - 1))) if count else set[int]()
    edits += [RemoveMessage(index) for index in gone]
    if request.member("messages"):
        edits += [
            InsertMessage(index, b'{"role":"user","content":"new"}')
            for index in draw(st.sets(st.integers(0, count), max_size=2))
        ]
    for block in request.blocks:
        if not any(block.address.startswith(f"messages.{index}.") for index in gone):
            edits += draw(_block_edits(block))
    edits += draw(
        st.one_of(
            st.just([]),
            _VALUES.map(lambda value: [SetTopLevel("farthing", value)]),
            st.just([RemoveTopLevel("model")]),
        )
    )
    return edits


def _block_edits(block: Any) -> st.SearchStrategy[list[Edit]]:
    address = block.address
    choices: list[st.SearchStrategy[list[Edit]]] = [
        st.just([]),
        _VALUES.map(lambda value: [SetField(address, "cache_control", value)]),
        _VALUES.map(lambda value: [SetField(address, "n", value), SetField(address, "m", value)]),
        st.just([InsertBlock(address, b'{"type":"inserted"}')]),
        st.just([RemoveBlock(address)]),
        st.just([RemoveBlock(address), InsertBlock(address, b'{"type":"swapped"}')]),
    ]
    if block.text is not None:
        choices.append(texts.map(lambda text: [ReplaceText(address, text)]))
    if not block.is_string:
        choices.append(st.just([RemoveField(address, "type")]))
    return st.one_of(choices)


def edited(value: Any, edits: list[Edit]) -> Any:
    """``value`` with the edits made on it as Python data."""
    value = copy.deepcopy(value)
    messages = value.get("messages") or []
    for path, content in _contents(value):
        own = [edit for edit in edits if getattr(edit, "address", "").startswith(path)]
        own = [edit for edit in own if edit.address in _addresses(path, content)]  # type: ignore[union-attr]
        if own:
            _store(value, path, _edited_content(path, content, own))
    gone = {edit.index for edit in edits if isinstance(edit, RemoveMessage)}
    new = {edit.index: json.loads(edit.value) for edit in edits if isinstance(edit, InsertMessage)}
    result: list[Any] = []
    for index in range(len(messages) + 1):
        result += [new[index]] if index in new else []
        result += [messages[index]] if index < len(messages) and index not in gone else []
    if messages or result:
        value["messages"] = result
    for edit in edits:
        if isinstance(edit, SetTopLevel):
            value[edit.name] = json.loads(edit.value)
        elif isinstance(edit, RemoveTopLevel):
            del value[edit.name]
    return value


def _contents(value: Any) -> list[tuple[str, Any]]:
    found = [(path, value[path]) for path in ("tools", "system") if path in value]
    return found + [
        (f"messages.{index}.content", message.get("content"))
        for index, message in enumerate(value.get("messages") or [])
    ]


def _addresses(path: str, content: Any) -> list[str]:
    if isinstance(content, str):
        return [path]
    return [f"{path}.{index}" for index in range(len(content))]


def _store(value: Any, path: str, content: Any) -> None:
    if path.startswith("messages."):
        value["messages"][int(path.split(".")[1])]["content"] = content
    else:
        value[path] = content


def _edited_content(path: str, content: Any, edits: list[Edit]) -> Any:
    if isinstance(content, str) and all(isinstance(edit, ReplaceText) for edit in edits):
        return edits[0].text  # type: ignore[union-attr]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    result: list[Any] = []
    for block, address in zip(blocks, _addresses(path, content), strict=True):
        own = [edit for edit in edits if edit.address == address]  # type: ignore[union-attr]
        result += [json.loads(e.value) for e in own if isinstance(e, InsertBlock)]
        for edit in own:
            if isinstance(edit, SetField):
                block[edit.name] = json.loads(edit.value)
            elif isinstance(edit, ReplaceText):
                block["text"] = edit.text
            elif isinstance(edit, RemoveField):
                del block[edit.name]
        result += [] if any(isinstance(e, RemoveBlock) for e in own) else [block]
    return result
