"""Is there anything about loops to look at in this call? For most there is not, at once.

Theory of operation. A history that is too short holds no loop; a task without parent does not
grow a tree; a tree that spends as usual is not mentioned. What is left gets a ``Looking``, which
``farthing.core.exchange_loops`` goes on with. What the client wants left alone is left alone.

Rules of this file: it runs for every call, so what costs comes last.
"""

from __future__ import annotations

from typing import Final

import msgspec

from farthing.core.exchange_call import Call
from farthing.core.exchange_levers import Levers
from farthing.core.loop_limits import check_tree
from farthing.core.loop_values import LoopDecision, LoopFinding
from farthing.core.loop_watch import LoopWatch
from farthing.core.records import Attribution
from farthing.wire.request import Request

__all__ = ["Looking", "look"]

_BYPASS: Final = "x-farthing-bypass"
#: from its second request on a conversation has costs that may turn out to be a loop's
_GOES_ON: Final = 3
#: no rules find a loop in less than two turns
_SHORTEST: Final = 4


class Looking(msgspec.Struct, kw_only=True):
    """What there is to look at."""

    #: as the client sent it
    request: Request
    lineage_id: str
    #: can its history hold a loop by today's rules, and by those of any conversation's terms?
    is_long: bool
    may_carry: bool
    #: limits of its task's tree that it would pass
    grown: tuple[LoopFinding, ...] = ()
    #: what today's rules say of its history
    decision: LoopDecision | None = None


def look(
    call: Call,
    request: Request,
    watch: LoopWatch,
    *,
    who: Attribution,
    levers: Levers | None,
    is_first: bool,
) -> Looking | None:
    """What there is to look at; None: nothing. ``is_first``: this attempt is its call's first."""
    if _BYPASS in call.headers and call.flag(_BYPASS):
        return None
    many = request.message_count
    grown = _grown(call, who, many, watch) if is_first else ()
    if many < _GOES_ON and not grown:
        return None
    return Looking(
        request=request,
        lineage_id=f"{who.key_scope} {who.task_id}" if levers is None else levers.state.lineage_id,
        is_long=many >= watch.least_messages,
        may_carry=many >= _SHORTEST,
        grown=grown,
    )


def _grown(
    call: Call, who: Attribution, messages: int, watch: LoopWatch
) -> tuple[LoopFinding, ...]:
    """What its tree grew into; a call within the limits is counted."""
    found: tuple[LoopFinding, ...] = ()
    limits, now_ns = watch.rules.trees, call.received.ns
    if who.task_id != who.root_task_id or limits.turns is not None:
        found = check_tree(watch.trees.asked(who, now_ns, shown_turns=messages // 2), limits)
        if not found:
            watch.trees.count(who, now_ns)
    fast = watch.speeds.finding((who.key_scope, who.root_task_id), now_ns)
    return found if fast is None else (*found, fast)
