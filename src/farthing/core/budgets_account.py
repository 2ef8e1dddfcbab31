"""The account of one scope × window: what is spent, what is held, and who is still let in.

Theory of operation. A call is let in while ``spent + held + asked ≤ limit``. What is asked depends
on the mode of the claim:

- ``strict``: the worst case, always. What is spent and held can then never pass the limit, as long
  as no call costs more than its worst case.
- ``ample``: while there is plenty of head-room, the likely cost (the 99th percentile of what such
  calls came to); near the end, the worst case, and every hold under way is brought up to its own.
  *Plenty* is ``head-room ≥ 1.5 · C · c``, with C calls under way (this one counted) and c the
  dearest worst case among them. So the worst cases of all calls let in fit whenever the switch
  comes: the likely cost makes the shown ``held`` realistic, it never lets in what strict would not.

A refusal is final for the amounts as they stand: nothing is refused that fits with its worst case.

Rules of this file: no lock (a ledger has one), no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import msgspec

__all__ = ["Account", "Admitted", "Claim", "Denied", "Reservation", "Standing"]


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What one call asks of one scope × window."""

    key: str
    limit_pico: int
    worst_pico: int
    #: never more than the worst; equal to it where nothing is known
    likely_pico: int
    is_ample: bool = False
    #: the budget's name, for whoever is refused
    budget: str = ""
    resets_at: datetime | None = None


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """All claims of one attempt: admitted together or not at all. The widest scope comes first."""

    reservation_id: str
    claims: tuple[Claim, ...]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An account at one moment."""

    key: str
    limit_pico: int
    spent_pico: int
    held_pico: int

    @property
    def room_pico(self) -> int:
        """What another call may ask for."""
        return max(0, self.limit_pico - self.spent_pico - self.held_pico)


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """Every claim is held; ``standings`` are the accounts with this hold, in the claims' order."""

    reservation_id: str
    standings: tuple[Standing, ...]


class Denied(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing is held: this claim did not fit."""

    claim: Claim
    standing: Standing


@dataclass(slots=True)
class _Hold:
    amount_pico: int
    worst_pico: int


@dataclass(slots=True)
class Account:
    """Spending and holds under one key, in 10⁻¹² USD."""

    spent_pico: int = 0
    held_pico: int = 0
    #: by reservation; their amounts add up to ``held_pico``
    _holds: dict[str, _Hold] = field(default_factory=dict)
    #: holds below their worst case
    _below: int = 0
    #: the dearest worst case since nothing was held last
    _dearest_pico: int = 0

    @property
    def is_idle(self) -> bool:
        """Is nothing held?"""
        return not self._holds

    def standing(self, key: str, limit_pico: int) -> Standing:
        """How it stands now."""
        return Standing(
            key=key, limit_pico=limit_pico, spent_pico=self.spent_pico, held_pico=self.held_pico
        )

    def held_for(self, reservation_id: str) -> int | None:
        """What a reservation holds here; None: nothing."""
        hold = self._holds.get(reservation_id)
        return None if hold is None else hold.amount_pico

    def asked(self, claim: Claim) -> int | None:
        """What the claim would hold; None where it does not fit."""
        if claim.is_ample and self._is_ample(claim):
            return min(claim.likely_pico, claim.worst_pico)
        self._bring_up()
        fits = self.spent_pico + self.held_pico + claim.worst_pico <= claim.limit_pico
        return claim.worst_pico if fits else None

    def hold(self, reservation_id: str, amount_pico: int, worst_pico: int) -> None:
        """Hold without asking."""
        self._holds[reservation_id] = _Hold(amount_pico, worst_pico)
        self.held_pico += amount_pico
        self._below += amount_pico < worst_pico
        self._dearest_pico = max(self._dearest_pico, worst_pico)

    def release(self, reservation_id: str) -> None:
        """Give a hold back; an unknown one is ignored."""
        hold = self._holds.pop(reservation_id, None)
        if hold is None:
            return
        self.held_pico -= hold.amount_pico
        self._below -= hold.amount_pico < hold.worst_pico
        if not self._holds:
            self._dearest_pico = 0

    def lower(self, reservation_id: str, to_pico: int) -> None:
        """Give a part of a hold back; it never grows, and an unknown one is ignored."""
        hold = self._holds.get(reservation_id)
        if hold is None or to_pico >= hold.worst_pico:
            return
        self.release(reservation_id)
        if to_pico > 0:
            self.hold(reservation_id, min(hold.amount_pico, to_pico), to_pico)

    def _is_ample(self, claim: Claim) -> bool:
        room = claim.limit_pico - self.spent_pico - self.held_pico
        dearest = max(self._dearest_pico, claim.worst_pico)
        return 2 * room >= 3 * (len(self._holds) + 1) * dearest

    def _bring_up(self) -> None:
        """Every hold at its worst case: from here on all that is under way fits, come what may."""
        if self._below:
            for hold in self._holds.values():
                self.held_pico += hold.worst_pico - hold.amount_pico
                hold.amount_pico = hold.worst_pico
            self._below = 0
