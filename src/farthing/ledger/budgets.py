"""Who may spend how much: holds and spending per scope × window, in memory, exact.

A budget is kept while ``spent + held + asked <= cap`` (``core.budgets_account``). A reservation
holds under all of its keys or under none. Holds live here only; each that led to an intent is also
in the ledger's row, from where it comes back after a restart. The ledger's lock guards every call,
which makes ``reserve`` atomic.

A hold without an intent has a lease: who reserved and was never heard of again (it died between
the two) holds nothing after ``LEASE``. A clock that is set forward would end every lease at once,
and let others in beside calls that are about to be sent; so between two reservations at most
``_STEP`` counts as passed. An intent that comes later than its lease holds again, unasked.
What batches hold is beside (``ledger.budgets_batches``).
When a process dies, its holds without an intent die with it, and those with one become intervals
at the next start, which count with their upper end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final

from farthing.core.batch_holds import BatchRows
from farthing.core.batches import KnownBatch
from farthing.core.budgets_account import Account, Admitted, Claim, Denied, Reservation
from farthing.core.records import ExchangeRow, Held, Opened, Refused
from farthing.errors import EngineBug
from farthing.ledger.budgets_batches import BatchHolds
from farthing.ledger.changes import budget_keys, charge

__all__ = ["LEASE", "BudgetBook"]

LEASE: Final = timedelta(minutes=5)
_STEP: Final = timedelta(seconds=10)

#: idle scopes are forgotten beyond this many; the ledger knows what they spent
_SCOPES: Final = 10_000


class BudgetBook:
    """Spending and holds of the scopes in use."""

    def __init__(self, spent_before: Callable[[str], int]) -> None:
        #: what the ledger says a scope has spent, asked once when the scope is first met
        self._spent_before = spent_before
        self._accounts: dict[str, Account] = {}
        self._batches = BatchHolds(self._account)
        #: reservation id → the keys that it holds under
        self._keys_of: dict[str, tuple[str, ...]] = {}
        #: reservations without an intent, oldest first, and when they were made
        self._unopened: dict[str, timedelta] = {}
        #: the time that counts for leases
        self._passed = timedelta(0)
        self._last: datetime | None = None

    def hold(
        self,
        scope: str,
        amount_pico: int,
        cap_pico: int,
        *,
        reservation_id: str,
        now: datetime,
    ) -> Held | Refused:
        """Hold an amount if it still fits; asking again with the same id changes nothing."""
        if amount_pico < 0:
            raise EngineBug(f"cannot hold {amount_pico!r} as {reservation_id!r}: negative")
        claim = Claim(
            key=scope, limit_pico=cap_pico, worst_pico=amount_pico, likely_pico=amount_pico
        )
        reply = self.reserve(Reservation(reservation_id=reservation_id, claims=(claim,)), now=now)
        if isinstance(reply, Denied):
            return Refused(
                scope=scope,
                limit_pico=cap_pico,
                spent_pico=reply.standing.spent_pico,
                held_pico=reply.standing.held_pico,
                asked_pico=amount_pico,
            )
        held = self._account(scope).held_for(reservation_id)
        return Held(reservation_id=reservation_id, amount_pico=held or 0)

    def reserve(self, reservation: Reservation, *, now: datetime) -> Admitted | Denied:
        """Hold under every key, or under none; asking again with the same id changes nothing."""
        self._expire(now)
        reservation_id, claims = reservation.reservation_id, reservation.claims
        keys = tuple(dict.fromkeys(claim.key for claim in claims))
        known = self._keys_of.get(reservation_id)
        if known is not None and known != keys:
            raise EngineBug(f"reservation {reservation_id!r} holds under other keys already")
        if known is None:
            denied = self._hold(reservation_id, claims, keys)
            if denied is not None:
                return denied
            self._unopened[reservation_id] = self._passed
        standings = tuple(self._account(c.key).standing(c.key, c.limit_pico) for c in claims)
        return Admitted(reservation_id=reservation_id, standings=standings)

    def restore(self, opened: Opened) -> None:
        """Hold without asking: what a dead process held, until its exchange is closed."""
        reservation_id, amount = opened.reservation_id, opened.hold_pico
        keys = budget_keys(opened)
        if reservation_id is None or amount is None or not keys:
            return
        for key in keys:
            self._account(key).hold(reservation_id, amount, amount)
        self._keys_of[reservation_id] = keys

    def moved(self, before: ExchangeRow | None, after: ExchangeRow) -> None:
        """An exchange took a step: its hold ends with it, its charge is booked."""
        opened, ending = after.opened, after.settlement
        if ending is not None:
            if ending.batch is not None:
                self._batches.take(ending.batch)
            if opened.reservation_id is not None:
                self.release(opened.reservation_id)
            if opened.endpoint == "batch_item" and ending.state == "settled":
                self._batches.booked(opened.exchange_id)
        elif opened.reservation_id is not None:
            self._unopened.pop(opened.reservation_id, None)
            if opened.reservation_id not in self._keys_of:
                self.restore(opened)  # its lease had ended, or nobody had asked
        is_counted = opened.scope is not None or opened.budget_keys
        if before is not None and (is_counted or before.opened is not opened):
            self.spend(before, -charge(before))
        if is_counted:  # by any budget; most exchanges are in none
            self.spend(after, charge(after))

    def restore_batches(self, found: Iterable[tuple[BatchRows, Iterable[str]]]) -> None:
        """Hold what batches of earlier processes hold, but for their rows that are booked."""
        for rows, booked in found:
            self._batches.take(rows, booked)

    def batch_kept(self, batch: KnownBatch) -> None:
        """What is known of a batch was recorded: one that is over holds nothing."""
        if batch.ending is not None:
            self._batches.end(batch.batch_id)

    def batch_counted(self, batch_id: str, succeeded: int) -> None:
        """A batch has ended, and only so many of its rows cost anything."""
        self._batches.counted(batch_id, succeeded)

    def batch_rows(self) -> list[BatchRows]:
        """What batches hold that are not over."""
        return self._batches.rows()

    def expire_batches(self, now: datetime) -> None:
        """End what batches hold whose results can no longer be read."""
        self._batches.expire(now)

    def release(self, reservation_id: str | None) -> None:
        """Give a hold back; unknown ids and None are ignored, so it may be repeated."""
        if reservation_id is None:
            return
        self._unopened.pop(reservation_id, None)
        for key in self._keys_of.pop(reservation_id, ()):
            self._accounts[key].release(reservation_id)

    def spend(self, row: ExchangeRow, amount_pico: int) -> None:
        """Book spending, or take some back where an interval became a cost."""
        if amount_pico:
            for key in budget_keys(row.opened):
                self._account(key).spent_pico += amount_pico

    def spent_and_held(self, scope: str) -> tuple[int, int]:
        """Both sums of one scope, in 10⁻¹² USD."""
        entry = self._account(scope)
        return entry.spent_pico, entry.held_pico

    def forget_idle(self, rows: Iterable[ExchangeRow], *, limit: int = _SCOPES) -> None:
        """Drop scopes if there are many, but those with a hold and those of ``rows``.

        ``rows`` are the exchanges that the ledger does not have as they stand here: what the other
        scopes have spent can be asked again.
        """
        if len(self._accounts) > limit:
            kept = {key for row in rows for key in budget_keys(row.opened)}
            self._accounts = {
                key: account
                for key, account in self._accounts.items()
                if not account.is_idle or key in kept
            }

    def _hold(
        self, reservation_id: str, claims: tuple[Claim, ...], keys: tuple[str, ...]
    ) -> Denied | None:
        """All of them, or the first that does not fit."""
        amounts, worsts = dict.fromkeys(keys, 0), dict.fromkeys(keys, 0)
        for claim in claims:
            account = self._account(claim.key)
            amount = account.asked(claim)
            if amount is None:
                standing = account.standing(claim.key, claim.limit_pico)
                return Denied(claim=claim, standing=standing)
            amounts[claim.key] = max(amounts[claim.key], amount)
            worsts[claim.key] = max(worsts[claim.key], claim.worst_pico)
        for key in keys:
            self._account(key).hold(reservation_id, amounts[key], worsts[key])
        self._keys_of[reservation_id] = keys
        return None

    def _expire(self, now: datetime) -> None:
        """End the holds whose lease is over: nobody came with an intent."""
        step = timedelta(0) if self._last is None else now - self._last
        self._passed += min(max(step, timedelta(0)), _STEP)
        self._last = now
        for reservation_id, since in list(self._unopened.items()):
            if self._passed - since <= LEASE:
                return
            self.release(reservation_id)

    def _account(self, key: str) -> Account:
        entry = self._accounts.get(key)
        if entry is None:
            entry = self._accounts[key] = Account(self._spent_before(key))
        return entry
