"""What rests of an exchange: how it was opened, how it ended, and the states in between.

The states are a table, not code. ``held`` means that an intent is on record and something may have
been sent. An exchange ends once::

    held ── settle ──▶ settled      usage was seen (or an error that costs nothing): its cost stands
         ── release ─▶ released     nothing was sent
         ── expire ──▶ expired      nobody came back for it, and nothing was sent
         ── lose ────▶ unsettled    sent, the final usage never seen: an interval [low, high]
    unsettled ── settle ──▶ settled     reconciliation found what it cost
    settled, released ── retry ──▶ held the client tries a failure again that cost nothing

``retry`` is what joins the attempts of one call into one exchange: its ``Opened`` carries the
number of the attempt, and the settlement of a later attempt takes the place of the earlier one's.

Rules of this file: values only; no prompt text, no credential, no path with a query.
What is made for each call is a msgspec struct: as frozen as a dataclass, and made in a fifth of
its time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal, NewType

import msgspec

from farthing.core.batch_holds import BatchRows
from farthing.errors import EngineBug
from farthing.pricing.cards import RateCardId
from farthing.pricing.money import Cost
from farthing.wire.usage import Usage

__all__ = [
    "EVENT_OF_STATE",
    "TRANSITIONS",
    "Accounting",
    "Attribution",
    "AttributionSource",
    "Endpoint",
    "ExchangeEvent",
    "ExchangeId",
    "ExchangeRow",
    "ExchangeState",
    "FinalState",
    "Held",
    "LeverSaving",
    "Opened",
    "Outcome",
    "RecoveryReport",
    "Refused",
    "RowFilter",
    "Settlement",
    "TaskOutcome",
    "advance",
    "replaces",
]

ExchangeId = NewType("ExchangeId", str)

ExchangeState = Literal["held", "settled", "released", "expired", "unsettled"]
FinalState = Literal["settled", "released", "expired", "unsettled"]
ExchangeEvent = Literal["settle", "release", "expire", "lose", "retry"]
Endpoint = Literal["messages", "count_tokens", "batch_item", "other"]
AttributionSource = Literal["header", "claude-code", "metadata", "traceparent", "lineage"]
TaskOutcome = Literal["passed", "failed", "abandoned"]

TRANSITIONS: Final[Mapping[ExchangeState, Mapping[ExchangeEvent, ExchangeState]]] = {
    "held": {
        "settle": "settled",
        "release": "released",
        "expire": "expired",
        "lose": "unsettled",
    },
    "unsettled": {"settle": "settled"},
    "settled": {"retry": "held"},
    "released": {"retry": "held"},
    "expired": {},
}

#: the event that leads to a final state: what a ``Settlement`` of that state does to a row
EVENT_OF_STATE: Final[Mapping[FinalState, ExchangeEvent]] = {
    "settled": "settle",
    "released": "release",
    "expired": "expire",
    "unsettled": "lose",
}


def advance(state: ExchangeState, event: ExchangeEvent) -> ExchangeState:
    """The state after an event; ``EngineBug`` where the table has no such step."""
    after = TRANSITIONS[state].get(event)
    if after is None:
        raise EngineBug(f"an exchange that is {state!r} cannot {event!r}")
    return after


class Attribution(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whose exchange it is: the task it belongs to and where that was read."""

    task_id: str
    root_task_id: str
    #: keyed digest of the credential (or of ``x-farthing-key``), never the credential
    key_scope: str
    source: AttributionSource
    parent_task_id: str | None = None
    task_type: str | None = None
    session_id: str | None = None
    agent_id: str | None = None


class Opened(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An intent, on record before anything is sent."""

    exchange_id: str
    opened_at: datetime
    attribution: Attribution
    endpoint: Endpoint
    #: method and path class, without query or ids: ``POST /v1/messages``
    path: str
    request_bytes: int
    engine_version: str
    #: keyed digest of the client's body; empty: nobody had to know it, for no call had failed
    body_digest: str = ""
    model_asked: str | None = None
    is_streamed: bool = False
    #: the budget scope this spends from, e.g. ``task:<id>``; None: no budget applies
    scope: str | None = None
    #: further budgets it spends from, as keys of scope × window; each counts it whole
    budget_keys: tuple[str, ...] = ()
    reservation_id: str | None = None
    #: what is held under ``reservation_id``, in 10⁻¹² USD
    hold_pico: int | None = None
    #: the most this attempt can cost, in 10⁻¹² USD; None: unpriced
    high_pico: int | None = None
    #: 1, or more where this goes on with an exchange whose last attempt failed at no cost
    attempt: int = 1


class LeverSaving(msgspec.Struct, frozen=True, kw_only=True):
    """What one lever that acted made of an exchange, in 10⁻¹² USD; negative where it cost more."""

    lever: str
    #: by the provider's usage against the shadow baseline
    saved_pico: int
    #: what the planner expected before sending; None: the lever spoke no price. Never added up
    #: with what was measured.
    predicted_pico: int | None = None


class Accounting(msgspec.Struct, frozen=True, kw_only=True):
    """An exchange against its baseline: what the client's own request would have cost, and who
    saved how much of it.

    ``savings`` add up to ``baseline_pico`` minus the settlement's cost, exactly.
    """

    baseline_pico: int
    #: in the order of ablation; empty where no lever acted
    savings: tuple[LeverSaving, ...] = ()
    #: calls of our own for this exchange, not part of its cost; of an exchange that is our own (a
    #: ping) its cost itself
    own_cost_pico: int = 0
    #: what the prompt cache's model said of what was sent, before it was sent
    foreseen: Usage | None = None
    #: why less was read than the prompt shares with the request before; None: it was read
    miss_cause: str | None = None
    #: its task was left alone on purpose, for comparison
    is_held_out: bool = False
    #: what the governor judges together
    workload: str = ""


class Settlement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an exchange ended; one per attempt, and the last one stands."""

    exchange_id: str
    state: FinalState
    ended_at: datetime
    model_served: str | None = None
    usage: Usage | None = None
    #: None: unpriced, or not known yet
    cost: Cost | None = None
    #: the interval of an ``unsettled`` exchange, in 10⁻¹² USD; ``high_pico`` None: no bound known
    low_pico: int | None = None
    high_pico: int | None = None
    rate_card_id: RateCardId | None = None
    #: what the request as the client sent it would have cost
    baseline_pico: int | None = None
    http_status: int | None = None
    stop_reason: str | None = None
    error_type: str | None = None
    provider_request_id: str | None = None
    message_id: str | None = None
    attempts: int = 1
    response_bytes: int = 0
    #: our own time before sending and after the answer's end
    overhead_us: int = 0
    #: until the first byte of the answer's body came
    ttft_us: int | None = None
    total_us: int = 0
    #: reason codes of levers, accepted (``+cache.auto``) and declined (``-cache.client_marks``)
    plan: tuple[str, ...] = ()
    #: codes of what went differently than planned
    notes: tuple[str, ...] = ()
    #: None: no engine ran, or the answer told no usage, or nothing has a price
    accounting: Accounting | None = None
    #: what was held for the creation of a batch, from here on held by its rows
    batch: BatchRows | None = None


def replaces(new: Settlement, old: Settlement | None) -> bool:
    """Does a settlement change a row that ended as ``old``? False: it is on record already.

    A row changes by a later attempt, or when reconciliation finds the cost of an interval.
    Anything else said twice is said once.
    """
    if old is None or new.attempts > old.attempts:
        return True
    return new.attempts == old.attempts and old.state == "unsettled" and new.state == "settled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a task ended as its caller judged it."""

    outcome: TaskOutcome
    score: float | None = None
    #: who the task is, for one that makes no call itself; None: its exchanges say it
    task_type: str | None = None
    parent_task_id: str | None = None

    def over(self, earlier: Outcome | None) -> Outcome:
        """The last word counts; who the task is stays known."""
        if earlier is None:
            return self
        return replace(
            self,
            task_type=self.task_type or earlier.task_type,
            parent_task_id=self.parent_task_id or earlier.parent_task_id,
        )


class ExchangeRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a ledger returns of one exchange."""

    opened: Opened
    #: None: still held
    settlement: Settlement | None = None
    outcome: TaskOutcome | None = None
    score: float | None = None

    @property
    def state(self) -> ExchangeState:
        """Where the exchange stands."""
        return "held" if self.settlement is None else self.settlement.state


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFilter:
    """Which rows of a ledger; None and the empty tuple: any."""

    opened_from: datetime | None = None
    #: exclusive
    opened_until: datetime | None = None
    task_id: str | None = None
    states: tuple[ExchangeState, ...] = ()
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryReport:
    """What a ledger found of a process that died."""

    #: intents without a settlement that are now ``unsettled``
    unsettled: int = 0
    #: intents and settlements read back from the journal
    read_back: int = 0
    #: exchanges with their new settlement, the first few of them
    exchange_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The budget holds this amount until it is settled or released."""

    reservation_id: str
    amount_pico: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The budget does not have this amount left."""

    scope: str
    limit_pico: int
    spent_pico: int
    held_pico: int
    asked_pico: int
