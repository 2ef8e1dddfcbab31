"""The trace format, version 1: one conversation on disk (written spec: docs/trace-format.md).

Theory of operation. A trace is JSON lines: one header, then one conversation a line. A conversation
holds its messages **once**; each call says how many of them its request carried
(``prompt_messages``), so a hundred-turn conversation is stored in the size of its last request and
can still be replayed call by call. ``usage`` is the provider's JSON, unchanged: what we understand
of it today may be less than what we want to know tomorrow.

Rules of this file: the types below *are* version 1. They are frozen by digest in the tests; a
change of a field is a new version number, never an edit.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec
from msgspec import Raw, Struct, field

__all__ = [
    "ABSENT",
    "FORMAT",
    "VERSION",
    "Call",
    "Conversation",
    "Header",
    "Message",
    "Outcome",
    "format_digest",
    "is_billed",
    "is_given",
]

FORMAT: Final = "farthing-trace"
VERSION: Final = 1

#: no JSON at all. Compared by identity when it is written, so use this object, not an equal one.
ABSENT: Final = Raw(b"")
_EMPTY_LIST: Final = Raw(b"[]")
_EMPTY_STRING: Final = Raw(b'""')


class Header(Struct, frozen=True, kw_only=True):
    """The first line of a trace."""

    format: str = FORMAT
    version: int = VERSION
    #: what wrote the file, for a person who wonders
    writer: str = ""
    #: "none", "filler" (same-size stand-in text) or "digest"
    redaction: str = "none"


class Message(Struct, frozen=True, kw_only=True):
    """One message in the Messages format; its content is kept as the JSON it came as."""

    role: str
    content: Raw


class Call(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call to the provider: a request of ``prompt_messages`` messages and its answer."""

    #: the request carried ``messages[:prompt_messages]``; the answer is the message after them
    prompt_messages: int
    model: str | None = None
    #: the provider's usage object, unchanged; ABSENT: the source has none
    usage: Raw = field(default=ABSENT)
    #: seconds after the conversation's ``started_at`` when the request could be sent
    at: float | None = None
    #: seconds after ``started_at`` when the answer was complete
    done_at: float | None = None
    request_id: str | None = None
    message_id: str | None = None
    stop_reason: str | None = None
    #: the same call is billed elsewhere (fork, resume, replayed history): not part of any sum
    replayed: bool = False
    #: a copy that knew more output tokens than the billed line did: add these, and only these
    late_output_tokens: int = 0
    #: made up by the client, never sent
    synthetic: bool = False
    #: the client asked for a stream; None: not recorded
    streamed: bool | None = None


class Outcome(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the task ended, where the source says so."""

    reward: float | None = None
    status: str | None = None


class Conversation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One history that only grows: a session, a sub-agent, or a stretch between two compactions."""

    #: unique in the file; stretches of one history share all before the last "#"
    id: str
    #: who recorded it: "claude-code", "litellm", or the name of a data set
    source: str
    model: str | None = None
    task_type: str | None = None
    #: ISO 8601 with offset
    started_at: str | None = None
    system: Raw = field(default=_EMPTY_STRING)
    tools: Raw = field(default=_EMPTY_LIST)
    #: request parameters as sent (max_tokens, thinking, ...), where the source has them
    parameters: Raw = field(default=ABSENT)
    messages: list[Message] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    session_id: str | None = None
    agent_id: str | None = None
    #: the tool use that started a sub-agent
    parent_tool_use_id: str | None = None
    project: str | None = None
    client_version: str | None = None
    #: whose prompt cache this conversation shares
    user_key: str | None = None
    #: "start", "after-compaction", "after-microcompaction", "after-rewind" or "subagent"
    segment: str = "start"
    ended_by: str | None = None
    #: tokens of the request that the source does not show (hidden system prompt and tools)
    prefix_pad_tokens: int = 0
    #: the lifetime asked of the prompt cache, "5m" or "1h"; None: not recorded
    ttl: str | None = None
    #: block addresses with a breakpoint, negative indexes count from the end of each request
    markers: list[str] = field(default_factory=list)
    #: the tool schemas are inferred from observed calls
    tools_inferred: bool = False
    #: a person sat in front of it; None: not recorded
    interactive: bool | None = None
    outcome: Outcome | None = None
    #: what the source said beyond this format
    meta: Raw = field(default=ABSENT)

    @property
    def thread_id(self) -> str:
        """The id shared by all stretches of one history."""
        return self.id.rpartition("#")[0] or self.id


def is_billed(call: Call) -> bool:
    """Does this call count in sums of calls and tokens."""
    return not call.replayed and not call.synthetic


def is_given(raw: Raw) -> bool:
    """Does this slice hold JSON other than null."""
    return bytes(raw) not in (b"", b"null")


def format_digest() -> str:
    """SHA-256 over the names, types and defaults of version 1: pinned by a test."""
    shape = [
        [record.__name__, [_describe(member) for member in msgspec.structs.fields(record)]]
        for record in (Header, Conversation, Message, Call, Outcome)
    ]
    return hashlib.sha256(msgspec.json.encode([FORMAT, VERSION, shape])).hexdigest()


def _describe(member: msgspec.structs.FieldInfo) -> list[str]:
    if member.default is not msgspec.NODEFAULT:
        default = member.default
        shown = bytes(default) if isinstance(default, Raw) else default
        return [member.encode_name, str(member.type), repr(shown)]
    return [member.encode_name, str(member.type), "required" if member.required else "empty"]
