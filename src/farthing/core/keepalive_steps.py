"""What an exchange has to do with keep-alive: it cancels what was planned, and plans anew.

Rules of this file: a fault here costs pings, no call; nothing of a credential is kept.
"""

from __future__ import annotations

from typing import Final

from farthing.core.engine import Engine
from farthing.core.engine_values import EngineCall
from farthing.core.exchange_call import Call
from farthing.core.exchange_guard import guarded
from farthing.core.exchange_prepare import Setup
from farthing.core.exchange_settle import Progress, Verdict
from farthing.core.keepalive import KEEPALIVE, Pinging, ping_body
from farthing.core.records import Accounting

__all__ = ["cancel_pings", "own_accounting", "plan_pings"]

#: a ping brings the gateway's own key, and is answered as it is
_NOT_KEPT: Final = frozenset(
    {"x-api-key", "authorization", "cookie", "proxy-authorization", "accept-encoding"}
)


def cancel_pings(progress: Progress, setup: Setup) -> None:
    """A real request of this lineage is here."""
    levers = progress.prepared.levers
    if setup.keepalive is not None and levers is not None:
        setup.keepalive.cancel(levers.state.lineage_id)


def plan_pings(progress: Progress, verdict: Verdict, setup: Setup) -> None:
    """A good answer: what it read and wrote is kept alive if that pays."""
    keepalive, engine, levers = setup.keepalive, setup.engine, progress.prepared.levers
    if keepalive is None or engine is None or levers is None or progress.head is None:
        return
    if verdict.state != "settled" or verdict.usage is None or not verdict.usage.prompt:
        return
    state, call, used_ns = levers.state, progress.call, progress.head.sent_ns
    body = progress.prepared.plan.body
    found = guarded(
        lambda: _pinging(engine, state, call, body, used_ns),
        None,
        code="keepalive",
        notes=progress.notes,
    )
    if found is not None:
        keepalive.plan(found)


def own_accounting(call: Call, verdict: Verdict) -> Accounting | None:
    """Of a call of our own: it costs, and saves nothing by itself."""
    if call.ping_for is None or verdict.cost is None:
        return None
    cost = verdict.cost.total
    return Accounting(baseline_pico=cost, own_cost_pico=cost)


def _pinging(
    engine: Engine, state: EngineCall, call: Call, body: bytes, used_ns: int
) -> Pinging | None:
    in_force = state.in_force
    if KEEPALIVE not in in_force.levers or not in_force.is_applied or state.left is None:
        return None
    if not state.sends.marks or state.sends.marks[-1].ttl != "5m":
        return None
    if engine.accounts.governor.is_off(KEEPALIVE, state.workload):
        return None
    pings = engine.cache.pings(state.kind, state.card.rates_for(state.sends.total_tokens))
    ping = ping_body(body) if pings else None
    if ping is None:
        return None
    return Pinging(
        lineage_id=state.lineage_id,
        attribution=state.caller.attribution,
        body=ping,
        headers={name: text for name, text in call.headers.items() if name not in _NOT_KEPT},
        key_name=call.key_name,
        view=state.sends,
        used_ns=used_ns,
        pings=pings,
    )
