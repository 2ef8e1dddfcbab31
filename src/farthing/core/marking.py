"""Marks a request for the prompt cache: the articles' helper, with the mark that rolls.

Theory of operation
-------------------
Four marks are allowed (API facts, sections 2.1-2.4; provider's page on prompt caching, 2026-10),
and each has a job. In the order in which they are given away when some are taken already:

1. the tail, the last block of the conversation: writes what the next turn reads;
2. the system prompt: what other conversations share;
3. the tail of the turn before: reads what that turn wrote even if this one added more blocks than
   the 20 that the provider looks back;
4. the tools: what survives a change of the system prompt.

The client's own marks count and stay; tools or a system prompt that have one get none of ours. A
1-hour mark must not come after a 5-minute one, so ours takes the hour where an hour follows it
(everything up to there is billed as 1-hour writes anyway) and five minutes where five came before.

Rule of this file: values in, new values out; only what changes is copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from farthing.core.message_values import kind_of, role_of

__all__ = ["Ttl", "cached"]

_LIMIT: Final = 4
#: kinds of content that can carry a mark; thinking cannot, nor can an empty text (section 2.1)
_MARKABLE: Final = frozenset(
    {"text", "image", "document", "tool_use", "tool_result", "search_result", "compaction"}
)

#: how long an entry of the prompt cache lives
Ttl = Literal["5m", "1h"]


class _Place(NamedTuple):
    """Where a block stands; places compare in render order."""

    #: 0 tools, 1 system, 2 messages
    level: int
    message: int
    block: int


class _Marks:
    """The marks a request has, and those it is given."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self.taken = dict(_client_marks(request))
        self.added = dict[_Place, Ttl]()
        #: marks inside one block count one by one, so there may be more of them than places
        self.free = _LIMIT - sum(len(ttls) for ttls in self.taken.values())
        automatic = request.get("cache_control")
        if automatic is not None:
            self.free -= 1
            tail = _tail(_messages(request))
            self.taken.setdefault(tail or _Place(2, 0, 0), [_ttl_of(automatic)])

    def has_level(self, level: int) -> bool:
        return any(place.level == level for place in self.taken)

    def add(self, place: _Place | None, ttl: Ttl) -> None:
        """Mark a place if it is bare and a mark is left."""
        if place is None or place in self.taken or self.free < 1:
            return
        if any("1h" in ttls for other, ttls in self.taken.items() if other > place):
            ttl = "1h"
        elif any("5m" in ttls for other, ttls in self.taken.items() if other < place):
            ttl = "5m"
        self.added[place] = ttl
        self.free -= 1


def cached(request_kwargs: Mapping[str, Any], *, ttl: Ttl = "5m") -> dict[str, Any]:
    """The same request with at most four marks for the prompt cache; the argument is not touched.

    Marks the end of the tools, of the system prompt, of the turn before and of the conversation,
    and leaves marks that are there where they are. Marking twice changes nothing. ``ttl="1h"``
    suits prefixes that are used again after more than five minutes.

    >>> request = {
    ...     "model": "claude-sonnet-5-5",
    ...     "max_tokens": 1000,
    ...     "system": "You are terse.",
    ...     "messages": [{"role": "user", "content": "Hi"}],
    ... }
    >>> cached(request)["system"]
    [{'type': 'text', 'text': 'You are terse.', 'cache_control': {'type': 'ephemeral'}}]
    >>> cached(cached(request)) == cached(request)
    True
    """
    messages = _messages(request_kwargs)
    marks = _Marks(request_kwargs)
    marks.add(_tail(messages), ttl)
    if not marks.has_level(1):
        marks.add(_system_end(request_kwargs), ttl)
    marks.add(_tail(messages[: _last_answer(messages)]), ttl)
    if not marks.has_level(0):
        marks.add(_tools_end(request_kwargs), ttl)
    return _marked(request_kwargs, marks.added)


def _client_marks(request: Mapping[str, Any]) -> Iterator[tuple[_Place, list[str]]]:
    """The places that carry marks already, with the lifetimes found there."""
    for place, block in _all_blocks(request):
        inner = block.get("content")
        holders = [block, *(_mappings(inner) if isinstance(inner, list) else ())]
        found = (holder.get("cache_control") for holder in holders)
        ttls = [_ttl_of(mark) for mark in found if mark is not None]
        if ttls:
            yield place, ttls


def _all_blocks(request: Mapping[str, Any]) -> Iterator[tuple[_Place, Mapping[str, Any]]]:
    for level, name in enumerate(("tools", "system")):
        for index, block in _indexed(request.get(name)):
            yield _Place(level, 0, index), block
    for number, message in enumerate(_messages(request)):
        for index, block in _indexed(message.get("content")):
            yield _Place(2, number, index), block


def _messages(request: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found = request.get("messages")
    return found if isinstance(found, Sequence) else ()


def _indexed(blocks: object) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The blocks that are dicts, each with its position; a string has one that is made for it."""
    items: Sequence[object] = (
        [_text_block(blocks)]
        if isinstance(blocks, str)
        else blocks
        if isinstance(blocks, Sequence)
        else ()
    )
    return ((index, item) for index, item in enumerate(items) if isinstance(item, Mapping))


def _mappings(items: list[object]) -> Iterator[Mapping[str, Any]]:
    return (item for item in items if isinstance(item, Mapping))


def _text_block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _ttl_of(mark: object) -> str:
    """The lifetime a mark asks for; what is no mark is the API's to refuse."""
    found = mark.get("ttl") if isinstance(mark, Mapping) else None
    return str(found or "5m")


def _tools_end(request: Mapping[str, Any]) -> _Place | None:
    """The last tool that is in the prefix: one whose loading is deferred is not."""
    ends = [i for i, tool in _indexed(request.get("tools")) if not tool.get("defer_loading")]
    return _Place(0, 0, ends[-1]) if ends else None


def _system_end(request: Mapping[str, Any]) -> _Place | None:
    ends = [index for index, block in _indexed(request.get("system")) if _can_be_marked(block)]
    return _Place(1, 0, ends[-1]) if ends else None


def _tail(messages: Sequence[Mapping[str, Any]]) -> _Place | None:
    """The last block of these messages that can carry a mark."""
    for number in reversed(range(len(messages))):
        if role_of(messages[number]) == "system":
            continue
        blocks = _indexed(messages[number].get("content"))
        ends = [index for index, block in blocks if _can_be_marked(block)]
        if ends:
            return _Place(2, number, ends[-1])
    return None


def _last_answer(messages: Sequence[Mapping[str, Any]]) -> int:
    """Where the assistant's last turn before the tail begins; what is before it was sent before."""
    index = len(messages)
    while index and role_of(messages[index - 1]) != "assistant":
        index -= 1
    while index and role_of(messages[index - 1]) == "assistant":
        index -= 1
    return index


def _can_be_marked(block: Mapping[str, Any]) -> bool:
    return kind_of(block) in _MARKABLE and block.get("text") != ""


def _marked(request: Mapping[str, Any], added: Mapping[_Place, Ttl]) -> dict[str, Any]:
    new = dict(request)
    for place, ttl in added.items():
        if place.level < 2:
            name = ("tools", "system")[place.level]
            new[name] = _with_mark(new[name], place.block, ttl)
        else:
            messages = list(new["messages"])
            message = messages[place.message]
            content = _with_mark(message["content"], place.block, ttl)
            messages[place.message] = {**message, "content": content}
            new["messages"] = messages
    return new


def _with_mark(blocks: str | Sequence[Any], index: int, ttl: Ttl) -> list[Any]:
    """A copy of the list with one block marked; all other blocks are the same objects."""
    new = [_text_block(blocks)] if isinstance(blocks, str) else list(blocks)
    mark = {"type": "ephemeral"} if ttl == "5m" else {"type": "ephemeral", "ttl": ttl}
    new[index] = {**new[index], "cache_control": mark}
    return new
