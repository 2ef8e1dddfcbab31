"""One exchange's way through the fan-out: wait before sending, let others go at the first byte.

Rules of this file: a wait is asked for only in ``wait``; what ends a leader's part are ``Prompt``
effects, so an interrupted exchange lets its followers go too.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from farthing.core.exchange_call import Moment
from farthing.core.exchange_effects import Effect, Now, Wait, Wake
from farthing.core.fanout import Fanout, FanoutAsk, Ticket

__all__ = ["ALONE", "FANOUT", "Passage"]

#: the lever's id
FANOUT: Final = "cache.fanout"

_SECOND_NS: Final = 1_000_000_000
_Steps = Generator[Effect[Any], Any, None]


class Passage:
    """Where one exchange stands between its followers and its leader."""

    def __init__(self, fanout: Fanout | None = None) -> None:
        self._fanout = fanout
        self._ticket: Ticket | None = None

    @property
    def waited_ns(self) -> int:
        """How long it was kept before it was sent."""
        ticket = self._ticket
        return ticket.waited_ns if ticket is not None and ticket.gone_ns else 0

    @property
    def is_followed(self) -> bool:
        """Does it matter to anybody when its answer begins?"""
        return self._ticket is not None

    @property
    def has_gained(self) -> bool:
        """Did it wait for an entry that it reads?"""
        return self._ticket is not None and self._ticket.has_gained

    @property
    def reasons(self) -> tuple[str, ...]:
        """What was decided, once it was: a code for the plan."""
        ticket = self._ticket
        if ticket is None or ticket.is_waiting:
            return ()
        match ticket.reason:
            case "waited":
                return (f"+{FANOUT}",)
            case "would_wait":
                return (f"~{FANOUT}",)
            case reason:
                return (f"-{FANOUT}:{reason}",)

    def wait(self, ask: FanoutAsk | None) -> _Steps:
        """Until a leader's first byte, if somebody leads; never beyond the limit."""
        fanout = self._fanout
        if fanout is None or ask is None:
            return
        now: Moment = yield Now()
        ticket = self._ticket = fanout.enter(ask, now.ns)
        while ticket.is_waiting:
            seconds = max(0.0, (ticket.until_ns - now.ns) / _SECOND_NS)
            can_sleep: bool = yield Wait(ticket, seconds)
            now = yield Now()
            if not can_sleep:
                ticket.limit_ns = ticket.until_ns = now.ns
            yield from _call(fanout.look(ticket, now.ns))

    def began(self) -> _Steps:
        """The answer has begun: what it wrote can be read. Later calls do nothing."""
        if self._fanout is not None and self._ticket is not None:
            now: Moment = yield Now()
            yield from _call(self._fanout.began(self._ticket, now.ns))

    def left(self) -> _Steps:
        """It failed, or nobody waits for its answer any more. Later calls do nothing."""
        if self._fanout is not None and self._ticket is not None:
            now: Moment = yield Now()
            yield from _call(self._fanout.left(self._ticket, now.ns))


#: the way of every exchange where nobody waits for another: nothing is ever noted on it
ALONE: Final = Passage()


def _call(tickets: tuple[Ticket, ...]) -> _Steps:
    if tickets:
        yield Wake(tickets)
