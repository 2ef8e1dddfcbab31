"""The rules of loops in a running process, and what of them a conversation keeps.

Theory of operation. What is done about a loop now (a header, a refusal) may follow the rules of
today: an operator who finds them wrong must be heard at once. Notes may not. They stand in a
history that is sent again on every turn, so whatever says where they stand is chosen once for a
conversation and kept in its lineage pin: ``LoopTerms``. ``since`` is the first message that may
carry one: what was said before the conversation had terms stays as the client sends it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from farthing.core.loop_ladder import LoopLadder
from farthing.core.loop_limits import TreeLimits
from farthing.core.loop_values import LoopKind, LoopPolicy

__all__ = ["STOPPED_KINDS", "LoopRules", "LoopTerms"]

#: what may be refused where nobody says otherwise: growth in width is told, and goes on
STOPPED_KINDS: Final[tuple[LoopKind, ...]] = (
    "exact_cycle",
    "no_progress",
    "monologue",
    "errors",
    "polling",
    "recursion_depth",
    "turns",
    "cost_cap",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopTerms:
    """What decides where the notes of one conversation stand."""

    policy: LoopPolicy
    #: the step of the ladder, in percent of a limit; None: no notes
    note: int | None
    #: notes in front of this message are not written
    since: int = 0

    def begun_with(self, messages: int) -> LoopTerms:
        """The same for a conversation that has so many messages by now: only the last may carry."""
        return replace(self, since=max(0, messages - 1))

    @property
    def ladder(self) -> LoopLadder:
        """The one step that is kept."""
        return LoopLadder(alert=None, note=self.note, escalate=None, stop=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopRules:
    """All rules of one process; fixed at its start."""

    policy: LoopPolicy = field(default_factory=LoopPolicy)
    ladder: LoopLadder = field(default_factory=LoopLadder)
    trees: TreeLimits = field(default_factory=TreeLimits)
    #: of what the ladder would stop, this is stopped
    stops: frozenset[LoopKind] = frozenset(STOPPED_KINDS)
    #: stop a loop whose turns in vain have cost more, in 10⁻¹² USD; None: no limit
    max_wasted_pico: int | None = None
    #: usual minutes of overspending until it is told; 0: nobody looks
    patience: int = 5
    #: what a task tree may spend in a minute, in 10⁻¹² USD; None: no cap
    minute_pico: int | None = None

    @property
    def terms(self) -> LoopTerms:
        """What a conversation that begins now keeps."""
        return LoopTerms(policy=self.policy, note=self.ladder.note)

    @property
    def mild_ladder(self) -> LoopLadder:
        """The ladder for what is never stopped."""
        return replace(self.ladder, stop=None, max_wasted_tokens=None)

    @property
    def least_messages(self) -> int:
        """Shorter histories hold no loop: each turn of one is an answer and what answered it."""
        return 2 * min(self.policy.repeats, self.policy.no_progress_turns)
