"""What a process learned since it last said so: rows of several gateways must add up once.

A gateway saves the sum of what it found in the ledger and what it has learned since. If another one
saved in between, the same growth is added to what that one left. Tables fade while they grow, so a
difference may fall below zero; it counts as nothing then, which forgets a little and never invents.
"""

from __future__ import annotations

from farthing.core.ttl_experts import TtlTable
from farthing.core.ttl_tables import TtlTables

__all__ = ["grown"]

_COUNTS = ("gaps", "pauses", "chances", "returned", "opened")


def grown(now: TtlTables, before: TtlTables) -> TtlTables:
    """What ``now`` has over ``before``."""
    return TtlTables(
        by_class={
            name: _grown(table, before.by_class.get(name, TtlTable()))
            for name, table in now.by_class.items()
        },
        upgrades_held=now.upgrades_held - before.upgrades_held,
        upgrades_failed=now.upgrades_failed - before.upgrades_failed,
    )


def _grown(now: TtlTable, before: TtlTable) -> TtlTable:
    costs = {name: max(0.0, cost - before.costs.get(name, 0.0)) for name, cost in now.costs.items()}
    counts = {name: max(0.0, getattr(now, name) - getattr(before, name)) for name in _COUNTS}
    return TtlTable(costs=costs, **counts)
