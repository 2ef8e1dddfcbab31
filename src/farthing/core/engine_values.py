"""What goes into the engine and what comes out of it: plain values, and one call on its way."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from farthing.core.cache_values import CacheChoice
from farthing.core.engine_recent import Recent, RecentKey
from farthing.core.pins import LineagePin, RepairChoice
from farthing.core.plan import Planned
from farthing.core.policy import InForce
from farthing.core.prefix import PrefixView
from farthing.core.prefix_view import Weighed
from farthing.core.records import Attribution
from farthing.core.shadow import Shadowed
from farthing.pricing.cards import RateCard
from farthing.pricing.money import Cost
from farthing.wire.fingerprint import Fingerprint
from farthing.wire.models import ModelTraits
from farthing.wire.request import Request
from farthing.wire.usage import Usage

__all__ = ["Caller", "EngineAnswer", "EngineCall", "LeftAs", "Reading"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A parsed request, and the one that it goes on from, if that is known."""

    request: Request
    key: RecentKey
    after: Recent | None
    #: what the client sent, where notes of ours were put into it; None: ``request``
    came: Request | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whose request it is, and what was said about levers."""

    attribution: Attribution
    #: the name of the key, for policies
    key: str | None
    #: ``x-farthing-levers``
    levers: str | None
    #: the client wants its bytes left alone
    is_bypassed: bool
    #: paid by a subscription: observed, never edited
    is_subscription: bool
    now: datetime
    #: the only levers that a virtual key may have; None: no limit of a key's
    allowed: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftAs:
    """The request with the pinned repairs made, before any mark of ours."""

    request: Request
    fingerprint: Fingerprint
    view: PrefixView
    #: each repair that was made, with the prompt after it
    repaired: tuple[tuple[str, PrefixView], ...] = ()
    declined: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class EngineCall:
    """One call on its way through the engine; opaque to the exchange but for what it sends."""

    # -- as it came
    reading: Reading
    caller: Caller
    traits: ModelTraits
    card: RateCard
    fingerprint: Fingerprint
    weighed: Weighed
    #: as the client sent it
    view: PrefixView
    # -- what is in force
    in_force: InForce
    is_held_out: bool
    kind: str
    workload: str
    # -- what was decided
    repairs: tuple[RepairChoice, ...] = ()
    #: the pin that holds for this request, on record or about to be
    pin: LineagePin | None = None
    left: LeftAs | None = None
    #: ``left.view``, its positions moved to what answers have measured
    anchored: PrefixView | None = None
    choice: CacheChoice | None = None
    planned: Planned | None = None
    #: the API refused our marks: what is sent has none of them
    is_refused: bool = False
    # -- under way
    shadowed: Shadowed | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def lineage_id(self) -> str:
        """The conversation, by a keyed digest."""
        return self.view.lineage_id

    @property
    def sends(self) -> PrefixView:
        """The prompt as it will leave."""
        assert self.left is not None
        return self.stages[-1][1] if self.accepted else self.left.view

    @property
    def accepted(self) -> tuple[str, ...]:
        """The levers that act on marks."""
        planned = self.planned
        if planned is None or not planned.is_applied or self.is_refused:
            return ()
        return planned.accepted

    @property
    def stages(self) -> list[tuple[str, PrefixView]]:
        """Each lever that acts, with the prompt after it, in the order of ablation."""
        assert self.left is not None
        found = list(self.left.repaired)
        if self.accepted:
            assert self.planned is not None
            found += self.planned.steps(self.left.view)
        return found

    @property
    def writes_for_an_hour(self) -> bool:
        """May a mark of ours be for an hour?"""
        return any(mark.ttl == "1h" for mark in self.sends.marks)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAnswer:
    """What came of a call; without a cost there is nothing to compare."""

    usage: Usage | None
    cost: Cost | None
    #: of the model that answered
    card: RateCard | None
    stop_reason: str | None
    message_id: str | None = None
    #: the answer's ``diagnostics`` as JSON, where it has them
    diagnostics: bytes | None = None
