"""What the codes of an exchange mean, in words: notes, and why a lever did or did not act.

Rules of this file: every code that the source can leave on an exchange has words here (a test looks
for codes in the source); a code that is not known here, of a later version perhaps, is shown as it
is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from farthing.core.levers import LEVERS
from farthing.errors import UpstreamError
from farthing.reports.loop_words import loop_words

__all__ = ["NOTES", "REASONS", "SOURCES", "STATES", "note_words", "plan_words"]

#: notes on an exchange: what went differently than planned
NOTES: Final[Mapping[str, str]] = {
    "answer.cut": "the connection ended in the middle of the answer",
    "answer.encoding_unknown": "the answer's compression is not known here, so it was not metered",
    "answer.incomplete": "the stream ended without its final usage",
    "answer.unreadable": "the answer could not be read as a message, so its usage is not known",
    "batch.not_remembered": "the batch is not on record; a restart would not collect its results",
    "batch.unreadable": "some results of the batch could not be read",
    "batch.url_compressed": "the address of the batch's results could not be changed to this"
    " gateway: the answer was compressed",
    "breaker.error_storm": "with this call a circuit opened: too many errors in too short a time",
    "breaker.retry_storm": "with this call a circuit opened: the same call ended badly too often",
    "breaker.velocity": "with this call a circuit opened: too much was spent in too short a time",
    "budget.cut": "the stream had cost what its budgets held for it, and was stopped there",
    "budget.clamped": "a budget was nearly spent: max_tokens was lowered until the call fitted",
    "budget.effort": "a budget was nearly spent: the call was sent with a lower effort",
    "budget.ledger_fault": "the budget could not be asked, and budgets fail open: the call went on",
    "budget.model": "a budget was nearly spent: the call was sent to a cheaper model",
    "budget.noted": "a budget was nearly spent: max_tokens was lowered, and a note behind the last"
    " message told the model to come to an end",
    "budget.refused": "the budget did not have this call's worst case left: it was not sent",
    "budget.unpriced": "the call has no price, so no budget could hold it",
    "budget.unreadable": "the budget that the client asked for is no amount of dollars",
    "credential.subscription": "a subscription pays: the dollars are list prices, notional",
    "diagnostics.agreed": "the provider named the same cause of the prompt cache's miss as we did",
    "interrupted": "the client left, or the process ended, before the answer was complete",
    "ledger.batch_item_failed": "a result of the batch could not be recorded",
    "ledger.open_failed": "the ledger could not take the intent at first",
    "ledger.recovered": "the process died while the call was under way; closed at the next start",
    "ledger.release_failed": "a hold could not be given back; it ends at the next start",
    "levers.refused": "the provider refused a mark of ours: the request was sent again without any",
    "ledger.settle_failed": "the ledger could not take the end of the exchange at first",
    "loop.noted": "the task repeats itself: a note behind the last message tells the model",
    "loop.refused": "the task repeats itself, or grew beyond its limits: the call was not sent",
    "own.ping": "a call of farthing's own, which keeps an entry of the prompt cache alive",
    "pins.unreadable": "what was chosen for this conversation could not be read from the ledger",
    "pins.unwritable": "what was chosen for this conversation could not be written to the ledger",
    "reconciled.by_hand": "what it cost was read off the provider's report and entered by hand",
    "request.unreadable": "the body could not be read as a Messages request; it went on unchanged",
    "unpriced.model": "the model that answered has no rate card: tokens without dollars",
    "unpriced.usage": "the rate card has no price for a part of the usage: tokens without dollars",
}

_PATTERNS: Final = (
    (re.compile(r"budget\.threshold\.(\d+)"), "{0} % of a budget had been spent before this call"),
    (
        re.compile(r"diagnostics\.disagreed\.(.*)"),
        "the provider named another cause of the prompt cache's miss than we did ({0})",
    ),
    (re.compile(r"fail_open\.(.+)"), "our own {0} failed; the client's request went on unchanged"),
    (re.compile(r"fanout\.waited_us\.(\d+)"), "it waited {0} µs for another call's first byte"),
    (re.compile(r"loop\.found\.(.+)"), "a loop was seen for the first time: {0}"),
    (
        re.compile(r"loop\.notes:(\d+)"),
        "notes about loops that this conversation carries, put back: {0}",
    ),
    (re.compile(r"levers\.(.+)"), "of the levers that the client named: {0}"),
    (re.compile(r"fallback_credit\.(.+)"), "a fallback credit was {0}: the invoice may say less"),
)
_FAILURES: Final[Mapping[str, str]] = {
    "attribution": "attribution",
    "breaker": "circuit breaker",
    "loops": "guard against loops",
    "plan": "planning",
    "price": "pricing",
    "worst_case": "bound of the cost",
}

#: why a lever did not act, behind its id and a colon
REASONS: Final[Mapping[str, str]] = {
    "bypass": "the client asked for it: x-farthing-bypass",
    "client_mark": "the client marks the place",
    "client_left": "the client left while the call waited; it was never sent",
    "conflict": "another lever that excludes it acts",
    "governed_off": "it was switched off for this workload: what it was measured to save was not"
    " positive",
    "held_out": "the task is held out: no lever touches it, for comparison",
    "invalid": "the request would have become invalid",
    "leader_failed": "the call that it waited for failed",
    "leader_late": "the call that it waited for took longer than such calls take",
    "leads": "it is the first with this prefix; others may wait for it",
    "limit": "it had waited as long as calls may",
    "no_gain": "it would have saved nothing here, the prompt cache's loss counted",
    "no_place": "there is no place for it in this request",
    "not_in_force": "the policy does not have it on",
    "not_marked": "nothing of it is written to the prompt cache",
    "nothing_stays": "nothing would be left of the block",
    "nothing_to_do": "there was nothing to do",
    "out_of_bounds": "it proposed what it may not touch",
    "refused": "the provider refused a mark of ours in this conversation, so it gets none",
    "thinking_is_bound": "the thinking of this conversation is bound to its prefix",
    "too_short": "the prompt is too short to be kept in the prompt cache",
    "tool_results": "text behind tool results would change how the model goes on",
    "unpriced": "the model has no price, and without one there is no net",
    "warm": "nothing that is long enough had to be written",
}

SOURCES: Final[Mapping[str, str]] = {
    "header": "farthing's own headers",
    "claude-code": "Claude Code's session headers",
    "metadata": "the session in metadata.user_id",
    "traceparent": "the trace context",
    "lineage": "the conversation itself: nobody named a task",
}

STATES: Final[Mapping[str, str]] = {
    "held": "under way: nothing is known of its end yet",
    "settled": "settled: what it cost stands",
    "released": "released: nothing was sent",
    "expired": "expired: nobody came back for it, and nothing was sent",
    "unsettled": "unsettled: it was sent, but its final usage was never seen",
}

_ALL: Final = "all"


def note_words(code: str) -> str:
    """A note in words; the code itself where it is not known."""
    if code in NOTES:
        return NOTES[code]
    for pattern, words in _PATTERNS:
        if found := pattern.fullmatch(code):
            return words.format(_FAILURES.get(found[1], found[1]))
    return loop_words(code) or _UPSTREAM.get(code, code)


def plan_words(code: str) -> str:
    """What a lever did, or why it did nothing, in words."""
    sign, lever_id, reason = code[:1], *_parted(code[1:])
    lever = LEVERS.get(lever_id)
    name = "no lever acts" if lever_id == _ALL else lever.does if lever else lever_id
    because = REASONS.get(reason, reason)
    if sign == "+":
        return f"{name} ({because})" if because else name
    if sign == "~":
        return f"observed only, would act: {name}"
    if lever_id == _ALL:
        return f"{name}: {because}"
    return f"not: {name}; {because}" if because else f"not: {name}"


def _parted(text: str) -> tuple[str, str]:
    lever_id, _, reason = text.partition(":")
    return lever_id, reason


def _upstream(kind: type[UpstreamError]) -> dict[str, str]:
    """The errors of the way to the provider say of themselves what they mean."""
    words = (kind.__doc__ or "").partition("\n")[0].rstrip(".")
    found = {kind.code: words[:1].lower() + words[1:]}
    for below in kind.__subclasses__():
        found |= _upstream(below)
    return found


_UPSTREAM: Final = _upstream(UpstreamError)
