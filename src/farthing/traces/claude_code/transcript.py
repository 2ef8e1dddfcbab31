"""One transcript file of Claude Code as conversations of the trace format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from msgspec import Raw

from farthing.traces.blocks import content_blocks
from farthing.traces.claude_code.folder import agent_id_of
from farthing.traces.claude_code.records import Line, parse_lines, parse_progress
from farthing.traces.claude_code.stretch import Answer, Stretch
from farthing.traces.claude_code.thread import Thread
from farthing.traces.dedupe import SeenCalls
from farthing.traces.format import ABSENT, Call, Conversation
from farthing.traces.instants import dump_instant
from farthing.traces.lines import read_lines
from farthing.traces.problems import Problems
from farthing.traces.sizes import estimate_tokens

__all__ = ["MARKERS", "PROGRESS_SOURCE", "SOURCE", "read_transcript"]

SOURCE: Final = "claude-code"
#: a sub-agent known only from what the session's own file repeats of it
PROGRESS_SOURCE: Final = "claude-code-progress"

#: where the client puts its breakpoints (recorded 2026-11-20, API facts, section 9.1)
MARKERS: Final = ("system.-2", "system.-1", "messages.-1.content.-1")

_PROGRESS: Final = b'"type":"progress"'
_AGENT_PROGRESS: Final = b'"agent_progress"'
_HEADLESS: Final = ("sdk", "print", "headless")


def read_transcript(
    path: Path,
    seen: SeenCalls,
    problems: Problems,
    *,
    has_own_file: Callable[[str], bool] = lambda _agent_id: False,
) -> Iterator[Conversation]:
    """The conversations in one transcript; calls that ``seen`` knows come out as replayed."""
    transcript = _Transcript(path, problems, has_own_file)
    for raw in read_lines(path, problems):
        transcript.add(raw)
    yield from transcript.conversations(seen)


class _Transcript:
    """The threads of one file."""

    def __init__(self, path: Path, problems: Problems, has_own_file: Callable[[str], bool]) -> None:
        self._where = str(path)
        self._path = path
        self._problems = problems
        self._has_own_file = has_own_file
        self._own_agent_id = agent_id_of(path)
        self._threads: dict[str, Thread] = {}
        self._parents: dict[str, str] = {}
        self._sidechain_of: dict[str, str] = {}
        self._progress: set[str] = set()
        self._last: dict[str, str] = {}

    def add(self, raw: bytes) -> None:
        """Take one line of the file."""
        if _PROGRESS in raw:
            if _AGENT_PROGRESS in raw:
                self._add_progress(raw)
                return
            if raw.endswith(b"}") and b"}{" not in raw:
                return  # hook and shell progress: half of the lines, no part of the conversation
        for line in parse_lines(raw, self._where, self._problems):
            self._remember(line)
            self._thread(self._key(line)).add(line, self._where)

    def _remember(self, line: Line) -> None:
        for name in ("sessionId", "cwd", "version", "entrypoint"):
            value = getattr(line, name)
            if value:
                self._last[name] = value

    def _key(self, line: Line) -> str:
        """Which thread a record belongs to: "" is the file's own."""
        if not line.isSidechain or self._own_agent_id is not None:
            return ""
        if line.agentId:
            return line.agentId
        # older clients wrote sub-agents into the session's file: the parent chain tells them apart
        key = self._sidechain_of.get(line.parentUuid or "") or f"side-{len(self._threads)}"
        if line.uuid:
            self._sidechain_of[line.uuid] = key
        return key

    def _thread(self, key: str) -> Thread:
        thread = self._threads.get(key)
        if thread is None:
            own = key == "" and self._own_agent_id is None
            thread = Thread(self._problems, kind="start" if own else "subagent")
            self._threads[key] = thread
        return thread

    def _add_progress(self, raw: bytes) -> None:
        progress = parse_progress(raw)
        record = progress.data.message if progress else None
        agent_id = progress.data.agentId if progress else None
        if progress is None or record is None or not agent_id or self._has_own_file(agent_id):
            return
        self._progress.add(agent_id)
        if progress.parentToolUseID:
            self._parents[agent_id] = progress.parentToolUseID
        line = Line(
            type=record.type,
            timestamp=record.timestamp,
            uuid=record.uuid,
            requestId=record.requestId,
            message=record.message,
        )
        self._thread(agent_id).add(line, self._where)

    def conversations(self, seen: SeenCalls) -> Iterator[Conversation]:
        """Everything that was sent at least once."""
        for key, thread in self._threads.items():
            # a file that is copied and grows on is one history in two files; ids stay apart
            thread_id = "/".join(filter(None, ("claude-code", self._session_id, self._agent(key))))
            for number, stretch in enumerate(thread.stretches):
                if stretch.answers:
                    yield self._conversation(key, f"{thread_id}#{number}", thread, stretch, seen)

    @property
    def _session_id(self) -> str:
        stem = self._path.name.partition(".")[0]
        if self._own_agent_id is None:
            return stem
        return self._last.get("sessionId") or stem

    def _agent(self, key: str) -> str | None:
        return key or self._own_agent_id

    def _conversation(
        self, key: str, identity: str, thread: Thread, stretch: Stretch, seen: SeenCalls
    ) -> Conversation:
        started_at = _first_instant(stretch, thread)
        version = self._last.get("version")
        return Conversation(
            id=identity,
            source=PROGRESS_SOURCE if key in self._progress else SOURCE,
            model=stretch.answers[-1].model,
            task_type="coding-subagent" if self._agent(key) else "coding-agent",
            started_at=None if started_at is None else dump_instant(started_at),
            messages=[entry.message() for entry in stretch.entries],
            calls=[_call(answer, started_at, seen) for answer in stretch.answers],
            session_id=self._session_id,
            agent_id=self._agent(key),
            parent_tool_use_id=self._parents.get(key),
            project=self._last.get("cwd") or self._path.parent.name,
            client_version=version,
            segment=stretch.kind,
            ended_by=stretch.ended_by or "end",
            prefix_pad_tokens=_hidden_prefix_tokens(stretch),
            ttl=_ttl(stretch.answers),
            markers=list(MARKERS),
            tools_inferred=True,
            interactive=not self._last.get("entrypoint", "").startswith(_HEADLESS),
        )


def _first_instant(stretch: Stretch, thread: Thread) -> float | None:
    asked_at = stretch.answers[0].asked_at
    return thread.first_at if asked_at is None else asked_at


def _call(answer: Answer, started_at: float | None, seen: SeenCalls) -> Call:
    known = seen.admit(answer.message_id, max(0, answer.output_tokens))
    return Call(
        prompt_messages=answer.prompt_messages,
        model=answer.model,
        usage=Raw(answer.usage) if answer.usage else ABSENT,
        at=_offset(answer.asked_at, started_at),
        done_at=_offset(answer.done_at, started_at),
        request_id=answer.request_id,
        message_id=answer.message_id,
        stop_reason=answer.stop_reason,
        replayed=known is not None,
        late_output_tokens=known or 0,
        streamed=True,
    )


def _offset(instant: float | None, started_at: float | None) -> float | None:
    return None if instant is None or started_at is None else round(instant - started_at, 3)


def _hidden_prefix_tokens(stretch: Stretch) -> int:
    """The prompt of the first call beyond what its messages can account for."""
    first = stretch.answers[0]
    visible = 0
    for entry in stretch.entries[: first.prompt_messages]:
        for content in entry.contents:
            visible += _estimate(content)
    return max(0, (first.counts.prompt if first.counts else 0) - visible)


def _estimate(content: Raw) -> int:
    total = 0
    for block in content_blocks(content):
        size = len(bytes(block.text)) + len(bytes(block.thinking)) + len(bytes(block.input))
        total += estimate_tokens(block.type, size + len(bytes(block.content)))
    return total


def _ttl(answers: Iterable[Answer]) -> str | None:
    """The lifetime most of the written tokens were bought for."""
    write_5m = write_1h = 0
    for answer in answers:
        if answer.counts:
            write_5m += answer.counts.cache_write_5m
            write_1h += answer.counts.cache_write_1h
    if not write_5m and not write_1h:
        return None
    return "1h" if write_1h > write_5m else "5m"
