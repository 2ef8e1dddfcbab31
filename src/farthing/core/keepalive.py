"""Keep-alive: a prefix about to expire is read once more, where what was learned says that it pays.

Theory of operation. A read refreshes an entry (API facts 2.3), and a request with ``max_tokens: 0``
reads and answers nothing (2.8, documentation as of 2026-10). So a conversation in a pause of more
than five minutes costs a read per five minutes instead of a write at its end. Whether that pays is
a matter of how pauses end: the tables of ``ttl_experts`` have columns for one to three pings per
pause, and the number whose column is cheapest is sent, never more than ``(w - r) / r``: from there
on the pings alone cost as much as the write that they avoid.

A ping is the last request as it was sent, with ``max_tokens: 0`` and without ``stream``; all other
parameters are rendered or may be, and stay. The API refuses that with a thinking budget, structured
output or a forced tool. Nothing is sent then: a ping without those parameters would read another
prefix. Only 5 m lineages are kept alive; for longer pauses an hour is cheaper.

``KeepAlive`` says who is due; a job sends (``compose.keepalive``). A real request of the lineage
cancels what is planned.

Rules of this file: instants are nanoseconds of the monotonic clock; no credential is kept; memory
is bounded by lineages and by bytes, and what was planned first is given up first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from farthing.core.prefix import LIFETIMES, PrefixView
from farthing.core.records import Attribution
from farthing.core.ttl_experts import Expert, Multipliers, TtlTable
from farthing.core.ttl_tables import GUARD_GAPS
from farthing.errors import RequestError
from farthing.wire import json
from farthing.wire.apply import apply
from farthing.wire.edits import Edit, RemoveTopLevel, SetTopLevel
from farthing.wire.request import Request

__all__ = ["KEEPALIVE", "KeepAlive", "Pinging", "ping_body", "pings_that_pay"]

#: the lever's id
KEEPALIVE: Final = "cache.keepalive"

_SECOND_NS: Final = 1_000_000_000
#: a lifetime, less what a ping may be late
_AFTER_NS: Final = (round(LIFETIMES["5m"].total_seconds()) - 15) * _SECOND_NS

#: experts by their pings per pause
_EXPERTS: Final[tuple[Expert, ...]] = ("5m", "5m_1_ping", "5m_2_pings", "5m_3_pings")
_FORCED: Final = frozenset({b'"any"', b'"tool"'})


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Pinging:
    """A lineage whose prefix is to be kept alive."""

    lineage_id: str
    attribution: Attribution
    #: the ping, ready to be sent, and the client's header without its credentials
    body: bytes
    headers: Mapping[str, str]
    #: the virtual key it is billed to
    key_name: str | None = None
    view: PrefixView
    #: when the prefix was last read or written
    used_ns: int
    #: how many more may follow in this pause
    pings: int

    @property
    def due_ns(self) -> int:
        """Shortly before the entry expires."""
        return self.used_ns + _AFTER_NS


def pings_that_pay(table: TtlTable, prices: Multipliers) -> int:
    """How many pings per pause would have been cheapest in this class; 0 until enough was seen."""
    if table.gaps < GUARD_GAPS or prices.read <= 0:
        return 0
    cap = int((prices.write_5m - prices.read) / prices.read)
    allowed = _EXPERTS[: cap + 1]
    costs = [table.costs.get(expert, 0.0) for expert in allowed]
    return costs.index(min(costs)) if costs else 0


def ping_body(body: bytes) -> bytes | None:
    """The same request with nothing to answer; None where the API would refuse it."""
    try:
        request = Request.parse(body)
        if _is_refused(request):
            return None
        edits: list[Edit] = [SetTopLevel("max_tokens", b"0")]
        if request.field("stream") is not None:
            edits.append(RemoveTopLevel("stream"))
        return apply(request, edits)
    except RequestError:
        return None


def _is_refused(request: Request) -> bool:
    return (
        _member(request, "thinking", "type") == b'"enabled"'
        or _member(request, "tool_choice", "type") in _FORCED
        or _member(request, "output_config", "format") not in {None, b"null"}
        or request.field("output_format") is not None
    )


def _member(request: Request, field: str, name: str) -> bytes | None:
    raw = request.field(field)
    if raw is None or not raw.startswith(b"{"):
        return None
    value = json.raw_members(raw).get(name)
    return None if value is None else bytes(value)


class KeepAlive:
    """What is planned, in one process."""

    def __init__(self, *, lineages: int = 1_024, total_bytes: int = 64 * 1024 * 1024) -> None:
        self._most = lineages
        self._most_bytes = total_bytes
        self._bytes = 0
        #: by lineage, the next due first: all wait equally long
        self._planned: OrderedDict[str, Pinging] = OrderedDict()
        #: lineages whose ping is under way
        self._sent: dict[str, Pinging] = {}

    def __len__(self) -> int:
        return len(self._planned)

    def cancel(self, lineage_id: str) -> None:
        """A real request of this lineage came."""
        self._sent.pop(lineage_id, None)
        planned = self._planned.pop(lineage_id, None)
        if planned is not None:
            self._bytes -= len(planned.body)

    def plan(self, pinging: Pinging) -> None:
        """It was used now; a ping is due before it expires, if any is left."""
        self.cancel(pinging.lineage_id)
        if pinging.pings <= 0:
            return
        self._planned[pinging.lineage_id] = pinging
        self._bytes += len(pinging.body)
        while len(self._planned) > self._most or self._bytes > self._most_bytes:
            self.cancel(next(iter(self._planned)))

    def due(self, now_ns: int) -> list[Pinging]:
        """Who is to be pinged now. What should have been long ago is expired, and dropped."""
        found = []
        for pinging in list(self._planned.values()):
            if pinging.due_ns > now_ns:
                continue
            self.cancel(pinging.lineage_id)
            if now_ns - pinging.used_ns < LIFETIMES["5m"].total_seconds() * _SECOND_NS:
                self._sent[pinging.lineage_id] = pinging
                found.append(pinging)
        return found

    def pinged(self, pinging: Pinging, at_ns: int, *, has_read: bool) -> None:
        """A ping that left at this instant was answered; what was not there is not kept alive."""
        if self._sent.pop(pinging.lineage_id, None) is pinging and has_read:
            self.plan(replace(pinging, used_ns=at_ns, pings=pinging.pings - 1))

    def seconds_until_due(self, now_ns: int) -> float | None:
        """For how long there is nothing to do; None: nothing is planned."""
        if not self._planned:
            return None
        first = min(pinging.due_ns for pinging in self._planned.values())
        return max(0, first - now_ns) / _SECOND_NS
