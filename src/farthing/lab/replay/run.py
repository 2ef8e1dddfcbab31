"""One replay: a workload through some policies, one way or the other, as a document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final, Literal

import msgspec

from farthing.lab.emulator import TYPICAL
from farthing.lab.replay.bills import COMPONENTS, Bill, Miss, Prices
from farthing.lab.replay.emulated import EmulatedRun
from farthing.lab.replay.policies import Policy
from farthing.lab.replay.recording import Breaks, read_turns
from farthing.lab.replay.simulation import Replayed, simulate
from farthing.lab.replay.turns import Turn
from farthing.pricing import Catalog, dump_usd
from farthing.traces.format import Conversation
from farthing.version import VERSION

__all__ = [
    "BASELINE",
    "FIRST_TOKEN",
    "FORMAT",
    "Options",
    "Outcome",
    "Progress",
    "Through",
    "replay",
    "replay_turns",
    "same_tokens",
]

Through = Literal["simulation", "emulator"]

FORMAT: Final = "farthing-replay"
_VERSION: Final = 1

#: what ratios are against, if it is among the policies: the request as the client sent it
BASELINE: Final = "as-recorded"

#: How long a first token takes, by what is read and what is not: an order of magnitude, the same
#: for all models, and the only thing here that is no count and no price.
FIRST_TOKEN: Final = TYPICAL

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to replay."""

    through: Through = "simulation"
    breaks: Breaks = "inject"
    #: replay and price as this model instead of the recorded ones
    model: str | None = None
    #: price at this day's cards instead of the recorded day's
    on: date | None = None


@dataclass(slots=True)
class Outcome:
    """One policy's bills, and how the two ways of replaying compared."""

    policy: str
    total: Bill = field(default_factory=Bill)
    conversations: dict[str, Bill] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    #: calls on which emulator and simulation did not agree to the token
    differing: int = 0
    #: summed over the calls, modelled: see ``FIRST_TOKEN``
    first_token_seconds: float = 0.0

    def add(self, replayed: Replayed, prices: Prices) -> None:
        """One more call."""
        self.total.add(replayed, prices)
        read = replayed.usage.cache_read
        self.first_token_seconds += FIRST_TOKEN.first_byte_seconds(
            uncached=replayed.usage.prompt - read, cached=read
        )
        key = replayed.turn.recording.conversation.id
        self.conversations.setdefault(key, Bill()).add(replayed, prices)


def replay(
    conversations: Iterable[Conversation],
    policies: Sequence[Policy],
    catalog: Catalog,
    *,
    options: Options,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The workload under each policy, as the document that tables, JSON and pages are made of."""
    turns = read_turns(conversations, breaks=options.breaks, model=options.model)
    return replay_turns(turns, policies, catalog, options=options, progress=progress)


def replay_turns(
    turns: Sequence[Turn],
    policies: Sequence[Policy],
    catalog: Catalog,
    *,
    options: Options,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The same for turns that were read already, with the same options."""
    prices = Prices(catalog, on=options.on)
    outcomes = []
    for number, policy in enumerate(policies):
        outcome = Outcome(policy=policy.name)
        run = _through_emulator if options.through == "emulator" else _simulated
        for done, replayed in enumerate(run(turns, policy, outcome), start=1):
            outcome.add(replayed, prices)
            if progress is not None and not done % 16:
                progress(number * len(turns) + done, len(turns) * len(policies))
        outcomes.append(outcome)
    return _document(turns, outcomes, _recorded(turns, prices), options)


def same_tokens(left: Replayed, right: Replayed) -> bool:
    """Do two ways of replaying a turn agree to the token?"""
    return all(getattr(left.usage, part) == getattr(right.usage, part) for part in COMPONENTS)


def _simulated(turns: Sequence[Turn], policy: Policy, _outcome: Outcome) -> Iterator[Replayed]:
    return simulate(turns, policy)


def _through_emulator(
    turns: Sequence[Turn], policy: Policy, outcome: Outcome
) -> Iterator[Replayed]:
    """Billed by the emulator; the simulation runs along and explains."""
    run = EmulatedRun()
    simulated = {replayed.turn.id: replayed for replayed in simulate(turns, policy)}
    for emulated in run.replay(turns, policy):
        twin = simulated[emulated.turn.id]
        outcome.differing += not same_tokens(emulated, twin)
        yield replace(twin, usage=emulated.usage)
    outcome.refused = [f"{each.turn_id}: {each.message}" for each in run.refused]


def _recorded(turns: Sequence[Turn], prices: Prices) -> Bill:
    """What the provider billed, where the recording says; output as in the replays."""
    bill = Bill()
    for turn in turns:
        if turn.recorded is not None:
            usage = msgspec.structs.replace(turn.recorded, output=turn.output_tokens)
            bill.add(Replayed(turn=turn, usage=usage), prices)
    return bill


# -- the document ---------------------------------------------------------------------------------


def _document(
    turns: Sequence[Turn], outcomes: Sequence[Outcome], recorded: Bill, options: Options
) -> dict[str, Any]:
    names = [outcome.policy for outcome in outcomes]
    baseline = names.index(BASELINE) if BASELINE in names else 0
    against = outcomes[baseline].total.input_cost if outcomes else None
    return {
        "format": FORMAT,
        "version": _VERSION,
        "farthing": VERSION,
        "through": options.through,
        "breaks": options.breaks,
        "model": options.model,
        "priced_on": options.on.isoformat() if options.on else None,
        "calls": len(turns),
        "conversations": len({turn.recording.conversation.id for turn in turns}),
        "recorded_breaks": sum(turn.is_break for turn in turns),
        "undated_calls": sum(turn.day is None for turn in turns),
        "baseline": names[baseline] if names else None,
        "recorded": _bill(recorded) if recorded.calls and options.model is None else None,
        "policies": [_outcome(outcome, against) for outcome in outcomes],
    }


def _outcome(outcome: Outcome, against: int | None) -> dict[str, Any]:
    own = outcome.total.input_cost
    return {
        "policy": outcome.policy,
        **_bill(outcome.total),
        "input_cost_ratio": own / against if own is not None and against else None,
        "mean_first_token_seconds": outcome.first_token_seconds / max(1, outcome.total.calls),
        "misses": [
            _miss(cause, miss, is_priced=own is not None)
            for cause, miss in sorted(
                outcome.total.misses.items(), key=lambda item: (-item[1].extra, -item[1].tokens)
            )
        ],
        "refused": outcome.refused,
        "differing_calls": outcome.differing,
        "by_conversation": [
            {"id": key, **_bill(bill)} for key, bill in outcome.conversations.items()
        ],
    }


def _bill(bill: Bill) -> dict[str, Any]:
    cost, input_cost = bill.cost, bill.input_cost
    return {
        "calls": bill.calls,
        "unpriced_calls": bill.unpriced_calls,
        "estimated_outputs": bill.estimated_outputs,
        "prompt_tokens": bill.prompt_tokens,
        "tokens": dict(bill.tokens),
        "cost_usd": None if cost is None else cost.dump(),
        "input_usd": None if input_cost is None else dump_usd(input_cost),
        "missed_calls": sum(miss.calls for miss in bill.misses.values()),
    }


def _miss(cause: str, miss: Miss, *, is_priced: bool) -> dict[str, Any]:
    return {
        "cause": cause,
        "calls": miss.calls,
        "missed_tokens": miss.tokens,
        "extra_usd": dump_usd(miss.extra) if is_priced else None,
    }
