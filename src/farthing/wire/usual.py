"""A request of the usual shape, read in one pass: who is asked, and that nothing else is in it.

Theory of operation. Nearly every request is made of text, the client's own tools, their calls and
their text results. Types that name all members such a request can have, and refuse every other,
tell that in one pass over its bytes, at the speed at which msgspec skips them. Whoever would have
to search the bytes for media, server tools or marks for an hour need not: there are none. Whatever
does not fit (an image, a document, a mark with ``ttl: 1h``, a member that came to be since) is no
mistake: then nothing is known here, and the bytes are searched.

Members that make an answer of several passes, or bring a prompt from elsewhere, may stand beside
them (``has_rare_fields``); they are looked at one by one.

Rules of this file: what is read is exact or not said at all; nothing of it refers to the body; it
never raises.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Raw

__all__ = ["Usual", "metadata_user_id", "read_usual"]


class Usual(msgspec.Struct, frozen=True):
    """What a request of the usual shape says of itself."""

    model: str
    max_tokens: int | None
    is_streamed: bool
    #: of its metadata
    user_id: str | None
    message_count: int
    #: has it members whose presence makes the price of a call another matter?
    has_rare_fields: bool


_ABSENT: Final = Raw(b"")


class _Part(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Its members are all it may have; what they hold is skipped."""


class _Mark(msgspec.Struct, frozen=True, gc=False):
    """Of a mark only its time matters to the price."""

    ttl: Literal["5m"] | None = None


class _Direct(_Part, frozen=True):
    """The model itself called the tool, and no code of the provider's did."""

    type: Literal["direct"]


class _Block(_Part, frozen=True, tag_field="type"):
    cache_control: _Mark | None = None


class _Text(_Block, frozen=True, tag="text"):
    text: Raw = _ABSENT
    citations: None = None


class _ToolUse(_Block, frozen=True, tag="tool_use"):
    id: Raw = _ABSENT
    name: Raw = _ABSENT
    input: Raw = _ABSENT
    caller: _Direct | None = None


class _ToolResult(_Block, frozen=True, tag="tool_result"):
    tool_use_id: Raw = _ABSENT
    content: str | list[_Text] | None = None
    is_error: bool | None = None


class _Thinking(_Block, frozen=True, tag="thinking"):
    thinking: Raw = _ABSENT
    signature: Raw = _ABSENT


class _RedactedThinking(_Block, frozen=True, tag="redacted_thinking"):
    data: Raw = _ABSENT


_AnyBlock = _Text | _ToolUse | _ToolResult | _Thinking | _RedactedThinking


class _Message(_Part, frozen=True):
    role: Literal["user", "assistant", "system"]
    content: str | list[_AnyBlock]


class _Tool(_Part, frozen=True):
    name: Raw
    input_schema: Raw
    description: Raw = _ABSENT
    type: Literal["custom"] | None = None
    strict: bool | None = None
    eager_input_streaming: bool | None = None
    input_examples: Raw = _ABSENT
    cache_control: _Mark | None = None


class _Metadata(msgspec.Struct, frozen=True, gc=False):
    user_id: str | None = None


class _Request(_Part, frozen=True):
    model: str
    messages: list[_Message]
    #: as many digits as ``Request.max_tokens`` reads
    max_tokens: Annotated[int, msgspec.Meta(ge=0, lt=10**18)] | None = None
    stream: bool | None = None
    system: str | list[_Text] | None = None
    tools: list[_Tool] | None = None
    metadata: _Metadata | None = None
    cache_control: _Mark | None = None
    tool_choice: Raw = _ABSENT
    thinking: Raw = _ABSENT
    output_config: Raw = _ABSENT
    temperature: Raw = _ABSENT
    top_p: Raw = _ABSENT
    top_k: Raw = _ABSENT
    stop_sequences: Raw = _ABSENT
    service_tier: Raw = _ABSENT
    inference_geo: Raw = _ABSENT
    # the rare ones
    compaction: Raw = _ABSENT
    container: Raw = _ABSENT
    context_management: Raw = _ABSENT
    fallbacks: Raw = _ABSENT
    mcp_servers: Raw = _ABSENT
    speed: Raw = _ABSENT
    thread: Raw = _ABSENT


_decoder: Final = msgspec.json.Decoder(_Request)
_metadata_decoder: Final = msgspec.json.Decoder(_Metadata)


def read_usual(body: bytes) -> Usual | None:
    """What this request says; None: its shape is another, or it is no request."""
    try:
        read = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return Usual(
        read.model,
        read.max_tokens,
        read.stream is True,
        None if read.metadata is None else read.metadata.user_id,
        len(read.messages),
        not (
            read.context_management is _ABSENT
            and read.speed is _ABSENT
            and read.container is _ABSENT
            and read.mcp_servers is _ABSENT
            and read.fallbacks is _ABSENT
            and read.compaction is _ABSENT
            and read.thread is _ABSENT
        ),
    )


def metadata_user_id(raw: bytes) -> str | None:
    """The ``user_id`` in a ``metadata`` member; None where there is none that can be read."""
    try:
        return _metadata_decoder.decode(raw).user_id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
