"""Circuit breakers: what goes wrong, or costs, too much too fast is refused until it has cooled.

Theory of operation. In front of a key, a task type of that key, and a single call (by its body's
digest) stands a circuit. Its states are a table::

    closed ── trip ────▶ open         a storm: see the rules
    open ──── cool ────▶ half_open    its time is over: one call may try
    half_open recover ─▶ closed       the probe went well
    half_open relapse ─▶ open         it did not: twice as long, up to a limit
    open, half_open ── rest ─▶ closed nobody has come since: there is nothing to guard

Rules, over a window of five to six sixths of ``window_seconds``:

- ``velocity``: a key or task type spent ``velocity_pico`` or more.
- ``error_storm``: of a key's or task type's calls at least ``failures`` failed, and at least
  ``failed_share`` of all. What the provider asks to try again (408, 409, 429, 5xx) is ``busy`` and
  does not count: it costs nothing, clients back off by themselves, and an outage of the provider
  must not become a longer one of ours.
- ``retry_storm``: one and the same call was refused, or failed, ``repeats`` times. From then on it
  is answered from here, before anything is planned, held or written: a look into a dictionary.

What a budget refuses it may admit as soon as a call ends that held money, a window begins or
budgets are changed. The next repetition tries then, whatever the time, so that a circuit does not
go on refusing what a budget would hold.

What one key does opens circuits of that key only, and a refused call opens the circuit of that call
only: nobody else is refused for it.

Rules of this file: time comes in as a ``Moment``, and waiting is measured by its monotonic half, so
a wall clock that jumps opens and closes nothing. Memory is bounded: circuits are forgotten by least
recent use, closed ones first; those of calls cannot push out those of keys. A probe that never
comes back (a crash, a cancelled call) is given up after ``probe_seconds``.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from farthing.core.breaker_circuit import SLOTS, Circuit
from farthing.core.breaker_values import (
    Allowed,
    BreakerKey,
    BreakerRules,
    BreakerState,
    Change,
    OpenCircuit,
    Outcome,
    Refused,
    Why,
)
from farthing.core.exchange_call import Moment

__all__ = ["Breakers"]

_SECOND: Final = 10**9
#: circuits looked at for a closed one before the longest unused goes whatever it is
_LOOKS: Final = 8

_QUARTER_SECONDS: Final = 900
#: how codes of refusals by budgets begin
_BUDGET: Final = "budget."

_ALLOWED: Final = Allowed()


class Breakers:
    """All circuits of one process. Not thread-safe: one event loop, or a lock around it."""

    def __init__(self, rules: BreakerRules | None = None, *, capacity: int = 4_096) -> None:
        self.rules = rules or BreakerRules()
        self._capacity = capacity
        self._slot_ns = max(1, round(self.rules.window_seconds * _SECOND / SLOTS))
        self._scopes: OrderedDict[BreakerKey, Circuit] = OrderedDict()
        self._calls: OrderedDict[BreakerKey, Circuit] = OrderedDict()
        #: circuits that are not closed: of keys and task types, and of calls
        self.open_scopes = 0
        self.open_calls = 0
        #: since the start, by what a circuit stands in front of and why it opened
        self.opened = Counter[tuple[str, str]]()
        self.refused = Counter[tuple[str, str]]()
        #: the budgets behind the circuits as they were seen last, and the quarter of an hour
        self._behind: tuple[object, int] | None = None
        #: how often what they refuse may have changed
        self._news = 0

    def __len__(self) -> int:
        return len(self._scopes) + len(self._calls)

    @property
    def is_any_open(self) -> bool:
        """Has anything to be asked at all? Looked at for each call."""
        return bool(self.open_scopes or self.open_calls)

    @property
    def knows_calls(self) -> bool:
        """Has any single call had trouble? Only then is it worth telling calls by their bodies."""
        return bool(self._calls)

    def state(self, key: BreakerKey) -> BreakerState:
        """Where a circuit stands; one that nobody knows is closed."""
        found = self._of(key).get(key)
        return "closed" if found is None else found.state

    def open_keys(self) -> list[BreakerKey]:
        """The circuits that are not closed."""
        every = (*self._scopes.items(), *self._calls.items())
        return [key for key, circuit in every if circuit.state != "closed"]

    def open_circuits(self, now: Moment) -> list[OpenCircuit]:
        """The circuits that are not closed, as they stand: of keys and task types first."""
        return [self._standing(key, now) for key in self.open_keys()]

    def open_now(self) -> Counter[tuple[str, str]]:
        """How many are not closed, as ``opened`` and ``refused`` count."""
        return Counter((key.kind, self._of(key)[key].why) for key in self.open_keys())

    def admit(self, keys: Sequence[BreakerKey], now: Moment) -> Allowed | Refused:
        """May a call pass all of these? Only then are probes taken."""
        probed = list[tuple[BreakerKey, Circuit]]()
        for key in keys:
            circuit = self._of(key).get(key)
            if circuit is None or circuit.state == "closed":
                continue
            ready_ns = circuit.ready_ns
            if now.ns < ready_ns and not self._is_outdated(circuit):
                circuit.refused += 1
                self.refused[key.kind, circuit.why] += 1
                return Refused(
                    key=key,
                    why=circuit.why,
                    until=_instant(ready_ns, now),
                    count=circuit.refused,
                    what=circuit.what,
                )
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

    def good(self, scope: str, task_type: str | None, body_digest: str, now: Moment) -> None:
        """``ended``, shorter: an ordinary call, where spending has no limit; it opens nothing."""
        index = now.ns // self._slot_ns
        self._passed(BreakerKey("key", scope), index)
        if task_type is not None:
            self._passed(BreakerKey("task_type", f"{scope}/{task_type}"), index)
        if self._calls:
            call = BreakerKey("call", f"{scope}/{body_digest}")
            known = self._calls.get(call)
            if known is not None and known.state == "closed":
                del self._calls[call]

    def ended(
        self, keys: Sequence[BreakerKey], allowed: Allowed, outcome: Outcome, now: Moment
    ) -> list[Change]:
        """``record`` for each circuit that a call has passed."""
        changes = list[Change]()
        for key in keys:
            one = outcome
            if allowed.probes:
                one = msgspec.structs.replace(outcome, probe=allowed.probe_of(key))
            change = self.record(key, one, now)
            if change is not None:
                changes.append(change)
        return changes

    def began(self, allowed: Allowed, now: Moment) -> list[Change]:
        """A good answer to a probe begins: no storm of errors, whatever it costs in the end."""
        changes = list[Change]()
        for key, number in allowed.probes:
            circuit = self._of(key).get(key)
            if circuit is not None and circuit.probe == number and circuit.why != "velocity":
                change = self.record(key, Outcome(kind="ok", probe=number), now)
                changes += [] if change is None else [change]
        return changes

    def look_behind(self, budgets: object, at: datetime) -> None:
        """Budgets that were replaced, or a window that begins, may admit what was refused.

        Windows begin with an hour, in some time zones with a quarter of one.
        """
        quarter = int(at.timestamp()) // _QUARTER_SECONDS
        before, self._behind = self._behind, (budgets, quarter)
        if before is not None and (before[0] is not budgets or before[1] != quarter):
            self._news += 1

    def freed(self) -> None:
        """A call has ended that held money: there may be room for another."""
        self._news += 1

    def rested(self, now: Moment) -> list[Change]:
        """Circuits that nobody has come back to are closed: what they stopped is over."""
        longest_ns = round(self.rules.longest_seconds * _SECOND)
        return [
            self._closed(key, "rest", now)
            for key in self.open_keys()
            if now.ns >= self._of(key)[key].ready_ns + longest_ns
        ]

    def close(self, now: Moment) -> list[Change]:
        """The process ends, and with it all circuits."""
        return [self._closed(key, "rest", now) for key in self.open_keys()]

    def _standing(self, key: BreakerKey, now: Moment) -> OpenCircuit:
        circuit = self._of(key)[key]
        return OpenCircuit(
            key=key,
            state=circuit.state,
            why=circuit.why,
            tries_at=_instant(max(now.ns, circuit.ready_ns), now),
            refused=circuit.refused,
            what=circuit.what,
        )

    def _is_outdated(self, circuit: Circuit) -> bool:
        """May a budget admit now what it has refused? Then one call tries, whatever the time."""
        is_budgets = circuit.what.startswith(_BUDGET) and circuit.is_ours
        return is_budgets and circuit.state == "open" and circuit.news != self._news

    def _passed(self, key: BreakerKey, index: int) -> None:
        circuit = self._scopes.get(key)
        if circuit is None:
            circuit = self._added(self._scopes, key)
        else:
            self._scopes.move_to_end(key)
        if circuit.state == "closed":
            circuit.add(index, 0, 0)

    def _of(self, key: BreakerKey) -> OrderedDict[BreakerKey, Circuit]:
        return self._calls if key.kind == "call" else self._scopes

    def _added(self, circuits: OrderedDict[BreakerKey, Circuit], key: BreakerKey) -> Circuit:
        if len(circuits) >= self._capacity:
            looked = [found for found, _ in zip(circuits, range(_LOOKS), strict=False)]
            closed = (found for found in looked if circuits[found].state == "closed")
            self._forget(next(closed, looked[0]))
        circuit = circuits[key] = Circuit(round(self.rules.cool_seconds * _SECOND))
        return circuit

    def _forget(self, key: BreakerKey) -> None:
        if self._of(key).pop(key).state != "closed":
            self._opens(key, -1)

    def _opens(self, key: BreakerKey, number: int) -> None:
        if key.kind == "call":
            self.open_calls += number
        else:
            self.open_scopes += number

    def _probing(self, probed: list[tuple[BreakerKey, Circuit]], now: Moment) -> Allowed:
        for _, circuit in probed:
            if circuit.state == "open":
                circuit.move("cool")
            circuit.probe += 1
            circuit.probe_until_ns = now.ns + round(self.rules.probe_seconds * _SECOND)
        return Allowed(probes=tuple((key, circuit.probe) for key, circuit in probed))

    def _counted(
        self, key: BreakerKey, circuit: Circuit, outcome: Outcome, now: Moment
    ) -> Change | None:
        is_bad = outcome.kind == "failed"
        if key.kind == "call":
            if outcome.kind == "ok":
                del self._calls[key]
                return None
            is_bad = outcome.kind in {"failed", "refused"}
        elif outcome.kind in {"refused", "busy"}:
            return None
        if is_bad:
            circuit.what = outcome.what
            circuit.is_ours = outcome.kind == "refused"
        circuit.add(now.ns // self._slot_ns, int(is_bad), outcome.cost_pico)
        why = self._storm(key, circuit, is_bad=is_bad)
        if why is None:
            return None
        circuit.move("trip")
        circuit.why = why
        if why == "velocity":
            circuit.what = ""
        circuit.refused = 0
        self._opens(key, 1)
        return self._opened(key, circuit, now)

    def _storm(self, key: BreakerKey, window: Circuit, *, is_bad: bool) -> Why | None:
        """What a call makes a storm; one that went well can only be too dear."""
        rules, failed = self.rules, window.failed
        if key.kind == "call":
            return "retry_storm" if failed >= rules.repeats else None
        if rules.velocity_pico is not None and window.pico >= rules.velocity_pico:
            return "velocity"
        if not is_bad:
            return None
        is_storm = failed >= rules.failures and failed >= rules.failed_share * window.calls
        return "error_storm" if is_storm else None

    def _probed(
        self, key: BreakerKey, circuit: Circuit, outcome: Outcome, now: Moment
    ) -> Change | None:
        circuit.probe_until_ns = now.ns
        if outcome.kind == "busy" or (outcome.kind == "refused" and key.kind != "call"):
            return None  # it says nothing: the next call tries
        cap = self.rules.velocity_pico
        is_dear = cap is not None and key.kind != "call" and outcome.cost_pico >= cap
        if outcome.kind == "ok" and not is_dear:
            return self._closed(key, "recover", now)
        circuit.move("relapse")
        circuit.is_ours = outcome.kind == "refused"
        circuit.what = outcome.what
        rules = self.rules
        longest = rules.refused_seconds if circuit.is_ours else rules.longest_seconds
        circuit.cool_ns = min(circuit.cool_ns * 2, round(longest * _SECOND))
        return self._opened(key, circuit, now)

    def _opened(self, key: BreakerKey, circuit: Circuit, now: Moment) -> Change:
        self.opened[key.kind, circuit.why] += 1
        circuit.open_until(now.ns + circuit.cool_ns)
        circuit.news = self._news
        return Change(
            key=key,
            state="open",
            why=circuit.why,
            at=now.at,
            until=now.at + timedelta(microseconds=circuit.cool_ns // 1000),
            refused=circuit.refused,
            what=circuit.what,
        )

    def _closed(self, key: BreakerKey, event: str, now: Moment) -> Change:
        circuit = self._of(key)[key]
        circuit.move(event)
        self._opens(key, -1)
        del self._of(key)[key]
        return Change(
            key=key,
            state="closed",
            why=circuit.why,
            at=now.at,
            until=None,
            refused=circuit.refused,
            what=circuit.what,
        )


def _instant(ns: int, now: Moment) -> datetime:
    """When the monotonic clock will say so."""
    return now.at + timedelta(microseconds=(ns - now.ns) // 1000)
