"""The engine's steps inside an exchange: what it asks of the pin store, and what guards it.

Rules of this file: whatever of the engine fails, the client's bytes go upstream and the exchange
carries on without the engine; the note ``fail_open.levers`` says so. Nothing of this runs where no
engine is set up.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from farthing.core.engine import Engine
from farthing.core.engine_values import Caller, EngineAnswer, EngineCall, Reading
from farthing.core.exchange_call import Call, Moment
from farthing.core.exchange_effects import Effect, Keep, Recall, ask
from farthing.core.exchange_guard import guarded
from farthing.core.exchange_plan import Plan
from farthing.core.pins import LineagePin
from farthing.core.policy import HEADER
from farthing.core.records import Accounting, Attribution
from farthing.core.subscription import is_subscription
from farthing.errors import LedgerError

__all__ = ["Levers", "caller_of"]

_BYPASS: Final = "x-farthing-bypass"
_KEY: Final = "x-farthing-key"

_Result = TypeVar("_Result")


def caller_of(call: Call, attribution: Attribution) -> Caller:
    """What a call says about levers."""
    return Caller(
        attribution=attribution,
        key=call.key_name or call.headers.get(_KEY),
        levers=call.headers.get(HEADER),
        is_bypassed=call.flag(_BYPASS),
        is_subscription=is_subscription(call.headers),
        now=call.received.at,
        allowed=call.levers,
    )


class Levers:
    """The engine's view of one exchange. ``is_alive`` is False once a step of it has failed."""

    __slots__ = ("_accounting", "_began", "_body", "_engine", "_notes", "_state", "is_alive")

    def __init__(self, engine: Engine, state: EngineCall, notes: list[str]) -> None:
        self._engine = engine
        self._state = state
        self._notes = notes
        self._began: Moment | None = None
        self._body: bytes | None = None
        #: a tuple of the accounting, once it was made: settling may be asked for twice
        self._accounting: tuple[Accounting | None] | None = None
        self.is_alive = True

    @classmethod
    def begin(
        cls, engine: Engine, reading: Reading, caller: Caller, notes: list[str]
    ) -> Levers | None:
        """None: none of the engine's business."""
        state = guarded(lambda: engine.begin(reading, caller), None, code="levers", notes=notes)
        if state is None:
            return None
        notes += (f"levers.{note}" for note in state.in_force.notes)
        return cls(engine, state, notes)

    @property
    def state(self) -> EngineCall:
        """For who lets calls wait for one another: what leaves, and who sends it."""
        return self._state

    @property
    def writes_for_an_hour(self) -> bool:
        """May a mark of ours be for an hour? Then the call can cost more."""
        return self.is_alive and self._state.writes_for_an_hour

    def decide(self) -> Generator[Effect[Any], Any, Plan | None]:
        """Recall the pin, choose, keep what was chosen, plan; None where a step failed."""
        engine, state = self._engine, self._state
        pin: LineagePin | None = engine.known_pin(state)
        if pin is None:
            try:
                pin = yield from ask(Recall(state.lineage_id))
            except LedgerError:
                self._notes.append("pins.unreadable")
        wanted = self._try(lambda: engine.choose(state, pin), None)
        if wanted is not None:
            kept: LineagePin | None = None
            try:
                kept = yield from ask(Keep(wanted))
            except LedgerError:
                self._notes.append("pins.unwritable")
            self._try(lambda: engine.kept(state, kept), None)
        plan = self._try(lambda: engine.shape(state), None)
        self._body = None if plan is None else plan.body
        return plan

    def unmarked(self, sent: bytes) -> Plan | None:
        """The API refused a mark: the request without ours.

        None where ours are not to blame, or where others have changed the body since.
        """
        if not self.is_alive or not self._state.accepted or sent is not self._body:
            return None
        self._notes.append("levers.refused")
        return self._try(lambda: self._engine.unmarked(self._state), None)

    def began(self, now: Moment, *, has_waited: bool) -> None:
        """It leaves, perhaps after it has waited for another's first byte."""
        self._began = now
        self._try(
            lambda: self._engine.accounts.began(self._state, now.at, has_waited=has_waited), None
        )

    def first_byte(self, at_ns: int) -> None:
        """A good answer begins."""
        self._try(lambda: self._engine.accounts.first_byte(self._state, self._wall(at_ns)), None)

    def ended(self, answer: EngineAnswer, first_byte_ns: int | None) -> Accounting | None:
        """What came of it, once; without a first byte nothing did."""
        if first_byte_ns is None:
            return None
        if self._accounting is None:
            at = self._wall(first_byte_ns)
            made = self._try(lambda: self._engine.ended(self._state, answer, at), None)
            self._accounting = (made,)
            self._notes += self._state.notes
        return self._accounting[0]

    def _wall(self, at_ns: int) -> datetime:
        assert self._began is not None
        return self._began.at + timedelta(microseconds=(at_ns - self._began.ns) // 1_000)

    def _try(self, compute: Callable[[], _Result], otherwise: _Result) -> _Result:
        """Guarded, and the end of the engine for this call if it fails."""
        if not self.is_alive:
            return otherwise
        before = len(self._notes)
        found = guarded(compute, otherwise, code="levers", notes=self._notes)
        self.is_alive = len(self._notes) == before
        return found
