"""``apply`` makes edits of a request as byte splices.

Edits compose in any order: ``apply(request, [*these, *those])`` either makes both or raises
``EditConflict``. Nothing outside an edit changes by a byte; no edits give back the very same body.

A string content cannot carry a mark or a second block. An edit that needs one turns it into the
one-block list it stands for, which the provider renders alike.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, assert_never

from farthing.errors import EditConflict, RequestError
from farthing.wire import json
from farthing.wire.blocks import Block
from farthing.wire.edits import (
    BlockEdit,
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
from farthing.wire.splice import Splice, sequence_splices, spliced

__all__ = ["apply"]

#: what becomes of each named member: its new JSON, or None to remove it
_Members = dict[str, bytes | None]
_ADDRESS = re.compile(r"(tools|system|messages\.(0|[1-9]\d*)\.content)(?:\.(0|[1-9]\d*))?")
_TEXT_MEMBER = {"text": "text", "tool_result": "content"}


@dataclass(slots=True)
class _Items:
    """What is to happen to the items of one array."""

    removed: set[int] = field(default_factory=set)
    inserted: dict[int, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    members: dict[int, _Members] = field(default_factory=lambda: defaultdict(dict))


@dataclass(slots=True)
class _Changes:
    """All edits of one ``apply``, by the container whose bytes they touch."""

    top: _Members = field(default_factory=dict)
    messages: _Items = field(default_factory=_Items)
    contents: dict[str, _Items] = field(default_factory=lambda: defaultdict(_Items))


def apply(request: Request, edits: Sequence[Edit]) -> bytes:
    """The request's body with the edits made; no edits give back the very same bytes."""
    if not edits:
        return request.body
    changes = _Changes()
    for edit in edits:
        _collect(request, edit, changes)
    return spliced(request.body, list(_splices(request, changes)))


# -- collecting: which container does an edit touch ----------------------------------------------


def _collect(request: Request, edit: Edit, changes: _Changes) -> None:
    match edit:
        case SetTopLevel(name, value):
            _put(changes.top, name, _json(value), "the request")
        case RemoveTopLevel(name):
            _put(changes.top, name, None, "the request")
        case InsertMessage(index, value):
            _insert(changes.messages, index, len(request.message_spans), value, "messages")
        case RemoveMessage(index):
            _remove(changes.messages, index, len(request.message_spans), "messages")
        case _:
            _collect_block(request, edit, changes)


def _collect_block(request: Request, edit: BlockEdit, changes: _Changes) -> None:
    path, index = _parse_address(edit.address, len(request.message_spans))
    blocks = request.container(path)
    items = changes.contents[path]
    if isinstance(edit, InsertBlock):
        _insert(items, index, len(blocks), edit.value, path)
        return
    if index >= len(blocks) or blocks[index].address != edit.address:
        raise EditConflict(f"there is no block at {edit.address!r}")
    match edit:
        case RemoveBlock():
            _remove(items, index, len(blocks), path)
        case SetField(address, name, value):
            _put(items.members[index], name, _json(value), address)
        case RemoveField(address, name):
            _put(items.members[index], name, None, address)
        case ReplaceText(address, text):
            name = _text_member(blocks[index].kind, address)
            _put(items.members[index], name, json.encode(text), address)
        case _:  # pragma: no cover
            assert_never(edit)


def _text_member(kind: str, address: str) -> str:
    if kind not in _TEXT_MEMBER:
        raise EditConflict(f"{address} is a {kind!r} block and has no text to replace")
    return _TEXT_MEMBER[kind]


def _parse_address(address: str, messages: int) -> tuple[str, int]:
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise EditConflict(f"{address!r} is no block address, such as 'messages.3.content.0'")
    if match[2] and int(match[2]) >= messages:
        raise EditConflict(f"there is no message for {address!r}; the request has {messages}")
    return match[1], int(match[3] or 0)


def _put(members: _Members, name: str, value: bytes | None, where: str) -> None:
    if name in members:
        raise EditConflict(f"two edits change {name!r} of {where}; make one of them")
    members[name] = value


def _insert(items: _Items, index: int, count: int, value: bytes, where: str) -> None:
    if not 0 <= index <= count:
        raise EditConflict(f"{where} has {count} items; nothing can be inserted at {index}")
    if not _json(value).lstrip().startswith(b"{"):
        raise RequestError(f"what is inserted into {where} must be a JSON object")
    items.inserted[index].append(value)


def _remove(items: _Items, index: int, count: int, where: str) -> None:
    if not 0 <= index < count:
        raise EditConflict(f"{where} has {count} items; there is none at {index} to remove")
    if index in items.removed:
        raise EditConflict(f"two edits remove item {index} of {where}; make one of them")
    items.removed.add(index)


def _json(value: bytes) -> bytes:
    if not json.is_valid(value):
        raise RequestError("the value of an edit is not JSON")
    return value


# -- splicing: where do the container's bytes lie -------------------------------------------------


def _splices(request: Request, changes: _Changes) -> Iterator[Splice]:
    whole = _Object(request.body, 0, {field.name for field in request.fields}, "the request")
    yield from _object_splices(whole, changes.top, lambda: request.fields)
    yield from _message_splices(request, changes.messages)
    for path, items in changes.contents.items():
        start, raw = _locate(request, path)
        if raw.startswith(b'"'):
            yield _string_splice(raw, start, items, path)
        else:
            yield from _array_splices(request.container(path), raw, start, items)


def _message_splices(request: Request, items: _Items) -> Iterator[Splice]:
    if not items.removed and not items.inserted:
        return
    member = request.member("messages")
    if member is None or request.field("messages") is None:
        raise EditConflict("the request has no messages; set the field instead")
    yield from sequence_splices(
        request.message_spans,
        member.start + 1,
        removed=items.removed,
        inserted=items.inserted,
    )


def _locate(request: Request, path: str) -> tuple[int, bytes]:
    """Where the value of a container begins, and its bytes."""
    if path.startswith("messages."):
        start, end = request.message_spans[int(path.split(".")[1])]
        fields = json.members(request.body[start:end])
        name = "content"
    else:
        start, fields, name = 0, list(request.fields), path
    found = [field for field in fields if field.name == name]
    raw = b"null" if not found else request.body[start + found[-1].start : start + found[-1].end]
    if raw == b"null":
        raise EditConflict(f"there is no {path} to insert into; set the field instead")
    return start + found[-1].start, raw


def _array_splices(
    blocks: Sequence[Block], raw: bytes, start: int, items: _Items
) -> Iterator[Splice]:
    spans = json.elements(raw)
    if items.removed or items.inserted:
        moved = [(start + left, start + right) for left, right in spans]
        yield from sequence_splices(
            moved, start + 1, removed=items.removed, inserted=items.inserted
        )
    for index, changed in items.members.items():
        block = blocks[index]
        place = _Object(block.raw, start + spans[index][0], block.values.keys(), block.address)
        yield from _object_splices(place, changed, partial(json.members, block.raw))


class _Object(NamedTuple):
    """A JSON object in the body: its bytes, where they begin and what members they have."""

    raw: bytes
    start: int
    names: AbstractSet[str]
    where: str


def _object_splices(
    place: _Object, changed: _Members, find: Callable[[], Sequence[json.Member]]
) -> Iterator[Splice]:
    """Changes of members. Where they only add, as marks do, nobody need know where the rest lie."""
    names = place.names
    for name, value in changed.items():
        if value is None and name not in names:
            raise EditConflict(f"{place.where} has no field {name!r} to remove")
    added = [
        b"%b:%b" % (json.encode(name), value)
        for name, value in changed.items()
        if value is not None and name not in names
    ]
    if added and names and len(added) == len(changed):
        brace = place.start + len(place.raw.rstrip()) - 1
        yield Splice(brace, brace, b"," + b",".join(added))
    elif changed:
        yield from _member_splices(place, find(), changed, added)


def _member_splices(
    place: _Object, fields: Sequence[json.Member], changed: _Members, added: Sequence[bytes]
) -> Iterator[Splice]:
    """Replace members in place; of a name given twice the last counts, and both are removed."""
    start = place.start
    last = {field.name: field for field in fields}
    for name, value in changed.items():
        if value is not None and name in last:
            yield Splice(start + last[name].start, start + last[name].end, value)
    gone = {name for name, value in changed.items() if value is None}
    yield from sequence_splices(
        [(start + field.key_start, start + field.end) for field in fields],
        start + place.raw.index(b"{") + 1,
        removed={index for index, field in enumerate(fields) if field.name in gone},
        inserted={len(fields): added},
    )


def _string_splice(raw: bytes, start: int, items: _Items, path: str) -> Splice:
    """A string content as the list of blocks that the edits ask for."""
    changed = items.members.get(0, {})
    whole = Splice(start, start + len(raw), changed.get("text") or raw)
    if set(changed) == {"text"} and not items.inserted and not items.removed and changed["text"]:
        return whole
    if items.removed and changed:
        raise EditConflict(f"two edits change and remove {path}; make one of them")
    if None in changed.values():
        raise EditConflict(f"{path} is a string and has no fields to remove")
    members = {"type": b'"text"', "text": raw, **changed}
    block = b",".join(b"%b:%b" % (json.encode(k), v) for k, v in members.items() if v is not None)
    own = [] if items.removed else [b"{%b}" % block]
    blocks = [*items.inserted.get(0, ()), *own, *items.inserted.get(1, ())]
    return Splice(whole.start, whole.end, b"[%b]" % b",".join(blocks))
