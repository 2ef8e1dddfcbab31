"""One circuit: its state by a table, and what was counted in its window."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from farthing.core.breaker_values import BreakerState, Why
from farthing.errors import EngineBug

__all__ = ["SLOTS", "TRANSITIONS", "Circuit"]

TRANSITIONS: Final[Mapping[BreakerState, Mapping[str, BreakerState]]] = MappingProxyType(
    {
        "closed": {"trip": "open"},
        "open": {"cool": "half_open", "rest": "closed"},
        "half_open": {"recover": "closed", "relapse": "open", "rest": "closed"},
    }
)

#: a window is counted in so many parts; a part that is over leaves it whole
SLOTS: Final = 6


class Circuit:
    """A state, and sums over the window that are kept up as calls end."""

    __slots__ = (
        "_slots",
        "calls",
        "cool_ns",
        "failed",
        "is_ours",
        "news",
        "pico",
        "probe",
        "probe_until_ns",
        "refused",
        "state",
        "until_ns",
        "what",
        "why",
    )

    def __init__(self, cool_ns: int) -> None:
        self.state: BreakerState = "closed"
        self.why: Why = "error_storm"
        #: how the last bad call ended, and was it farthing that refused it
        self.what = ""
        self.is_ours = False
        #: how much news there was of what refuses calls when it opened
        self.news = 0
        self.cool_ns = cool_ns
        self.until_ns = 0
        self.refused = 0
        #: the number of the last probe; it is under way until ``probe_until_ns``
        self.probe = 0
        self.probe_until_ns = 0
        self.calls = 0
        self.failed = 0
        self.pico = 0
        #: parts of the window: index, calls, failed, pico
        self._slots: list[list[int]] = []

    @property
    def ready_ns(self) -> int:
        """When one call may try, if the circuit is not closed."""
        return self.until_ns if self.state == "open" else self.probe_until_ns

    def move(self, event: str) -> None:
        """One step of the table."""
        after = TRANSITIONS[self.state].get(event)
        if after is None:
            raise EngineBug(f"a breaker that is {self.state!r} cannot {event!r}")
        self.state = after

    def add(self, index: int, failed: int, pico: int) -> None:
        """One more call in the part ``index`` of all time; the sums are of the window then."""
        slots = self._slots
        if not slots or slots[-1][0] < index:
            self._turn(index)
        slot = slots[-1]
        slot[1] += 1
        self.calls += 1
        if failed or pico:
            slot[2] += failed
            slot[3] += pico
            self.failed += failed
            self.pico += pico

    def _turn(self, index: int) -> None:
        slots = self._slots
        while slots and slots[0][0] <= index - SLOTS:
            _, calls, failed, pico = slots.pop(0)
            self.calls -= calls
            self.failed -= failed
            self.pico -= pico
        slots.append([index, 0, 0, 0])

    def open_until(self, until_ns: int) -> None:
        """It is open now: what was counted is over."""
        self.until_ns = until_ns
        self.calls = self.failed = self.pico = 0
        self._slots = []
