"""What an engine is made of: fixed at the start of a process."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from farthing.core.engine_referee import SAMPLE
from farthing.core.governor import Governor
from farthing.core.loop_terms import LoopTerms
from farthing.core.policy import Policy
from farthing.core.ttl_tables import TtlTables
from farthing.pricing.catalog import Catalog

__all__ = ["EngineSetup"]


@dataclass(frozen=True, kw_only=True)
class EngineSetup:
    """Rules, prices, and what earlier processes learned."""

    policy: Policy
    engine_version: str
    #: keys lineages and hold-outs
    install_key: bytes = field(repr=False)
    prices: Catalog
    #: share of tasks that no lever touches
    hold_out: float = 0.0
    #: share of lineages that ask for the provider's diagnostics, where that lever is on
    diagnosed: float = SAMPLE
    lifetimes: TtlTables | None = None
    governor: Governor | None = field(default=None)
    #: what a conversation that begins now keeps for notes about loops; None: no notes
    loops: LoopTerms | None = None

    @cached_property
    def policy_digest(self) -> str:
        """What pins remember of the rules."""
        return self.policy.digest
