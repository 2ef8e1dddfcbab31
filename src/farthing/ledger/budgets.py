"""Who may spend how much: holds and spending per scope, in memory, exact.

A budget is kept while ``spent + held + asked <= cap``. Holds live here only; each that led to an
intent is also in the ledger's row, from where it comes back after a restart. The ledger's lock
guards every call, which makes ``hold`` atomic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from farthing.core.records import ExchangeRow, Held, Refused
from farthing.errors import EngineBug
from farthing.ledger.changes import charge

__all__ = ["BudgetBook"]

#: idle scopes are forgotten beyond this many; the ledger knows what they spent
_SCOPES: Final = 10_000


@dataclass(slots=True)
class _Scope:
    spent_pico: int
    held_pico: int = 0
    #: reservation id → amount; their sum is ``held_pico``
    holds: dict[str, int] = field(default_factory=dict)


class BudgetBook:
    """Spending and holds of the scopes in use."""

    def __init__(self, spent_before: Callable[[str], int]) -> None:
        #: what the ledger says a scope has spent, asked once when the scope is first met
        self._spent_before = spent_before
        self._scopes: dict[str, _Scope] = {}
        #: reservation id → scope
        self._scope_of: dict[str, str] = {}

    def hold(
        self, scope: str, amount_pico: int, cap_pico: int, *, reservation_id: str
    ) -> Held | Refused:
        """Hold an amount if it still fits; asking again with the same id changes nothing."""
        entry = self._scope(scope)
        if reservation_id in entry.holds:
            return Held(reservation_id=reservation_id, amount_pico=entry.holds[reservation_id])
        if reservation_id in self._scope_of or amount_pico < 0:
            raise EngineBug(f"cannot hold {amount_pico!r} as {reservation_id!r}: used, or negative")
        if entry.spent_pico + entry.held_pico + amount_pico > cap_pico:
            return Refused(
                scope=scope,
                limit_pico=cap_pico,
                spent_pico=entry.spent_pico,
                held_pico=entry.held_pico,
                asked_pico=amount_pico,
            )
        self.restore(scope, reservation_id, amount_pico)
        return Held(reservation_id=reservation_id, amount_pico=amount_pico)

    def restore(
        self, scope: str | None, reservation_id: str | None, amount_pico: int | None
    ) -> None:
        """Hold without asking: what a dead process held, until its exchange is closed."""
        if scope is None or reservation_id is None or amount_pico is None:
            return
        entry = self._scope(scope)
        entry.holds[reservation_id] = amount_pico
        entry.held_pico += amount_pico
        self._scope_of[reservation_id] = scope

    def moved(self, before: ExchangeRow | None, after: ExchangeRow) -> None:
        """An exchange took a step: its hold ends with it, its charge is booked."""
        if after.settlement is not None:
            self.release(after.opened.reservation_id)
        if before is not None:
            self.spend(before.opened.scope, -charge(before))
        self.spend(after.opened.scope, charge(after))

    def release(self, reservation_id: str | None) -> None:
        """Give a hold back; unknown ids and None are ignored, so it may be repeated."""
        scope = self._scope_of.pop(reservation_id, None) if reservation_id else None
        if scope is not None and reservation_id is not None:
            entry = self._scopes[scope]
            entry.held_pico -= entry.holds.pop(reservation_id)

    def spend(self, scope: str | None, amount_pico: int) -> None:
        """Book spending, or take some back where an interval became a cost."""
        if scope is not None and amount_pico:
            self._scope(scope).spent_pico += amount_pico

    def spent_and_held(self, scope: str) -> tuple[int, int]:
        """Both sums of one scope, in 10⁻¹² USD."""
        entry = self._scope(scope)
        return entry.spent_pico, entry.held_pico

    def forget_idle(self, rows: Iterable[ExchangeRow], *, limit: int = _SCOPES) -> None:
        """Drop scopes if there are many, but those with a hold and those of ``rows``.

        ``rows`` are the exchanges that the ledger does not have as they stand here: what the other
        scopes have spent can be asked again.
        """
        if len(self._scopes) > limit:
            kept = {row.opened.scope for row in rows}
            self._scopes = {n: s for n, s in self._scopes.items() if s.holds or n in kept}

    def _scope(self, scope: str) -> _Scope:
        entry = self._scopes.get(scope)
        if entry is None:
            entry = self._scopes[scope] = _Scope(self._spent_before(scope))
        return entry
