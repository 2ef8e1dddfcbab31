"""The lines of a Claude Code transcript, decoded only as far as they are needed.

The format is the client's own and unstable (API facts, section 9.2): every field is optional here,
unknown fields are skipped, and content stays a slice. Skipping is what makes reading fast: most
bytes of a transcript are a second copy of each tool result (``toolUseResult``) that nobody needs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Raw, Struct, field

from farthing.traces.problems import Problems

__all__ = ["AgentProgress", "Line", "LineMessage", "parse_lines", "parse_progress"]

_NONE: Final = Raw(b"")

#: record types of the client that hold no part of the conversation
_SILENT: Final = frozenset(
    {
        "agent-name",
        "agent-setting",
        "ai-title",
        "attachment",
        "attribution-snapshot",
        "bridge-session",
        "content-replacement",
        "custom-title",
        "file-history-snapshot",
        "last-prompt",
        "mode",
        "permission-mode",
        "pr-link",
        "queue-operation",
        "result",
        "summary",
        "tag",
        "task-summary",
        "worktree-state",
    }
)
_SPOKEN: Final = frozenset({"user", "assistant", "system", "progress"})


class LineMessage(Struct):
    """The API's message inside a record."""

    id: str | None = None
    model: str | None = None
    role: str | None = None
    content: Raw = field(default=_NONE)
    usage: Raw = field(default=_NONE)
    stop_reason: str | None = None


class _Microcompact(Struct):
    compactedToolIds: list[str] = field(default_factory=list)


class Line(Struct):
    """One record, by the client's own field names."""

    type: str | None = None
    subtype: str | None = None
    timestamp: str | None = None
    uuid: str | None = None
    parentUuid: str | None = None
    sessionId: str | None = None
    agentId: str | None = None
    requestId: str | None = None
    cwd: str | None = None
    version: str | None = None
    entrypoint: str | None = None
    isSidechain: bool | None = None
    isCompactSummary: bool | None = None
    isApiErrorMessage: bool | None = None
    message: LineMessage | None = None
    microcompactMetadata: _Microcompact | None = None
    sourceToolUseID: str | None = None


class _ProgressRecord(Struct):
    type: str | None = None
    timestamp: str | None = None
    uuid: str | None = None
    requestId: str | None = None
    message: LineMessage | None = None


class _ProgressData(Struct):
    message: _ProgressRecord | None = None
    agentId: str | None = None


class AgentProgress(Struct):
    """A sub-agent's record, repeated into the transcript of the session that started it."""

    data: _ProgressData
    parentToolUseID: str | None = None


_line_decoder = msgspec.json.Decoder(Line)
_progress_decoder = msgspec.json.Decoder(AgentProgress)
_glued_decoder = json.JSONDecoder()


def parse_lines(raw: bytes, where: str, problems: Problems) -> Iterator[Line]:
    """The record of a line (two, if the client lost a line end between them)."""
    try:
        line = _line_decoder.decode(raw)
    except msgspec.ValidationError:
        problems.note("foreign_record", where)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        yield from _glued(raw, where, problems)
    else:
        if _is_known(line, where, problems):
            yield line


def parse_progress(raw: bytes) -> AgentProgress | None:
    """The sub-agent record in a progress line; None where there is none to use."""
    try:
        return _progress_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _is_known(line: Line, where: str, problems: Problems) -> bool:
    if line.type in _SPOKEN:
        return True
    if line.type not in _SILENT:
        problems.note("unknown_record" if line.type else "foreign_record", where)
    return False


def _glued(raw: bytes, where: str, problems: Problems) -> Iterator[Line]:
    """Records written one after the other without a line end (seen in recorded transcripts)."""
    pieces = _pieces(raw)
    if not pieces:
        problems.note("malformed", where)
        return
    problems.note("glued", where)
    for piece in pieces:
        yield from parse_lines(piece, where, problems)


def _pieces(raw: bytes) -> list[bytes]:
    """The JSON objects that fill this line from end to end; [] if they do not."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return []
    if not text.startswith("{"):
        return []
    pieces, start = [], 0
    while start < len(text):
        try:
            _, end = _glued_decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            return []
        pieces.append(text[start:end].encode())
        start = end
    return pieces if len(pieces) > 1 else []
