"""A Messages request as the bytes the client sent, and lazy views on them.

Theory of operation. ``parse`` makes sure that the body is an object in JSON and reads what one of
the usual shape says of itself (``farthing.wire.usual``). Where the top-level fields lie, messages,
blocks and what is inside a block are looked at when asked for. The body is never changed: an edit
makes a new body (``farthing.wire.edits``).

An agent sends its whole history again on every turn, so the body of turn *n* begins with most of
the body of turn *n - 1*. Given that request as ``after``, ``parse`` finds the longest common prefix
of the two bodies first. Whatever message ends inside it was parsed and checked before, by a parser
in the same state, so parsing goes on right behind the last such message, as if the part before it
were one placeholder. Messages and blocks of the shared part are the same objects as before, with
all they remember. Tools and system blocks are shared wherever their bytes are equal, before or
behind the messages (Claude Code sends them behind; clients.md, 2026-11-20).

Rules of this file: unreadable input raises ``RequestError`` and nothing else; no view copies more
than the slice it shows; a request never refers to the request it was parsed after.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from codecs import getincrementaldecoder
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Self

from farthing.errors import RequestError
from farthing.wire import json
from farthing.wire.blocks import Block, Level, Message
from farthing.wire.json import Member, Slice
from farthing.wire.usual import Usual, metadata_user_id, read_usual

__all__ = ["Request", "common_prefix"]

#: stands for the shared messages while the rest is parsed
_PLACEHOLDER = b'{"messages":[0'
_CONTAINER = re.compile(r"tools|system|messages\.\d+\.content")
_STRIDE = 1 << 16
#: text is checked piece by piece: the text of a whole body would be new memory, four times slower
_TEXT_STRIDE = 1 << 12
_Utf8Decoder = getincrementaldecoder("utf-8")


class Request:
    """One Messages call: its original bytes and lazy views on them."""

    __slots__ = (
        "_blocks",
        "_fields",
        "_messages",
        "_model",
        "_spans",
        "_system",
        "_tools",
        "_usual",
        "_values",
        "body",
    )

    def __init__(
        self,
        body: bytes,
        values: Mapping[str, Slice] | None,
        usual: Usual | tuple[()] | None = (),
    ) -> None:
        """``values``: its top-level fields; None: they can be read, and are when asked for."""
        self.body = body
        #: not read yet: the empty tuple
        self._usual: Usual | tuple[()] | None = usual
        self._values = values
        self._fields: tuple[Member, ...] | None = None
        #: not read yet: the empty tuple
        self._model: str | tuple[()] | None = ()
        self._spans: list[tuple[int, int]] | None = None
        self._messages: list[Message] | None = None
        self._tools: list[Block] | None = None
        self._system: list[Block] | None = None
        self._blocks: tuple[Block, ...] | None = None

    @classmethod
    def parse(cls, body: bytes, *, after: Request | None = None) -> Self:
        """Read a body; ``after`` is the last request of the same conversation, if known."""
        resumed = None if after is None else cls._resume(after, body)
        if resumed is not None:
            return resumed
        if not body.isascii():
            _check_text(body)
        usual = read_usual(body)
        return cls(body, None if usual else json.raw_members(body), usual)

    def __repr__(self) -> str:
        return f"<Request {self.model!r} {len(self.body)} bytes>"

    # -- top-level fields ------------------------------------------------------------------------

    @property
    def fields(self) -> Sequence[Member]:
        """The top-level fields in the order they stand in the body."""
        if self._fields is None:
            self._fields = tuple(json.placed(self.body, self._read_values()))
        return self._fields

    @property
    def names(self) -> AbstractSet[str]:
        """The names of the top-level fields, those that are null included."""
        return self._read_values().keys()

    def member(self, name: str) -> Member | None:
        """Where a top-level field lies; of a name given twice, the last."""
        if name not in self._read_values():
            return None
        return next(field for field in reversed(self.fields) if field.name == name)

    def field(self, name: str) -> bytes | None:
        """The JSON slice of a top-level field; None where it is absent or null."""
        value = self._read_values().get(name)
        if value is None:
            return None
        raw = bytes(value)
        return None if raw == b"null" else raw

    @property
    def usual(self) -> Usual | None:
        """What it says of itself if it has the usual shape; None: it has another."""
        if isinstance(self._usual, tuple):
            self._usual = read_usual(self.body)
        return self._usual

    @property
    def model(self) -> str | None:
        """The model asked for."""
        if self._usual:
            return self._usual.model
        if isinstance(self._model, tuple):
            raw = self.field("model")
            is_text = raw is not None and raw.startswith(b'"')
            self._model = json.decode_string(raw) if raw is not None and is_text else None
        return self._model

    @property
    def max_tokens(self) -> int | None:
        """The most output tokens asked for; None where it is no whole number."""
        if self._usual:
            return self._usual.max_tokens
        raw = self.field("max_tokens")
        return int(raw) if raw is not None and len(raw) < 19 and raw.isdigit() else None

    @property
    def stream(self) -> bool:
        """Is the answer to be streamed?"""
        return self._usual.is_streamed if self._usual else self.field("stream") == b"true"

    @property
    def user_id(self) -> str | None:
        """The ``user_id`` in its metadata; None where it has none that can be read."""
        if self._usual:
            return self._usual.user_id
        raw = self.field("metadata")
        return None if raw is None else metadata_user_id(raw)

    def _read_values(self) -> Mapping[str, Slice]:
        if self._values is None:
            self._values = json.raw_members(self.body)
        return self._values

    # -- segments --------------------------------------------------------------------------------

    @property
    def tools(self) -> Sequence[Block]:
        """The tool definitions."""
        if self._tools is None:
            self._tools = _blocks("tools", "tools", None, self.field("tools"))
        return self._tools

    @property
    def system(self) -> Sequence[Block]:
        """The system blocks; a system string counts as one."""
        if self._system is None:
            self._system = _blocks("system", "system", None, self.field("system"))
        return self._system

    @property
    def message_spans(self) -> Sequence[tuple[int, int]]:
        """Where each message lies in the body."""
        if self._spans is None:
            member, raw = self.member("messages"), self.field("messages")
            if member is None or raw is None:
                self._spans = []
            else:
                self._spans = _shifted(json.elements(raw), member.start)
        return self._spans

    @property
    def is_placed(self) -> bool:
        """Is it known already where its messages lie?"""
        return self._spans is not None

    @property
    def message_count(self) -> int:
        """How many messages there are; cheaper than to ask where they lie."""
        if self._usual:
            return self._usual.message_count
        if self._spans is not None:
            return len(self._spans)
        raw = self.field("messages")
        return 0 if raw is None else json.element_count(raw)

    @property
    def messages(self) -> Sequence[Message]:
        """The messages in order."""
        if self._messages is None:
            self._messages = []
        known, spans = self._messages, self.message_spans
        for index in range(len(known), len(spans)):
            start, end = spans[index]
            known.append(_message(index, self.body[start:end]))
        return known

    @property
    def blocks(self) -> Sequence[Block]:
        """All blocks in the order the provider renders them: tools, system, messages."""
        if self._blocks is None:
            flat = [block for message in self.messages for block in message.blocks]
            self._blocks = (*self.tools, *self.system, *flat)
        return self._blocks

    def container(self, path: str) -> Sequence[Block]:
        """The blocks of ``tools``, ``system`` or ``messages.3.content``."""
        if path == "tools":
            return self.tools
        if path == "system":
            return self.system
        index = int(path.split(".")[1])
        return self.messages[index].blocks if index < len(self.message_spans) else ()

    def block(self, address: str) -> Block:
        """The block at an address such as ``messages.3.content.0``."""
        for path in (address, address.rpartition(".")[0]):
            if _CONTAINER.fullmatch(path):
                for block in self.container(path):
                    if block.address == address:
                        return block
        raise RequestError(f"there is no block at {address!r}")

    # -- the next turn ---------------------------------------------------------------------------

    @classmethod
    def _resume(cls, previous: Request, body: bytes) -> Self | None:
        """Parse only what lies behind the last message shared with ``previous``, if any does."""
        spans, messages = previous._spans, previous.member("messages")
        if not spans or messages is None:
            return None
        shared = common_prefix(previous.body, body)
        kept = bisect_right(spans, shared, key=lambda span: span[1])
        if kept == 0:
            return None
        cut = spans[kept - 1][1]
        try:
            if not body[cut:].isascii():
                _check_text(body[cut:])
            rest = _PLACEHOLDER + body[cut:]
            first, *behind = json.members(rest)
            added = json.elements(rest[first.start : first.end])[1:]
        except RequestError:
            return None  # let the whole body say what is wrong with it
        shift = cut - len(_PLACEHOLDER)
        head = [field for field in previous.fields if field.end <= messages.start]
        fields = [*head, _moved(messages, first.end + shift), *(_shift(m, shift) for m in behind)]
        if len({field.name for field in fields}) != len(fields):
            return None
        slices = memoryview(body)
        request = cls(body, {field.name: slices[field.start : field.end] for field in fields})
        request._fields = tuple(fields)
        request._spans = spans[:kept] + _shifted(added, first.start + shift)
        request._share(previous, kept)
        return request

    def _share(self, previous: Request, kept: int) -> None:
        if previous._messages is not None:
            self._messages = previous._messages[:kept]
        if previous._tools is not None and self.field("tools") == previous.field("tools"):
            self._tools = previous._tools
        if previous._system is not None and self.field("system") == previous.field("system"):
            self._system = previous._system


def common_prefix(one: Sequence[object], other: Sequence[object]) -> int:
    """The length of the longest common prefix: whole strides are compared, then halves."""
    shorter = min(len(one), len(other))
    start = 0
    while start < shorter and one[start : start + _STRIDE] == other[start : start + _STRIDE]:
        start += _STRIDE
    low, high = start, min(start + _STRIDE, shorter)
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return min(low, shorter)


def _check_text(raw: bytes) -> None:
    """Refuse bytes that are no UTF-8; the skipping decoder does not look inside strings."""
    decoder, end, is_inside = _Utf8Decoder(), 0, False
    try:
        for start in range(0, len(raw), _TEXT_STRIDE):
            end = start + _TEXT_STRIDE
            piece = raw[start:end]
            if is_inside or not piece.isascii():
                decoder.decode(piece, final=end >= len(raw))
                is_inside = bool(decoder.getstate()[0])
    except UnicodeDecodeError:
        position = _first_unreadable(raw[:end])
        raise RequestError(f"the body is not UTF-8 at byte {position}") from None


def _first_unreadable(raw: bytes) -> int:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return error.start
    raise AssertionError("the same bytes are UTF-8 after all")  # pragma: no cover


def _shift(member: Member, by: int) -> Member:
    return Member(member.name, member.key_start + by, member.start + by, member.end + by)


def _moved(member: Member, end: int) -> Member:
    return Member(member.name, member.key_start, member.start, end)


def _shifted(spans: Sequence[tuple[int, int]], by: int) -> list[tuple[int, int]]:
    return [(start + by, end + by) for start, end in spans]


def _message(index: int, raw: bytes) -> Message:
    values = json.raw_members(raw)
    role_raw = bytes(values.get("role", b"null"))
    role = json.decode_string(role_raw) if role_raw.startswith(b'"') else ""
    content = bytes(values.get("content", b"null"))
    address = f"messages.{index}.content"
    blocks = _blocks(address, "messages", role, None if content == b"null" else content)
    return Message(index, role, content.startswith(b'"'), tuple(blocks))


def _blocks(address: str, level: Level, role: str | None, raw: bytes | None) -> list[Block]:
    """The blocks of a string or an array of objects."""
    if raw is None:
        return []
    if raw.startswith(b'"') and level != "tools":
        return [Block(address, level, role, raw)]
    if not raw.startswith(b"["):
        raise RequestError(f"{address}: expected a list of blocks")
    return [
        Block(f"{address}.{index}", level, role, _checked(address, index, value))
        for index, value in enumerate(json.array_values(raw))
    ]


def _checked(address: str, index: int, raw: bytes) -> bytes:
    if not raw.startswith(b"{"):
        raise RequestError(f"{address}.{index}: expected a block, which is a JSON object")
    return raw
