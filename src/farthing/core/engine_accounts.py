"""The half of the engine that proves: shadows of what was not sent, savings, the governor.

Theory of operation. What the client sent is stage 0; each lever that acts adds a stage; the last
one leaves. When the answer has told its usage, ``Shadows`` says what each stage would have cost, so
the savings add up to baseline minus cost exactly. Each saving is a residual for the governor. A
miss gets its cause from the forecast of what was sent and from the request before it in the
lineage.

A call whose usage or price is not known, or that costs nothing, has no savings; what it wrote can
be read all the same.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Final

from farthing.core.cache_breaks import cause_of, diff
from farthing.core.cache_engine import CacheEngine
from farthing.core.engine_setup import EngineSetup
from farthing.core.engine_values import EngineAnswer, EngineCall
from farthing.core.governor import Governor, Residual
from farthing.core.keepalive import KEEPALIVE
from farthing.core.prefix import PrefixView
from farthing.core.records import Accounting, LeverSaving
from farthing.core.shadow import AS_SENT_BY_CLIENT, Answered, Savings, Shadows, Stage

__all__ = ["Accounts"]

#: open from the start where the policy lets them act: opening later copies a cache
_USUAL: Final = ("cache.marks", "cache.ttl", "cache.fanout", KEEPALIVE)
#: lineages with pings that are remembered
_PINGED: Final = 8_192
_ENTRIES: Final = 20_000


class Accounts:
    """Shadows and evidence of one process."""

    def __init__(self, setup: EngineSetup, cache: CacheEngine) -> None:
        in_force = setup.policy.in_force()
        usual = [lever for lever in _USUAL if lever in in_force.levers and in_force.is_applied]
        self.shadows = Shadows(entries=_ENTRIES, levers=usual)
        self.governor = setup.governor or Governor(engine_version=setup.engine_version)
        self._cache = cache
        #: lineages that were kept alive: what they send is another stage than the client's
        self._pinged: OrderedDict[str, None] = OrderedDict()
        #: residuals beyond their bound: an error of the model, shown and not judged
        self.out_of_bounds = 0

    def began(self, call: EngineCall, now: datetime, *, has_waited: bool = False) -> None:
        """The request leaves now; if it has waited, it would have left when it came."""
        at = call.caller.now if has_waited else now
        stages = [Stage(lever=AS_SENT_BY_CLIENT, view=call.view, began_at=at)]
        stages += (Stage(lever=lever, view=view, began_at=at) for lever, view in call.stages)
        if has_waited:
            stages.append(Stage(lever="cache.fanout", view=call.sends, began_at=now))
        if call.lineage_id in self._pinged:
            stages.append(Stage(lever=KEEPALIVE, view=call.sends, began_at=now))
        call.shadowed = self.shadows.begin(stages)

    @property
    def kept_alive(self) -> int:
        """Lineages that pings have read for, as far as they are remembered."""
        return len(self._pinged)

    def kept_warm(
        self, lineage_id: str, view: PrefixView, *, began_at: datetime, first_byte_at: datetime
    ) -> None:
        """A ping of ours has read this prefix."""
        self.shadows.kept_warm(KEEPALIVE, view, began_at=began_at, first_byte_at=first_byte_at)
        self._pinged[lineage_id] = None
        self._pinged.move_to_end(lineage_id)
        if len(self._pinged) > _PINGED:
            self._pinged.popitem(last=False)

    def first_byte(self, call: EngineCall, at: datetime) -> None:
        """An answer begins: what this request writes can be read from now on."""
        if call.shadowed is not None:
            self.shadows.seen(call.shadowed, at)

    def ended(
        self, call: EngineCall, answer: EngineAnswer, first_byte_at: datetime
    ) -> Accounting | None:
        """Baseline, savings and cause; None where there is nothing to compare."""
        usage, cost, card, shadowed = answer.usage, answer.cost, answer.card, call.shadowed
        if usage is None or not usage.prompt or call.left is None or shadowed is None:
            return None
        self._cache.observed(call.left.view, usage=usage, stop_reason=answer.stop_reason)
        if cost is None or card is None or not cost.total:
            return None
        savings = self.shadows.settle(
            shadowed, Answered(usage=usage, first_byte_at=first_byte_at, card=card, cost=cost)
        )
        self._judge(call, savings)
        forecast = shadowed.forecast
        before, change = call.reading.after, None
        if before is not None and before.lineage_id == call.lineage_id:
            change = diff(before.left, call.left.fingerprint, call.traits)
        miss = cause_of(shadowed.sent.view, forecast, read_tokens=usage.cache_read, change=change)
        return Accounting(
            baseline_pico=savings.baseline_pico,
            savings=tuple(
                LeverSaving(lever=lever, saved_pico=saved, predicted_pico=savings.foreseen[lever])
                for lever, saved in savings.by_lever.items()
            ),
            foreseen=forecast.usage,
            miss_cause=None if miss is None else miss.name,
            is_held_out=call.is_held_out,
            workload=call.workload,
        )

    def _judge(self, call: EngineCall, savings: Savings) -> None:
        for lever, saved in savings.by_lever.items():
            if abs(saved) > savings.bound_pico:
                self.out_of_bounds += 1
                continue
            residual = Residual(saved_pico=saved, bound_pico=savings.bound_pico)
            self.governor.record(lever, call.workload, residual)
