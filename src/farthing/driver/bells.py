"""Where exchanges wait to be called, and how they are: across threads and event loops.

Theory of operation. A ticket's state changes in a step of *another* exchange, which then rings. The
one that waits puts up its bell first and looks at its ticket once more before it sleeps: so a call
that comes between its own step and its sleep is not lost. It never sleeps longer than it was told,
so a bell that nobody rings costs time and nothing else.

Interface: ``ring``, and ``wait`` for threads, ``wait_async`` for jobs of an asyncio loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

from farthing.core.fanout import Ticket

__all__ = ["Bells"]


class Bells:
    """The bells of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the bells that are up
        self._up: dict[Ticket, Callable[[], object]] = {}

    def __len__(self) -> int:
        return len(self._up)

    def ring(self, tickets: Iterable[Ticket]) -> None:
        """Call these; who is not asleep will not sleep."""
        with self._lock:
            found = [self._up.pop(ticket, None) for ticket in tickets]
        for bell in found:
            if bell is not None:
                bell()

    def wait(self, ticket: Ticket, seconds: float) -> bool:
        """Sleep until called, at most so long."""
        called = threading.Event()
        with self._lock:
            self._up[ticket] = called.set
        try:
            if ticket.is_waiting:
                called.wait(seconds)
        finally:
            self._take_down(ticket)
        return True

    async def wait_async(self, ticket: Ticket, seconds: float) -> bool:
        """``wait`` on an event loop; False: it is no loop of asyncio, nobody slept."""
        try:
            event_loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        called = asyncio.Event()

        def bell() -> None:
            with suppress(RuntimeError):  # the loop was closed meanwhile, and its jobs with it
                event_loop.call_soon_threadsafe(called.set)

        with self._lock:
            self._up[ticket] = bell
        try:
            if ticket.is_waiting:
                async with asyncio.timeout(seconds):
                    await called.wait()
        except TimeoutError:
            pass
        finally:
            self._take_down(ticket)
        return True

    def _take_down(self, ticket: Ticket) -> None:
        with self._lock:
            self._up.pop(ticket, None)
