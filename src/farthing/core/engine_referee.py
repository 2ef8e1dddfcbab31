"""The engine's referee: asks the provider why a prompt was not read, and compares with our cause.

Theory of operation. Asking is the lever ``cache.diagnostics``. The provider compares a request with
an earlier one only if both asked, so what is sampled are lineages, and a lineage that was asked for
once goes on asking: from its first request if it is of the sample, from the next one on after a
surprise (less than half of what was foreseen was read). Where the client asks itself, its answers
are judged as well. What comes of it is a note with the call: agreed, or ours and theirs.

The answer of a call that asked has an object under ``diagnostics`` where the client would have seen
null; so the lever is on in no profile and has to be named.

Rules of this file: message ids stay in memory, bounded; a verdict changes no money.

Interface: ``wishes`` (call) → proposals; ``heard`` (call, answer, accounting) → note codes.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, get_args

from farthing.core.cache_breaks import MissCause
from farthing.core.diagnostics import (
    AGREED_NOTE,
    DISAGREED_NOTE,
    Referee,
    ask,
    is_sampled,
    read_reason,
)
from farthing.core.engine_values import EngineAnswer, EngineCall
from farthing.core.plan import Proposal
from farthing.core.records import Accounting

__all__ = ["DIAGNOSTICS", "SAMPLE", "EngineReferee"]

DIAGNOSTICS: Final = "cache.diagnostics"
#: the share of lineages that always ask
SAMPLE: Final = 0.05

_LINEAGES: Final = 4_096
#: a read below this share of the one foreseen is a surprise
_SURPRISE: Final = 0.5
#: it speaks no price; the planner wants to hear that it is worth something
_WORTH_PICO: Final = 1.0
_CAUSES: Final[tuple[MissCause, ...]] = get_args(MissCause)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lineage:
    is_asking: bool
    #: of the last answer whose request asked
    message_id: str | None = None


class EngineReferee:
    """Who asks, and how often the provider and we agree."""

    def __init__(self, sample: float = SAMPLE) -> None:
        self.referee = Referee()
        self._sample = sample
        self._lineages: OrderedDict[str, _Lineage] = OrderedDict()

    def wishes(self, call: EngineCall) -> list[Proposal]:
        """To ask with this request; nothing where its lineage does not, or the client does."""
        known = self._known(call.lineage_id)
        if DIAGNOSTICS not in call.in_force.levers or call.left is None or not known.is_asking:
            return []
        edit = ask(call.left.request, known.message_id)
        if edit is None:
            return []
        return [Proposal(lever=DIAGNOSTICS, edits=(edit,), later_pico=_WORTH_PICO)]

    def heard(self, call: EngineCall, answer: EngineAnswer, made: Accounting) -> tuple[str, ...]:
        """An answer came: what is asked next, and the notes that go with this call."""
        assert answer.usage is not None  # else there were no account
        assert made.foreseen is not None
        is_surprise = answer.usage.cache_read < _SURPRISE * made.foreseen.cache_read
        has_asked = DIAGNOSTICS in call.accepted
        self._lineages[call.lineage_id] = _Lineage(
            is_asking=self._known(call.lineage_id).is_asking or is_surprise,
            message_id=answer.message_id if has_asked else None,
        )
        self._lineages.move_to_end(call.lineage_id)
        if len(self._lineages) > _LINEAGES:
            self._lineages.popitem(last=False)
        return self._judged(answer.diagnostics, made.miss_cause)

    def _known(self, lineage_id: str) -> _Lineage:
        known = self._lineages.get(lineage_id)
        return known or _Lineage(is_asking=is_sampled(lineage_id, self._sample))

    def _judged(self, diagnostics: bytes | None, named: str | None) -> tuple[str, ...]:
        if diagnostics is None:
            return ()
        reason = read_reason(b'{"diagnostics":%b}' % diagnostics)
        word = (named or "").partition(" ")[0]  # the place behind it is ours alone
        cause = next((each for each in _CAUSES if each == word), None)
        is_agreed = self.referee.judge(cause, reason)
        if is_agreed is None:
            return ()
        return (AGREED_NOTE if is_agreed else f"{DISAGREED_NOTE}{cause or 'none'}:{reason}",)
