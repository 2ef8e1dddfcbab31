"""Circuit breakers: what goes wrong, or costs, too much too fast is refused until it has cooled.

Theory of operation. In front of a key, a task type of that key, and a single call (by its body's
digest) stands a circuit. Its states are a table::

    closed ── trip ────▶ open         a storm: see the rules
    open ──── cool ────▶ half_open    its time is over: one call may try
    half_open recover ─▶ closed       the probe went well
    half_open relapse ─▶ open         it did not: twice as long, up to a limit

Rules, over a window of five to six sixths of ``window_seconds``:

- ``velocity``: a key or task type spent ``velocity_pico`` or more.
- ``error_storm``: of a key's or task type's calls at least ``failures`` failed, and at least
  ``failed_share`` of all. What the provider asks to try again (408, 409, 429, 5xx) is ``busy`` and
  does not count: it costs nothing, clients back off by themselves, and an outage of the provider
  must not become a longer one of ours.
- ``retry_storm``: one and the same call was refused, or failed, ``repeats`` times. From then on it
  is answered from here, before anything is planned, held or written: a look into a dictionary.

What one key does opens circuits of that key only, and a refused call opens the circuit of that call
only: nobody else is refused for it.

Rules of this file: time comes in as a ``Moment``, and waiting is measured by its monotonic half, so
a wall clock that jumps opens and closes nothing. Memory is bounded: circuits are forgotten by least
recent use, closed ones first; those of calls cannot push out those of keys. A probe that never
comes back (a crash, a cancelled call) is given up after ``probe_seconds``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from farthing.core.breaker_values import (
    Allowed,
    BreakerKey,
    BreakerRules,
    BreakerState,
    Change,
    Outcome,
    Refused,
    Why,
)
from farthing.core.exchange_call import Moment
from farthing.errors import EngineBug

__all__ = ["TRANSITIONS", "Breakers"]

TRANSITIONS: Final[Mapping[BreakerState, Mapping[str, BreakerState]]] = MappingProxyType(
    {
        "closed": {"trip": "open"},
        "open": {"cool": "half_open"},
        "half_open": {"recover": "closed", "relapse": "open"},
    }
)

_SECOND: Final = 10**9
_SLOTS: Final = 6
#: circuits looked at for a closed one before the longest unused goes whatever it is
_LOOKS: Final = 8

_ALLOWED: Final = Allowed()


class _Circuit:
    """One circuit; ``slots`` are sixths of the window: [index, calls, failed, pico]."""

    __slots__ = (
        "cool_ns",
        "probe",
        "probe_until_ns",
        "refused",
        "slots",
        "state",
        "until_ns",
        "why",
    )

    def __init__(self, cool_ns: int) -> None:
        self.state: BreakerState = "closed"
        self.why: Why = "error_storm"
        self.cool_ns = cool_ns
        self.until_ns = 0
        self.refused = 0
        #: the number of the last probe; it is under way until ``probe_until_ns``
        self.probe = 0
        self.probe_until_ns = 0
        self.slots: list[list[int]] = []

    def move(self, event: str) -> None:
        after = TRANSITIONS[self.state].get(event)
        if after is None:
            raise EngineBug(f"a breaker that is {self.state!r} cannot {event!r}")
        self.state = after

    def add(self, index: int, failed: int, pico: int) -> None:
        if not self.slots or self.slots[-1][0] < index:
            self.slots = [slot for slot in self.slots if slot[0] > index - _SLOTS]
            self.slots.append([index, 0, 0, 0])
        slot = self.slots[-1]
        slot[1] += 1
        slot[2] += failed
        slot[3] += pico

    def sums(self, index: int) -> tuple[int, int, int]:
        """Calls, failed ones and what they cost, in the window."""
        found = [slot for slot in self.slots if slot[0] > index - _SLOTS]
        calls, failed, pico = (sum(slot[n] for slot in found) for n in (1, 2, 3))
        return calls, failed, pico


class Breakers:
    """All circuits of one process. Not thread-safe: one event loop, or a lock around it."""

    def __init__(self, rules: BreakerRules | None = None, *, capacity: int = 4_096) -> None:
        self.rules = rules or BreakerRules()
        self._capacity = capacity
        self._slot_ns = max(1, round(self.rules.window_seconds * _SECOND / _SLOTS))
        self._scopes: OrderedDict[BreakerKey, _Circuit] = OrderedDict()
        self._calls: OrderedDict[BreakerKey, _Circuit] = OrderedDict()

    def __len__(self) -> int:
        return len(self._scopes) + len(self._calls)

    def state(self, key: BreakerKey) -> BreakerState:
        """Where a circuit stands; one that nobody knows is closed."""
        found = self._of(key).get(key)
        return "closed" if found is None else found.state

    def open_keys(self) -> list[BreakerKey]:
        """The circuits that are not closed."""
        every = (*self._scopes.items(), *self._calls.items())
        return [key for key, circuit in every if circuit.state != "closed"]

    def check(self, key: BreakerKey, now: Moment) -> Allowed | Refused:
        """May a call pass this circuit?"""
        return self.admit((key,), now)

    def admit(self, keys: Sequence[BreakerKey], now: Moment) -> Allowed | Refused:
        """May a call pass all of these? Only then are probes taken."""
        probed = list[tuple[BreakerKey, _Circuit]]()
        for key in keys:
            circuit = self._of(key).get(key)
            if circuit is None or circuit.state == "closed":
                continue
            ready_ns = circuit.until_ns if circuit.state == "open" else circuit.probe_until_ns
            if now.ns < ready_ns:
                circuit.refused += 1
                until = now.at + timedelta(microseconds=(ready_ns - now.ns) // 1000)
                return Refused(key=key, why=circuit.why, until=until, count=circuit.refused)
            probed.append((key, circuit))
        return self._probing(probed, now) if probed else _ALLOWED

    def record(self, key: BreakerKey, outcome: Outcome, now: Moment) -> Change | None:
        """How a call ended that passed this circuit, or that something behind it refused."""
        circuits = self._of(key)
        circuit = circuits.get(key)
        if circuit is None:
            if key.kind == "call" and outcome.kind in {"ok", "busy"}:
                return None  # a call without trouble needs no circuit
            circuit = self._added(circuits, key)
        circuits.move_to_end(key)
        if circuit.state == "closed":
            return self._counted(key, circuit, outcome, now)
        if circuit.state == "half_open" and outcome.probe == circuit.probe:
            return self._probed(key, circuit, outcome, now)
        return None  # it passed before the circuit opened: says nothing about now

    def ended(
        self, keys: Sequence[BreakerKey], allowed: Allowed, outcome: Outcome, now: Moment
    ) -> list[Change]:
        """``record`` for each circuit that a call has passed."""
        said = (
            Outcome(kind=outcome.kind, cost_pico=outcome.cost_pico, probe=allowed.probe_of(key))
            for key in keys
        )
        changes = (self.record(key, one, now) for key, one in zip(keys, said, strict=True))
        return [change for change in changes if change is not None]

    def _of(self, key: BreakerKey) -> OrderedDict[BreakerKey, _Circuit]:
        return self._calls if key.kind == "call" else self._scopes

    def _added(self, circuits: OrderedDict[BreakerKey, _Circuit], key: BreakerKey) -> _Circuit:
        if len(circuits) >= self._capacity:
            looked = [found for found, _ in zip(circuits, range(_LOOKS), strict=False)]
            closed = (found for found in looked if circuits[found].state == "closed")
            del circuits[next(closed, looked[0])]
        circuit = circuits[key] = _Circuit(round(self.rules.cool_seconds * _SECOND))
        return circuit

    def _probing(self, probed: list[tuple[BreakerKey, _Circuit]], now: Moment) -> Allowed:
        for _, circuit in probed:
            if circuit.state == "open":
                circuit.move("cool")
            circuit.probe += 1
            circuit.probe_until_ns = now.ns + round(self.rules.probe_seconds * _SECOND)
        return Allowed(probes=tuple((key, circuit.probe) for key, circuit in probed))

    def _counted(
        self, key: BreakerKey, circuit: _Circuit, outcome: Outcome, now: Moment
    ) -> Change | None:
        is_bad = outcome.kind == "failed"
        if key.kind == "call":
            if outcome.kind == "ok":
                del self._calls[key]
                return None
            is_bad = outcome.kind in {"failed", "refused"}
        elif outcome.kind in {"refused", "busy"}:
            return None
        index = now.ns // self._slot_ns
        circuit.add(index, int(is_bad), outcome.cost_pico)
        why = self._storm(key, circuit.sums(index))
        if why is None:
            return None
        circuit.move("trip")
        circuit.why = why
        circuit.refused = 0
        return self._opened(key, circuit, now)

    def _storm(self, key: BreakerKey, sums: tuple[int, int, int]) -> Why | None:
        rules, (calls, failed, pico) = self.rules, sums
        if key.kind == "call":
            return "retry_storm" if failed >= rules.repeats else None
        if rules.velocity_pico is not None and pico >= rules.velocity_pico:
            return "velocity"
        is_storm = failed >= rules.failures and failed >= rules.failed_share * calls
        return "error_storm" if is_storm else None

    def _probed(
        self, key: BreakerKey, circuit: _Circuit, outcome: Outcome, now: Moment
    ) -> Change | None:
        circuit.probe_until_ns = now.ns
        if outcome.kind == "busy" or (outcome.kind == "refused" and key.kind != "call"):
            return None  # it says nothing: the next call tries
        cap = self.rules.velocity_pico
        is_dear = cap is not None and key.kind != "call" and outcome.cost_pico >= cap
        if outcome.kind == "ok" and not is_dear:
            circuit.move("recover")
            del self._of(key)[key]
            return Change(
                key=key,
                state="closed",
                why=circuit.why,
                at=now.at,
                until=None,
                refused=circuit.refused,
            )
        circuit.move("relapse")
        circuit.cool_ns = min(circuit.cool_ns * 2, round(self.rules.longest_seconds * _SECOND))
        return self._opened(key, circuit, now)

    def _opened(self, key: BreakerKey, circuit: _Circuit, now: Moment) -> Change:
        circuit.until_ns = now.ns + circuit.cool_ns
        circuit.slots = []
        return Change(
            key=key,
            state="open",
            why=circuit.why,
            at=now.at,
            until=now.at + timedelta(microseconds=circuit.cool_ns // 1000),
            refused=circuit.refused,
        )
