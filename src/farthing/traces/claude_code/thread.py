"""One thread of a transcript (the main conversation or a sub-agent): lines in, stretches out.

Theory of operation. A transcript is a log, not a request: one line per content block, lines of one
answer interleaved with the results of its first tools, histories that are compacted, cleared or
rewound in the middle of the file. A thread replays the log into *stretches*: messages that only
grow. A stretch ends where the history was rewritten; the next one starts from what was kept.

Rules from outside (API facts, section 9.2, and recorded transcripts up to 2.1.37, 2026-02):

- lines with one message id are one answer; of its usages the one with the most output counts;
- ``<synthetic>`` answers and API error messages were never billed and are not sent back;
- a user record with ``isCompactSummary`` starts a new history; ``microcompact_boundary`` lists the
  tool results that are cleared from here on;
- a prompt whose parent is not the tip is a rewind, but also what a queued prompt looks like. The
  tokens decide: a rewind is believed only if the next prompt is smaller than the one before.
"""

from __future__ import annotations

from typing import Final

from msgspec import Raw

from farthing.errors import UpstreamError
from farthing.traces.claude_code.records import Line, LineMessage
from farthing.traces.claude_code.stretch import Answer, Entry, Stretch, without_results
from farthing.traces.format import is_given
from farthing.traces.instants import parse_instant
from farthing.traces.problems import Problems
from farthing.wire.usage import Usage, parse_usage

__all__ = ["Thread"]

#: a prompt this much smaller than the one before it lost history
_REWIND_RATIO: Final = 0.98


class Thread:
    """Builds the stretches of one thread, line by line."""

    def __init__(self, problems: Problems, *, kind: str = "start") -> None:
        self.stretches = [Stretch(kind)]
        self.first_at: float | None = None
        self.synthetic = 0
        self._problems = problems
        self._answers: dict[str, Answer] = {}
        self._entry_of: dict[str, Entry] = {}
        self._said_at: float | None = None
        self._prompt_tokens = 0
        self._rewind_to: Entry | None = None

    @property
    def tip(self) -> Stretch:
        """The stretch that grows."""
        return self.stretches[-1]

    def add(self, line: Line, where: str) -> None:
        """Take one record of this thread."""
        at = parse_instant(line.timestamp)
        if self.first_at is None:
            self.first_at = at
        if line.type == "assistant":
            self._add_answer(line, at, where)
        elif line.type == "user":
            self._add_user(line, at, where)
        else:
            self._add_boundary(line)
            self._inherit(line)

    def _add_boundary(self, line: Line) -> None:
        if line.subtype == "compact_boundary":
            self._start("after-compaction", [], "compaction")
        elif line.subtype == "microcompact_boundary":
            cleared = line.microcompactMetadata
            ids = frozenset(cleared.compactedToolIds if cleared else ())
            kept = without_results(self.tip.entries, ids)
            self._start("after-microcompaction", kept, "microcompaction")

    def _start(self, kind: str, entries: list[Entry], ended_by: str) -> None:
        self._rewind_to = None
        if not self.tip.answers:
            # nothing was sent on the old history: it never was a prompt
            self.tip.kind, self.tip.entries = kind, entries
            return
        self.tip.ended_by = ended_by
        self.stretches.append(Stretch(kind, entries))

    def _inherit(self, line: Line) -> None:
        """Records between messages are links of the parent chain: they stand where theirs does."""
        parent = self._entry_of.get(line.parentUuid or "")
        if line.uuid and parent is not None:
            self._entry_of[line.uuid] = parent

    def _add_user(self, line: Line, at: float | None, where: str) -> None:
        message = line.message
        if message is None or not bytes(message.content):
            self._problems.note("foreign_record", where)
            return
        announced = self.tip.kind == "after-compaction" and not self.tip.entries
        if line.isCompactSummary and not announced:
            self._start("after-compaction", [], "compaction")
        self._watch_rewind(line, message)
        entry = self.tip.said_by_user(message.content.copy())
        self._said_at = at if at is not None else self._said_at
        if line.uuid:
            self._entry_of[line.uuid] = entry

    def _watch_rewind(self, line: Line, message: LineMessage) -> None:
        if b'"tool_result"' in bytes(message.content)[:200]:
            return
        parent = self._entry_of.get(line.parentUuid or "")
        if parent is None or not self.tip.answers:
            return
        position = self.tip.position(parent)
        if position is not None and position < self.tip.position_of_last_answer:
            self._rewind_to = parent

    def _add_answer(self, line: Line, at: float | None, where: str) -> None:
        message = line.message
        if message is None:
            self._problems.note("foreign_record", where)
            return
        if message.model == "<synthetic>" or line.isApiErrorMessage:
            self.synthetic += 1
            self._inherit(line)
            return
        answer = self._answer_of(line, message, at)
        if bytes(message.content) not in (b"", b"[]"):
            answer.entry.contents.append(message.content.copy())
        self._lay_over(answer, line, message, at, where)
        if line.uuid:
            self._entry_of[line.uuid] = answer.entry

    def _answer_of(self, line: Line, message: LineMessage, at: float | None) -> Answer:
        key = message.id or line.requestId or line.uuid or ""
        known = self._answers.get(key)
        if known is not None:
            return known
        self._settle_rewind(message)
        tip = self.tip
        answer = Answer(
            entry=Entry("assistant"),
            message_id=key,
            prompt_messages=len(tip.entries),
            model=message.model,
            asked_at=self._said_at if self._said_at is not None else at,
            done_at=at,
        )
        tip.entries.append(answer.entry)
        tip.answers.append(answer)
        self._answers[key] = answer
        self._said_at = None
        return answer

    def _settle_rewind(self, message: LineMessage) -> None:
        kept, self._rewind_to = self._rewind_to, None
        if kept is None:
            return
        counts = _counts(message.usage)
        prompt = counts.prompt if counts else 0
        if not 0 < prompt < self._prompt_tokens * _REWIND_RATIO:
            return
        position = self.tip.position(kept)
        last = self.tip.position_of_last_answer
        if position is not None:
            entries = self.tip.entries
            self._start("after-rewind", entries[: position + 1] + entries[last + 1 :], "rewind")

    def _lay_over(
        self, answer: Answer, line: Line, message: LineMessage, at: float | None, where: str
    ) -> None:
        answer.request_id = answer.request_id or line.requestId
        answer.stop_reason = message.stop_reason or answer.stop_reason
        answer.done_at = at if at is not None else answer.done_at
        usage = bytes(message.usage)
        if usage == answer.usage:
            return
        counts = _counts(message.usage)
        if counts is None:
            self._problems.note("bad_usage" if usage not in (b"", b"null") else "no_usage", where)
        elif counts.output >= answer.output_tokens:
            answer.usage, answer.counts = usage, counts
            self._prompt_tokens = counts.prompt


def _counts(usage: Raw) -> Usage | None:
    """The counts; None where there are none that can be read."""
    if not is_given(usage):
        return None
    try:
        return parse_usage(bytes(usage))
    except UpstreamError:
        return None
