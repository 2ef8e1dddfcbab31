"""What is done about a loop: tell, note, escalate, stop; and the note as a cache-safe edit.

Theory of operation
-------------------
Each step of the ladder is a percentage of a finding's limit: with the default of three copies a
loop is told and noted at the third, escalated at the fourth, stopped at the sixth. A step that is
None is not taken. ``escalate`` is a port: whoever routes models may act on it, nobody has to.

A note must not break the prompt cache it is meant to save. The client does not know of it and sends
its history without it, so on every later turn it has to be put back: same text, same place, or the
prefix flips there. Therefore a note is a function of the messages up to its place, never of the
clock, of amounts, or of what came later; it is appended behind the last block of the user message
with which the loop became one, hence behind every mark that the client set up to there; and all
notes of a history are put back on every request. Their text names tools and counts, nothing else.

What flips it all the same: another ``LoopPolicy`` or ladder, or a guard that is switched off, in
the middle of a lineage. So take both from what the lineage has pinned.

Interface: ``LoopLadder.action``, ``note_edits``, ``note_text``, ``refusal``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from farthing.core.loop_values import Action, LoopDecision, LoopFinding, LoopNote, LoopPolicy
from farthing.errors import LoopDetectedError
from farthing.wire import json
from farthing.wire.edits import InsertBlock

__all__ = ["LoopLadder", "note_edits", "note_text", "refusal"]

_WHAT = {
    "exact_cycle": "the same calls came back with the same results {repeats} times in a row",
    "no_progress": "the last {repeats} turns showed nothing new and changed nothing",
    "monologue": "the same message was written {repeats} times in a row",
    "errors": "the same calls failed in the same way {repeats} times in a row",
    "polling": "{repeats} polls in a row showed the same state",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopLadder:
    """At which percentage of its limit what is done about a finding; None: never."""

    alert: int | None = 100
    note: int | None = 100
    escalate: int | None = 133
    stop: int | None = 200
    #: stop, whatever the percentage, once a loop has added so many tokens in vain
    max_wasted_tokens: int | None = None

    def action(self, finding: LoopFinding | None) -> Action:
        """The strongest step that is due; ``note`` implies ``alert``, and so on upwards."""
        if finding is None:
            return "pass"
        most = self.max_wasted_tokens
        if most is not None and finding.wasted_tokens > most:
            return "stop"
        if _is_due(self.stop, finding.percent) and not finding.is_vague:
            return "stop"
        if _is_due(self.escalate, finding.percent):
            return "escalate"
        if _is_due(self.note, finding.percent):
            return "note"
        return "alert" if _is_due(self.alert, finding.percent) else "pass"

    def is_note_due(self, before: int, percent: int) -> bool:
        """Did the loop come to where a note is due with this very turn?"""
        return _is_due(self.note, percent) and not _is_due(self.note, before)

    def most_turns(self, length: int, policy: LoopPolicy) -> int | None:
        """After so many turns of an exact cycle of this length it is stopped; None: never.

        Either its copies reach the step, or its turns behind the first copy, which show nothing
        new. Faults that may pass, and polls, have limits of their own.
        """
        if self.stop is None:
            return None
        stale = length + max(policy.no_progress_turns, _ceil(self.stop * policy.no_progress_turns))
        if length > policy.max_cycle_len:
            return stale
        return min(stale, length * max(policy.repeats, _ceil(self.stop * policy.repeats)))


def _ceil(percent: int) -> int:
    return -(-percent // 100)


def _is_due(step: int | None, percent: int) -> bool:
    return step is not None and percent >= step


def note_text(finding: LoopFinding) -> str:
    """What the model is told; a function of the finding's kind, count and tools alone."""
    what = _WHAT.get(finding.kind, "this task passed a limit of its operator")
    tools = f" (tools: {', '.join(finding.tools)})" if finding.tools else ""
    return (
        f"<farthing-note>Automatic notice: {what.format(repeats=finding.repeats)}{tools}. "
        "Repeating them will not change the outcome. Do something else, or finish with what is "
        "known and say what is missing. The task is stopped if this goes on.</farthing-note>"
    )


def note_edits(notes: Sequence[LoopNote]) -> list[InsertBlock]:
    """The edits that put every note of a history back in its place."""
    return [
        InsertBlock(
            f"messages.{note.message}.content.{note.blocks}",
            json.encode({"type": "text", "text": note.text}),
        )
        for note in notes
    ]


def refusal(decision: LoopDecision) -> LoopDetectedError:
    """The error that ends a loop: 402 at the gateway, and raised in the SDK."""
    finding = decision.finding
    if finding is None:
        return LoopDetectedError()
    what = _WHAT.get(finding.kind, f"a limit was passed: {finding.kind}").format(
        repeats=finding.repeats
    )
    tools = f"; tools: {', '.join(finding.tools)}" if finding.tools else ""
    return LoopDetectedError(
        f"stopped as a loop: {what}, since message {finding.since}{tools}. About "
        f"{finding.wasted_tokens} tokens were added in vain. Say something new to the agent "
        "and it may go on; if this was no loop, docs/loops.md says how to allow it.",
        match=finding,
    )
