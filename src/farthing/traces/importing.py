"""Any mix of files and folders in, one stream of conversations out; formats are told by content."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import msgspec

from farthing.traces.claude_code import find_files, read_transcript
from farthing.traces.claude_code.folder import agent_id_of
from farthing.traces.codec import parse_header, read_trace
from farthing.traces.dedupe import SeenCalls
from farthing.traces.format import Call, Conversation
from farthing.traces.lines import count_bytes, first_lines
from farthing.traces.litellm import is_spend_log, read_spend_log
from farthing.traces.outputs import output_tokens
from farthing.traces.problems import Problems
from farthing.traces.rows import is_row, read_rows

__all__ = ["Import", "Kind", "detect_kind", "import_paths"]

Kind = Literal["trace", "claude-code", "rows", "litellm", "unknown", "empty"]

#: a transcript may start with records that say little
_SNIFFED_LINES: Final = 20

_type_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TRANSCRIPT_KEYS: Final = frozenset({"sessionId", "leafUuid", "parentUuid", "messageId", "uuid"})


@dataclass(slots=True)
class Import:
    """What a run has read so far: progress for a bar, problems for the report."""

    problems: Problems = field(default_factory=Problems)
    seen: SeenCalls = field(default_factory=SeenCalls)
    files: list[Path] = field(default_factory=list)
    #: not read although it may lie below the paths: what is being written
    output: Path | None = None
    files_read: int = 0
    bytes_read: int = 0
    bytes_total: int = 0
    kinds: dict[str, int] = field(default_factory=dict)


def detect_kind(path: Path) -> Kind:
    """What a file holds, by its first lines."""
    lines = first_lines(path, _SNIFFED_LINES)
    if not lines:
        return "empty"
    if parse_header(lines[0]) is not None:
        return "trace"
    for line in lines:
        kind = _kind_of(line)
        if kind != "unknown":
            return kind
    return "unknown"


def import_paths(paths: Iterable[Path], state: Import) -> Iterator[Conversation]:
    """The conversations of every file below the paths; ``state`` counts along."""
    found = find_files(paths, state.problems)
    output = None if state.output is None else state.output.resolve()
    state.files = [path for path in found if path.resolve() != output]
    state.bytes_total = sum(map(count_bytes, state.files))
    own_agents = frozenset(filter(None, map(agent_id_of, state.files)))
    for path in state.files:
        yield from _read(path, state, own_agents.__contains__)
        state.files_read += 1
        state.bytes_read += count_bytes(path)


def _kind_of(line: bytes) -> Kind:
    try:
        members = _type_decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "unknown"
    if "type" in members and members.keys() & _TRANSCRIPT_KEYS:
        return "claude-code"
    if is_spend_log(members):
        return "litellm"
    return "rows" if "turns" in members and is_row(line) else "unknown"


def _read(path: Path, state: Import, has_own_file: Callable[[str], bool]) -> Iterator[Conversation]:
    kind = detect_kind(path)
    state.kinds[kind] = state.kinds.get(kind, 0) + 1
    if kind == "trace":
        yield from (_deduplicated(found, state.seen) for found in read_trace(path, state.problems))
    elif kind == "rows":
        yield from read_rows(path, state.seen, state.problems)
    elif kind == "litellm":
        yield from read_spend_log(path, state.seen, state.problems)
    elif kind == "claude-code":
        yield from read_transcript(path, state.seen, state.problems, has_own_file=has_own_file)
    else:
        _note_unread(path, kind, state.problems)


def _note_unread(path: Path, kind: Kind, problems: Problems) -> None:
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError:
        problems.note("unreadable", str(path))
        return
    if not empty or kind == "unknown":
        problems.note("foreign_file", str(path))


def _deduplicated(conversation: Conversation, seen: SeenCalls) -> Conversation:
    """A trace beside the transcripts it was made from bills nothing twice."""
    calls = [_admitted(call, seen) for call in conversation.calls]
    return msgspec.structs.replace(conversation, calls=calls)


def _admitted(call: Call, seen: SeenCalls) -> Call:
    key = call.message_id or call.request_id
    if not key or call.synthetic:
        return call
    late = seen.admit(key, output_tokens(call.usage))
    if late is None:
        return call
    if call.replayed:
        # another file may have told the rest already
        late = min(late, call.late_output_tokens)
    return msgspec.structs.replace(call, replayed=True, late_output_tokens=late)
