"""A Message Batch and its budgets: what its rows ask for together, and why it is refused.

Theory of operation. Every row is held at its worst case, at the batch price, in each budget that
applies to it; rows ask for different models, so for different keys. All of it is asked for in one
step before the body is sent, and a batch that does not fit is refused whole: nothing of it is sent,
and no ladder is climbed, because rows are not rewritten. ``ample`` holds the worst case here too:
the rows may run a day later, when nothing can be corrected any more.

Budgets over single calls look at each row. A row without a bound is ``on_unpriced`` of the budgets
that apply to it.

Rules of this file: what has to look at each row does so in arrays, except where rows may take
several passes or where some are in no budget.
"""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from farthing.core.batch_holds import BatchRows
from farthing.core.batch_scan import BatchScan
from farthing.core.budgets import Budget, key_of
from farthing.core.budgets_account import Admitted, Claim, Denied, Reservation, Standing
from farthing.core.exchange_budget import (
    TASK_CAP,
    Refusal,
    describe_denied,
    named_model,
    unkept,
)
from farthing.core.exchange_effects import Effect, Note, Reserve, ask
from farthing.core.exchange_prepare import Setup
from farthing.core.exchange_settle import Progress
from farthing.errors import LedgerError

__all__ = ["admit_batch", "created_batch"]

_CALL: Final = "call"
#: all passes that there can be
_ALL_PASSES: Final = 1 << 30

_Admission = Generator[Effect[Any], Any, Refusal | None]
#: by key: how many passes of one answer are held in it
_Passes = dict[str, int]


def admit_batch(scan: BatchScan, progress: Progress, setup: Setup) -> _Admission:
    """Hold every row in every budget that applies; a refusal where they do not fit."""
    asking = _Asking(scan, progress, setup)
    if not asking.claims and not asking.applying:
        return None
    if scan.unpriced:
        refusal = yield from asking.unheld("budget.unpriced", "a row of this batch has no price")
        if refusal is not None:
            return refusal
    denied = asking.single_row()
    if denied is not None:
        return asking.refusal("budget.refused", denied)
    try:
        reply = yield from asking.reserve()
    except LedgerError:
        return (yield from asking.unheld("budget.ledger_fault", "the ledger cannot be asked"))
    if isinstance(reply, Denied):
        return asking.refusal("budget.refused", reply)
    asking.held(reply)
    return None


def created_batch(rows: BatchRows, batch_id: str, setup: Setup) -> BatchRows:
    """It is known which batch the rows became: they hold from here on."""
    rows = msgspec.structs.replace(rows, batch_id=batch_id)
    setup.batches.hold(rows)
    return rows


class _Groups:
    """Sets of keys, numbered."""

    def __init__(self) -> None:
        self._places = dict[tuple[str, ...], int]()

    def place(self, keys: tuple[str, ...]) -> int:
        return self._places.setdefault(keys, len(self._places))

    def all(self) -> tuple[tuple[str, ...], ...]:
        return tuple(self._places)


class _Asking:
    """One batch on its way through its budgets."""

    def __init__(self, scan: BatchScan, progress: Progress, setup: Setup) -> None:
        self._scan = scan
        self._progress = progress
        self._setup = setup
        self._now: datetime = progress.call.received.at
        models: list[str | None] = [*scan.models, *([None] if scan.unpriced else [])]
        #: by model, the budgets that apply to it with their keys, the widest scope first
        self._by_model = [self._applying(model) for model in models]
        #: each budget once that applies to some row
        self.applying: list[Budget] = list(
            {budget.name: budget for found in self._by_model for budget, _ in found}.values()
        )
        #: by model
        self._passes = [self._passes_of(found) for found in self._by_model[: len(scan.models)]]
        self._totals = self._asked()
        self.claims = list(self._claims())

    def parts(self, row: int, model: int) -> Iterator[tuple[tuple[str, ...], int]]:
        """What a row holds: keys that hold the same amount, and that amount."""
        passes, scan = self._passes[model], self._scan
        one, most = scan.one_pass[row], scan.passes[row]
        if one == most:
            if passes:
                yield tuple(passes), one
            return
        by_amount = dict[int, list[str]]()
        for key, count in passes.items():
            by_amount.setdefault(min(most, one * count), []).append(key)
        for amount, keys in by_amount.items():
            yield tuple(keys), amount

    def single_row(self) -> Denied | None:
        """The first budget over single calls that the dearest row would pass."""
        for model, found in enumerate(self._by_model[: len(self._scan.models)]):
            for budget, key in found:
                if budget.scope == _CALL:
                    denied = self._too_dear(budget, key, model)
                    if denied is not None:
                        return denied
        return None

    def reserve(self) -> Generator[Effect[Any], Any, Admitted | Denied]:
        """Ask for all of it."""
        prepared = self._progress.prepared
        if not self.claims:
            return Admitted(reservation_id=prepared.reservation_id, standings=())
        # Known before it is asked for: who is interrupted in between gives it back.
        prepared.budget_keys = tuple(dict.fromkeys(each.key for each in self.claims))
        reservation = Reservation(reservation_id=prepared.reservation_id, claims=tuple(self.claims))
        return (yield from ask(Reserve(reservation)))

    def held(self, admitted: Admitted) -> None:
        """It is held; should nobody learn which batch it became, it counts as spent."""
        progress = self._progress
        if not self.claims:
            return
        most = max(self._totals.values())
        progress.hold_pico = progress.prepared.asked_pico = most
        progress.rows = self._rows()
        for percent in self._setup.board.told(self.claims, admitted.standings, self._now):
            progress.note(f"budget.threshold.{percent}")

    def unheld(self, code: str, why: str) -> _Admission:
        """Rows are not held: go on, or refuse, as the strictest of the budgets says."""
        is_price = code == "budget.unpriced"
        names = [
            budget.name
            for budget in self.applying
            if (budget.on_unpriced if is_price else budget.on_fault) == "refuse"
        ]
        if names or (self._setup.budget_fault == "closed" and not (is_price and self.applying)):
            return self._refused(code, unkept(names, why, is_price=is_price))
        if not is_price:
            self._progress.prepared.budget_keys = ()
        self._progress.note(code)
        yield from ask(Note(code, self._progress.prepared.exchange_id))
        return None

    def refusal(self, code: str, denied: Denied) -> Refusal:
        """Nothing is held and nothing will be sent."""
        self._setup.board.refused(denied, self._now)
        return self._refused(code, describe_denied(denied, "the rows of this batch"))

    def _refused(self, code: str, message: str) -> Refusal:
        self._progress.prepared.budget_keys = ()
        return Refusal(code=code, message=message)

    def _rows(self) -> BatchRows:
        """What each row holds, as it will be on record."""
        scan, groups = self._scan, _Groups()
        digests, group_of, amounts = scan.digests, array("H"), scan.one_pass
        if scan.has_several or not all(self._passes):
            digests, amounts = array("Q"), array("q")
            for row, model in enumerate(scan.model_of):
                for keys, amount in self.parts(row, model):
                    digests.append(scan.digests[row])
                    group_of.append(groups.place(keys))
                    amounts.append(amount)
        else:
            places = [groups.place(tuple(passes)) for passes in self._passes]
            group_of.extend(map(places.__getitem__, scan.model_of))
        return BatchRows(
            batch_id="",
            created_at=self._now,
            groups=groups.all(),
            digests=digests.tobytes(),
            group_of=group_of.tobytes(),
            amounts=amounts.tobytes(),
        )

    # -- what is asked for ------------------------------------------------------------------------

    def _applying(self, model: str | None) -> list[tuple[Budget, str]]:
        who, named = self._progress.prepared.attribution, named_model(model, self._setup)
        found = ((each, key_of(each, who, named, self._now)) for each in self._setup.board.budgets)
        return [(budget, key) for budget, key in found if key is not None]

    def _passes_of(self, found: Sequence[tuple[Budget, str]]) -> _Passes:
        """Budgets over one key share its count: the one that holds most decides."""
        passes = _Passes()
        for budget, key in found:
            if budget.scope != _CALL:
                passes[key] = max(_passes(budget), passes.get(key, 0))
        prepared = self._progress.prepared
        if prepared.cap_pico is not None:
            passes.setdefault(prepared.scope, 1)
        return passes

    def _asked(self) -> dict[str, int]:
        """What all rows ask of each key."""
        scan, totals = self._scan, dict[str, int]()
        if scan.has_several:
            for row, model in enumerate(scan.model_of):
                for keys, amount in self.parts(row, model):
                    for key in keys:
                        totals[key] = totals.get(key, 0) + amount
            return totals
        for model, amount in enumerate(scan.totals):
            for key in self._passes[model]:
                totals[key] = totals.get(key, 0) + amount
        return totals

    def _claims(self) -> Iterator[Claim]:
        prepared = self._progress.prepared
        said = set[tuple[str, str]]()
        for budget, key in self._in_order():
            if budget.scope != _CALL and (budget.name, key) not in said:
                said.add((budget.name, key))
                yield self._claim(budget, key, self._totals.get(key, 0))
        if prepared.cap_pico is not None and prepared.scope in self._totals:
            worst = self._totals[prepared.scope]
            yield Claim(
                key=prepared.scope,
                limit_pico=prepared.cap_pico,
                worst_pico=worst,
                likely_pico=worst,
                budget=TASK_CAP,
            )

    def _in_order(self) -> Iterator[tuple[Budget, str]]:
        """All budgets with their keys, the widest scope first."""
        for budget in self._setup.board.budgets:
            for found in self._by_model[: len(self._scan.models)]:
                yield from ((each, key) for each, key in found if each is budget)

    def _claim(self, budget: Budget, key: str, worst_pico: int) -> Claim:
        span = budget.span_at(self._now)
        return Claim(
            key=key,
            limit_pico=budget.limit_at(self._now),
            worst_pico=worst_pico,
            likely_pico=worst_pico,
            budget=budget.name,
            resets_at=None if span is None else span.end,
        )

    def _too_dear(self, budget: Budget, key: str, model: int) -> Denied | None:
        scan, passes = self._scan, _passes(budget)
        dearest = max(
            min(most, one * passes)
            for one, most, number in zip(scan.one_pass, scan.passes, scan.model_of, strict=True)
            if number == model
        )
        claim = self._claim(budget, key, dearest)
        if dearest <= claim.limit_pico:
            return None
        standing = Standing(key=key, limit_pico=claim.limit_pico, spent_pico=0, held_pico=0)
        return Denied(claim=claim, standing=standing)


def _passes(budget: Budget) -> int:
    """How many passes of one answer a budget holds, as for any call."""
    if budget.passes is not None:
        return budget.passes
    return _ALL_PASSES if budget.mode == "strict" else 1
