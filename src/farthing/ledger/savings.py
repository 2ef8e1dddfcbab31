"""What exchanges saved, as rows: per exchange, per exchange and lever, and the read model.

Theory of operation. An accounting is part of a settlement: it is written, taken back and written
anew with its row, in the row's transaction, and read back as part of it. The read model
``hourly_savings`` gets what a settled exchange with a price adds: one line under the lever ``""``
for the exchange as a whole, and one per lever that acted. Lines of levers therefore add up to the
line of the whole: what levers saved on an exchange is its baseline minus its cost.

Rules of this file: predicted and measured are different columns, and never added; of what was
foreseen only the four parts of the prompt rest.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from operator import add, sub
from typing import Any, Final, NamedTuple

import msgspec

from farthing.core.records import Accounting, ExchangeRow, LeverSaving
from farthing.ledger.columns import Column
from farthing.ledger.hourly import hour_of
from farthing.ledger.money import added, join, split
from farthing.wire.usage import Usage

__all__ = [
    "ACCOUNTING_COLUMNS",
    "SAVED_COUNTS",
    "SAVED_MONEY",
    "HourlySavings",
    "SavingsKey",
    "accounting_from",
    "write_accountings",
]

SAVED_COUNTS: Final = ("exchanges", "held_out", "foretold")
SAVED_MONEY: Final = ("baseline", "cost", "saved", "own_cost", "predicted")

#: what a query for rows adds to find their accounting: ``accounting_from`` reads these names
ACCOUNTING_COLUMNS: Final = """\
a.baseline_usd AS compared_usd, a.baseline_pico AS compared_pico, a.own_cost_usd, a.own_cost_pico,
a.foreseen_uncached_tokens, a.foreseen_cache_write_5m_tokens, a.foreseen_cache_write_1h_tokens,
a.foreseen_cache_read_tokens, a.miss_cause, a.is_held_out, a.workload,
CASE WHEN a.baseline_usd IS NOT NULL THEN (SELECT json_group_array(json_array(
place, lever, saved_usd, saved_pico, predicted_usd, predicted_pico))
FROM lever_savings AS l WHERE l.exchange_id = e.exchange_id) END AS savings"""

_ACCOUNTING: Final = "INSERT INTO accountings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SAVING: Final = "INSERT INTO lever_savings VALUES (?, ?, ?, ?, ?, ?, ?)"
_TAKEN_BACK: Final = (
    "DELETE FROM accountings WHERE exchange_id = ?",
    "DELETE FROM lever_savings WHERE exchange_id = ?",
)
_COLUMNS: Final = (*SAVED_COUNTS, *(f"{n}_{unit}" for n in SAVED_MONEY for unit in ("usd", "pico")))
_UPSERT: Final = (
    f"INSERT INTO hourly_savings VALUES ({', '.join('?' * (4 + len(_COLUMNS)))})"  # noqa: S608
    " ON CONFLICT (hour, task_type, model, lever) DO UPDATE SET "
    + ", ".join([*(f"{n} = {n} + excluded.{n}" for n in SAVED_COUNTS), *map(added, SAVED_MONEY)])
)


class _Place(msgspec.Struct, frozen=True, array_like=True):
    place: int
    lever: str
    saved_usd: int
    saved_pico: int
    predicted_usd: int | None
    predicted_pico: int | None


_places_decoder: Final = msgspec.json.Decoder(list[_Place])


class SavingsKey(NamedTuple):
    """Which line of the read model; the lever ``""`` is the exchange as a whole."""

    hour: str
    task_type: str
    model: str
    lever: str


class HourlySavings:
    """Changes to the read model, summed in memory, written in one go."""

    def __init__(self) -> None:
        self._sums: dict[SavingsKey, list[int]] = {}

    def add(self, row: ExchangeRow | None, *, sign: int = 1) -> None:
        """Count what an exchange saved; with ``sign=-1`` take back what it counted before."""
        for key, amounts in _lines(row):
            line = self._sums.setdefault(key, [0] * len(amounts))
            line[:] = map(add if sign > 0 else sub, line, amounts)

    def write(self, connection: sqlite3.Connection) -> None:
        """Add everything to the table, within the caller's transaction."""
        connection.executemany(_UPSERT, (_values(key, line) for key, line in self.items()))

    def items(self) -> Iterable[tuple[SavingsKey, list[int]]]:
        """Each line, in the order of ``SAVED_COUNTS`` and ``SAVED_MONEY`` (10⁻¹² USD)."""
        return self._sums.items()


def write_accountings(
    connection: sqlite3.Connection,
    moved: Iterable[tuple[ExchangeRow | None, ExchangeRow | None]],
) -> None:
    """Bring the rows of accountings along, before → after, within the caller's transaction."""
    gone: list[tuple[str]] = []
    come: list[tuple[str, Accounting]] = []
    for before, after in moved:
        if before is not None and _accounting(before) is not None:
            gone.append((before.opened.exchange_id,))
        accounting = _accounting(after)
        if after is not None and accounting is not None:
            come.append((after.opened.exchange_id, accounting))
    if gone:
        for text in _TAKEN_BACK:
            connection.executemany(text, gone)
    if come:
        connection.executemany(_ACCOUNTING, (_accounting_values(*one) for one in come))
        connection.executemany(_SAVING, (row for one in come for row in _saving_values(*one)))


def accounting_from(row: sqlite3.Row) -> Accounting | None:
    """The accounting of a row read with ``ACCOUNTING_COLUMNS``."""
    baseline = join(row["compared_usd"], row["compared_pico"])
    if baseline is None:
        return None
    places = sorted(_places_decoder.decode(row["savings"]), key=lambda saving: saving.place)
    return Accounting(
        baseline_pico=baseline,
        savings=tuple(map(_saving_from, places)),
        own_cost_pico=join(row["own_cost_usd"], row["own_cost_pico"]) or 0,
        foreseen=_foreseen_from(row),
        miss_cause=row["miss_cause"],
        is_held_out=bool(row["is_held_out"]),
        workload=row["workload"],
    )


def _accounting(row: ExchangeRow | None) -> Accounting | None:
    return None if row is None or row.settlement is None else row.settlement.accounting


def _lines(row: ExchangeRow | None) -> Iterator[tuple[SavingsKey, tuple[int, ...]]]:
    """What an exchange adds to the read model; nothing where there is nothing to compare."""
    accounting = _accounting(row)
    if row is None or row.settlement is None or accounting is None:
        return
    opened, settlement = row.opened, row.settlement
    if settlement.state != "settled" or settlement.cost is None:
        return
    key = SavingsKey(
        hour_of(opened),
        opened.attribution.task_type or "",
        settlement.model_served or opened.model_asked or "",
        "",
    )
    held_out, cost = int(accounting.is_held_out), settlement.cost.total
    baseline = accounting.baseline_pico
    yield key, (1, held_out, 0, baseline, cost, baseline - cost, accounting.own_cost_pico, 0)
    for each in accounting.savings:
        foretold = int(each.predicted_pico is not None)
        money = (baseline, cost, each.saved_pico, 0, each.predicted_pico or 0)
        yield key._replace(lever=each.lever), (1, held_out, foretold, *money)


def _values(key: SavingsKey, line: list[int]) -> tuple[Column, ...]:
    money = (part for amount in line[len(SAVED_COUNTS) :] for part in split(amount))
    return (*key, *line[: len(SAVED_COUNTS)], *money)


def _accounting_values(exchange_id: str, accounting: Accounting) -> tuple[Column, ...]:
    seen = accounting.foreseen
    foreseen: tuple[Column, ...] = (None,) * 4
    if seen is not None:
        foreseen = (seen.uncached, seen.cache_write_5m, seen.cache_write_1h, seen.cache_read)
    return (
        exchange_id,
        *split(accounting.baseline_pico),
        *split(accounting.own_cost_pico),
        *foreseen,
        accounting.miss_cause,
        accounting.is_held_out,
        accounting.workload,
    )


def _saving_values(exchange_id: str, accounting: Accounting) -> Iterator[tuple[Column, ...]]:
    for place, each in enumerate(accounting.savings):
        money = (*split(each.saved_pico), *split(each.predicted_pico))
        yield exchange_id, place, each.lever, *money


def _saving_from(place: _Place) -> LeverSaving:
    return LeverSaving(
        lever=place.lever,
        saved_pico=join(place.saved_usd, place.saved_pico) or 0,
        predicted_pico=join(place.predicted_usd, place.predicted_pico),
    )


def _foreseen_from(row: sqlite3.Row) -> Usage | None:
    counts: Any = row["foreseen_uncached_tokens"]
    if counts is None:
        return None
    return Usage(
        uncached=counts,
        cache_write_5m=row["foreseen_cache_write_5m_tokens"],
        cache_write_1h=row["foreseen_cache_write_1h_tokens"],
        cache_read=row["foreseen_cache_read_tokens"],
    )
