"""Research rows (one recorded conversation a line, turns beside messages) as conversations.

A row has one turn per assistant message, in order: the request of a turn is every message before
its answer. ``replayed`` turns were billed in another row.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Raw, Struct, field

from farthing.traces.dedupe import SeenCalls
from farthing.traces.format import ABSENT, Call, Conversation, Message, Outcome, is_given
from farthing.traces.lines import read_lines
from farthing.traces.outputs import output_tokens
from farthing.traces.problems import Problems

__all__ = ["is_row", "parse_row", "read_rows"]

_SEGMENTS: Final = frozenset(
    {"start", "after-compaction", "after-microcompaction", "after-rewind", "subagent"}
)


class _Turn(Struct, frozen=True):
    at: float | None = None
    done_at: float | None = None
    usage: Raw = field(default=ABSENT)
    model: str | None = None
    request_id: str | None = None
    message_id: str | None = None
    replayed: bool = False


class _Meta(Struct, frozen=True):
    session_id: str | None = None
    agent_id: str | None = None
    parent_tool_use_id: str | None = None
    cc_version: str | None = None
    user_key: str | None = None
    cache_ttl: str | None = None
    hidden_prefix_tokens: int | None = None
    segment_kind: str | None = None
    ended_by: str | None = None


class _Row(Struct, frozen=True):
    id: str
    source: str
    messages: list[Message]
    turns: list[_Turn]
    model: str | None = None
    task_type: str | None = None
    started_at: str | None = None
    system: Raw = field(default=Raw(b'""'))
    tools: Raw = field(default=Raw(b"[]"))
    outcome: Outcome | None = None
    meta: Raw = field(default=Raw(b"{}"))


_row_decoder = msgspec.json.Decoder(_Row)
_meta_decoder = msgspec.json.Decoder(_Meta)


def is_row(line: bytes) -> bool:
    """Is this line a research row."""
    try:
        _row_decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def read_rows(path: Path, seen: SeenCalls, problems: Problems) -> Iterator[Conversation]:
    """The conversations of a file of rows."""
    for line in read_lines(path, problems):
        try:
            yield parse_row(line, seen)
        except msgspec.ValidationError:
            problems.note("foreign_record", str(path))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            problems.note("malformed", str(path))


def parse_row(line: bytes, seen: SeenCalls) -> Conversation:
    """One row as a conversation; ``msgspec.MsgspecError`` if it is none."""
    row = _row_decoder.decode(line)
    meta = _meta_decoder.decode(row.meta)
    return Conversation(
        id=row.id if "#" in row.id else f"{row.id}#0",
        source=row.source,
        model=row.model,
        task_type=row.task_type,
        started_at=row.started_at,
        system=row.system,
        tools=row.tools,
        messages=row.messages,
        calls=_calls(row, seen),
        session_id=meta.session_id or row.id.partition("#")[0],
        agent_id=meta.agent_id,
        parent_tool_use_id=meta.parent_tool_use_id,
        project=row.source,
        client_version=meta.cc_version,
        user_key=meta.user_key,
        segment=meta.segment_kind if meta.segment_kind in _SEGMENTS else "start",
        ended_by=meta.ended_by,
        prefix_pad_tokens=meta.hidden_prefix_tokens or 0,
        ttl=meta.cache_ttl,
        tools_inferred=meta.hidden_prefix_tokens is not None,
        outcome=row.outcome,
        meta=row.meta,
    )


def _calls(row: _Row, seen: SeenCalls) -> list[Call]:
    answers = [index for index, message in enumerate(row.messages) if message.role == "assistant"]
    return [
        _call(turn, index, row.model, seen) for index, turn in zip(answers, row.turns, strict=False)
    ]


def _call(turn: _Turn, prompt_messages: int, model: str | None, seen: SeenCalls) -> Call:
    known = None
    if turn.message_id and not turn.replayed:
        known = seen.admit(turn.message_id, output_tokens(turn.usage))
    return Call(
        prompt_messages=prompt_messages,
        model=turn.model or model,
        usage=turn.usage if is_given(turn.usage) else ABSENT,
        at=turn.at,
        done_at=turn.done_at,
        request_id=turn.request_id,
        message_id=turn.message_id,
        replayed=turn.replayed or known is not None,
        late_output_tokens=known or 0,
    )
