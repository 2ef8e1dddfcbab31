"""Loops as values: what counts as one, what was found, and what is done about it.

``LoopPolicy`` holds the limits of detection, ``LoopFinding`` is what ``farthing.core.loop_guard``
saw at the end of a history, ``LoopDecision`` what the ladder (``farthing.core.loop_ladder``) makes
of it. A finding carries no text: names of tools, addresses of blocks, sizes and keyed digests.

Every kind of finding has a limit of its own. ``percent`` makes them comparable: 100 is the limit
itself, 200 twice as much, so that one ladder serves all kinds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = [
    "TOKENS_PER_BYTE",
    "Action",
    "LoopCall",
    "LoopDecision",
    "LoopFinding",
    "LoopKind",
    "LoopNote",
    "LoopPolicy",
]

#: of JSON in a history, on average over recorded coding traffic; a size for a report, not a bill
TOKENS_PER_BYTE: Final = 0.3

LoopKind = Literal[
    "exact_cycle",
    "no_progress",
    "monologue",
    "errors",
    "polling",
    "recursion_depth",
    "fan_out",
    "fan_out_rate",
    "turns",
    "cost_velocity",
    "cost_cap",
]

#: what is done, from the mildest on; ``escalate`` is for a router, if there is one
Action = Literal["pass", "alert", "note", "escalate", "stop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopPolicy:
    """The limits at which repetition becomes a finding."""

    #: equal copies of a cycle in a row
    repeats: int = 3
    #: the longest cycle that is looked for, in turns
    max_cycle_len: int = 8
    #: turns in a row that showed nothing new and changed nothing
    no_progress_turns: int = 5
    #: the same for copies whose results are passing faults: time-outs, 429, 503
    transient_repeats: int = 5
    #: tools that wait by contract, beside those that are recognised
    poll_tools: frozenset[str] = frozenset()
    #: polls in a row that showed the same
    max_polls: int = 60
    #: tokens that such polls may add to the history
    max_poll_tokens: int = 100_000

    def __post_init__(self) -> None:
        least = {
            "repeats": 2,
            "max_cycle_len": 1,
            "no_progress_turns": 2,
            "transient_repeats": 2,
            "max_polls": 1,
            "max_poll_tokens": 1,
        }
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ValueError(f"{name}={getattr(self, name)!r}: at least {bound}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopCall:
    """One call of the repeated part: evidence without text."""

    #: empty: the agent said something and called nothing
    tool: str
    #: where the call stands in the request
    address: str
    result_bytes: int
    is_error: bool
    #: keyed digest of tool and canonical arguments, in hex
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopFinding:
    """What repeats, since when, and what it wasted so far."""

    kind: LoopKind
    #: copies of the cycle, or turns without progress, or polls
    repeats: int
    #: the digests of one copy's turns, or of the last turn
    cycle: tuple[str, ...]
    #: index of the message with which the repeated part begins
    since: int
    #: turns behind the first copy
    wasted_turns: int
    #: what these added to the history, estimated by their bytes; each was read again on every turn
    wasted_tokens: int
    #: 100: at its limit
    percent: int
    #: new questions with answers that are alike, not equal: may be a walk along many records
    is_vague: bool = False
    evidence: tuple[LoopCall, ...] = ()

    @property
    def tools(self) -> tuple[str, ...]:
        """The tools of the repeated part, each once."""
        return tuple(dict.fromkeys(call.tool for call in self.evidence if call.tool))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopNote:
    """A note to the model: the same text at the same place on this turn and all later ones."""

    #: index of the user message it is appended to
    message: int
    #: how many blocks that message has without it
    blocks: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopDecision:
    """What to do about this request."""

    action: Action
    finding: LoopFinding | None
    #: all notes that this history carries, those of earlier turns included
    notes: tuple[LoopNote, ...] = ()
