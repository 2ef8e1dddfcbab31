"""Warm once, then fan out: parallel first calls on one cold prefix wait for the first of them.

Theory of operation. An entry of the prompt cache is readable from the first byte of the response
that writes it (API facts 2.3, documentation as of 2026-10). Requests that leave before that all pay
for the same write. So each block at which a request will write an entry is a *node*; who is the
first to leave with it is its *leader*, and who shares it and comes before the leader's first byte
waits. A request waits for the deepest such node that its own lookup would find, so a tree of
prefixes is warmed from the top: the head by one, then each branch by one, then the rest goes.

There is one mechanism for everything that can happen. A leader's nodes end, because its answer
began (``began``), because it failed or its client left (``left``), or because it is overdue
(``look``); then each of its waiters is *placed* again, in the order in which they came: it goes and
leads what it will write, or it waits for a node that somebody placed before it leads. So the next
one is promoted when a leader fails, and branches follow the head, without a rule for either.

A wait is over at the latest after ``limit_seconds``, whatever happens. A leader is overdue at the
99th percentile of the time to first byte of its size class. One that streams has stalled then, and
the next is promoted; one that does not shows nothing before its last token, so its prompt is taken
as read.

Nobody waits for less than the model's minimum of cacheable tokens, or where nothing is marked.

Interface: ``enter`` → ``Ticket``; while ``ticket.is_waiting`` wait until ``ticket.until_ns`` or
until called, then ``look``; in the end ``began`` or ``left``. All but ``enter`` return who is to be
called.

Rules of this file: instants are nanoseconds of the monotonic clock; nodes are bounded, the oldest
leader is given up first; a ticket waits only for one that goes, so there is no circle to wait in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, Literal

from farthing.core.fanout_times import FirstByteTimes
from farthing.core.prefix import PrefixView
from farthing.core.prompt_cache_forecast import Forecast
from farthing.core.prompt_cache_lookup import tested_blocks

__all__ = ["Fanout", "FanoutAsk", "Ticket", "TicketState", "WaitReason"]

_SECOND_NS: Final = 1_000_000_000

TicketState = Literal["going", "waiting", "ended"]
#: why a request left when it did
WaitReason = Literal[
    "waited",  # a leader's first byte let it go
    "leads",  # it is the first with what it writes
    "warm",  # nothing that is long enough is written
    "not_marked",
    "too_short",
    "would_wait",
    # it waited in vain, and writes itself
    "leader_failed",
    "leader_late",
    "limit",
    "client_left",  # it was never sent
]

_Node = tuple[str, str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FanoutAsk:
    """A request for which the lever is in force."""

    #: as it will be sent, the client's own marks included
    view: PrefixView
    forecast: Forecast
    is_streamed: bool
    #: False: it goes at once, and says whether it would have waited
    may_wait: bool = True


@dataclass(slots=True, kw_only=True, eq=False)
class Ticket:
    """One request on its way out."""

    view: PrefixView
    #: blocks at which it writes, long enough to be waited for
    writes: tuple[int, ...]
    is_streamed: bool
    entered_ns: int
    #: no wait goes on beyond this
    limit_ns: int
    #: the deepest block that it reads, and the tokens up to there
    warm_block: int
    warm_tokens: int
    state: TicketState = "going"
    reason: WaitReason = "leads"
    until_ns: int = 0
    gone_ns: int = 0
    leader: Ticket | None = None
    nodes: list[_Node] = field(default_factory=list)
    waiters: deque[Ticket] = field(default_factory=deque)

    #: an entry was written while it waited, and it will read it
    has_gained: bool = False

    @property
    def is_waiting(self) -> bool:
        """Should it not leave yet?"""
        return self.state == "waiting"

    @property
    def waited_ns(self) -> int:
        """How long it was kept, once it goes."""
        return self.gone_ns - self.entered_ns

    @property
    def new_tokens(self) -> int:
        """What has to be processed before its answer begins."""
        return self.view.total_tokens - self.warm_tokens

    def node(self, block: int) -> _Node:
        """The key of one of its blocks."""
        return self.view.scope, self.view.model, self.view.digests[block]


class Fanout:
    """Who leads and who waits, in one process."""

    def __init__(self, *, limit_seconds: float, nodes: int = 16_384) -> None:
        self._limit_ns = round(limit_seconds * _SECOND_NS)
        self._capacity = nodes
        #: leaders by what they write, the oldest first
        self._leaders: dict[_Node, Ticket] = {}
        self.times = FirstByteTimes()

    def __len__(self) -> int:
        return len(self._leaders)

    def enter(self, ask: FanoutAsk, now_ns: int) -> Ticket:
        """A request is about to leave."""
        view, hit = ask.view, ask.forecast.hit
        warm_tokens = hit.tokens if hit else 0
        least = max(1, view.min_cacheable_tokens)
        ticket = Ticket(
            view=view,
            writes=tuple(
                block
                for block in ask.forecast.writes
                if view.positions[block] - warm_tokens >= least
            ),
            is_streamed=ask.is_streamed,
            entered_ns=now_ns,
            limit_ns=now_ns + self._limit_ns * ask.may_wait,
            warm_block=hit.block if hit else -1,
            warm_tokens=warm_tokens,
        )
        reason = _nothing_to_wait_for(ticket, ask.forecast)
        if reason is None and not ask.may_wait and self._leader_for(ticket) is not None:
            reason = "would_wait"
        self._place(ticket, reason or "leads", now_ns)
        return ticket

    def began(self, ticket: Ticket, now_ns: int) -> tuple[Ticket, ...]:
        """The first byte of its answer came: what it wrote can be read. Late calls do nothing."""
        if ticket.state == "going" and ticket.is_streamed:
            took_ns = now_ns - ticket.gone_ns
            self.times.record(ticket.view.model, ticket.new_tokens, took_ns)
        ticket.state = "ended"
        return self._end(ticket, "waited", now_ns)

    def left(self, ticket: Ticket, now_ns: int) -> tuple[Ticket, ...]:
        """It failed, or its client went away, wherever it stands. Late calls do nothing."""
        if ticket.leader is not None:
            ticket.leader.waiters.remove(ticket)
            ticket.leader, ticket.reason = None, "client_left"
        ticket.state = "ended"
        return self._end(ticket, "leader_failed", now_ns)

    def look(self, ticket: Ticket, now_ns: int) -> tuple[Ticket, ...]:
        """Something called, or the time is over: may it go, or for how long should it wait?"""
        leader = ticket.leader
        if leader is None or now_ns < ticket.until_ns:
            return ()
        called: tuple[Ticket, ...] = ()
        if now_ns >= self._due_ns(leader):
            called = self._end(leader, "leader_late" if leader.is_streamed else "waited", now_ns)
        elif now_ns >= ticket.limit_ns:
            leader.waiters.remove(ticket)
            self._go(ticket, "limit", now_ns)
        else:  # slower answers were seen meanwhile
            ticket.until_ns = self._until_ns(ticket, leader)
        return tuple(each for each in called if each is not ticket)

    def _due_ns(self, leader: Ticket) -> int:
        return leader.gone_ns + self.times.p99_ns(leader.view.model, leader.new_tokens)

    def _until_ns(self, ticket: Ticket, leader: Ticket) -> int:
        return min(self._due_ns(leader), ticket.limit_ns)

    def _end(self, ticket: Ticket, why: WaitReason, now_ns: int) -> tuple[Ticket, ...]:
        """It leads no more; whoever waited for it is placed again."""
        nodes, ticket.nodes = frozenset(ticket.nodes), []
        for node in nodes:
            del self._leaders[node]
        waiters = tuple(ticket.waiters)
        ticket.waiters.clear()
        for waiter in waiters:
            if why == "waited":
                _warm(waiter, nodes)
            self._place(waiter, why, now_ns)
        return waiters

    def _place(self, ticket: Ticket, reason: WaitReason, now_ns: int) -> None:
        """Let it wait for whoever writes what it would read, or let it go."""
        leader = self._leader_for(ticket) if ticket.writes and now_ns < ticket.limit_ns else None
        if leader is None:
            self._go(ticket, reason, now_ns)
            return
        ticket.state, ticket.leader = "waiting", leader
        ticket.until_ns = self._until_ns(ticket, leader)
        leader.waiters.append(ticket)

    def _leader_for(self, ticket: Ticket) -> Ticket | None:
        """Who writes the deepest block that this one would find, if it is worth waiting for."""
        if not self._leaders:
            return None
        view = ticket.view
        least = ticket.warm_tokens + max(1, view.min_cacheable_tokens)
        for block in tested_blocks(view):
            if view.positions[block] >= least:
                leader = self._leaders.get(ticket.node(block))
                if leader is not None:
                    return leader
        return None

    def _go(self, ticket: Ticket, reason: WaitReason, now_ns: int) -> None:
        """It leaves now, and leads what nobody leads yet."""
        ticket.state, ticket.gone_ns, ticket.leader = "going", now_ns, None
        ticket.reason = "waited" if ticket.has_gained else reason
        for block in ticket.writes:
            node = ticket.node(block)
            if block > ticket.warm_block and node not in self._leaders and self._has_room():
                self._leaders[node] = ticket
                ticket.nodes.append(node)

    def _has_room(self) -> bool:
        """Is there room for a node, once the oldest that nobody waits for is given up?"""
        if len(self._leaders) < self._capacity:
            return True
        oldest = next((each for each in self._leaders.values() if not each.waiters), None)
        if oldest is not None:
            self._leaders.pop(oldest.nodes.pop(0))
        return oldest is not None


def _warm(waiter: Ticket, nodes: Collection[_Node]) -> None:
    """It reads what its leader wrote, as far as both share it."""
    found = (block for block in tested_blocks(waiter.view) if waiter.node(block) in nodes)
    waiter.warm_block = max(found)
    waiter.warm_tokens = waiter.view.positions[waiter.warm_block]
    waiter.has_gained = True


def _nothing_to_wait_for(ticket: Ticket, forecast: Forecast) -> WaitReason | None:
    if ticket.writes:
        return None
    match forecast.shortfall.code:
        case "no_marks":
            return "not_marked"
        case "too_short":
            return "too_short"
        case _:
            return "warm"
