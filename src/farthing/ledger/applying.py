"""Changes become rows: one transaction for the rows, the read model and the budgets.

Theory of operation. A batch is folded per exchange first, so that an exchange which opened and
ended within it is one INSERT. What the database already says is read once per batch; what follows
from it is the core's table (``changes.changed``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, TypeVar

from farthing.core.records import ExchangeRow
from farthing.ledger.batches import write_batches
from farthing.ledger.budgets_batches import write_batch_holds
from farthing.ledger.changes import Change, budget_keys, changed, charge
from farthing.ledger.columns import OPENED_COLUMNS, SETTLED_COLUMNS, opened_values, settled_values
from farthing.ledger.hourly import HourlySums
from farthing.ledger.money import added, split
from farthing.ledger.reading import SELECT_ROWS, row_from
from farthing.ledger.savings import HourlySavings, write_accountings

__all__ = ["apply"]

_Item = TypeVar("_Item")

_ALL: Final = (*OPENED_COLUMNS, *SETTLED_COLUMNS)
#: Rows per statement. ``sqlite3`` gives the interpreter away for each statement it runs, and beside
#: an event loop has to wait to get it back: one row at a time costs more than its writing.
#: Few sizes, because each is a prepared statement that stays in memory.
_TOGETHER: Final = (100, 10, 1)
_ROW: Final = f"({', '.join('?' * len(_ALL))})"
_INSERT: Final = {
    count: f"INSERT INTO exchanges ({', '.join(_ALL)}) VALUES "  # noqa: S608 -- constants
    + ", ".join([_ROW] * count)
    for count in _TOGETHER
}
_END: Final = (
    f"UPDATE exchanges SET {', '.join(f'{name} = ?' for name in SETTLED_COLUMNS)}"  # noqa: S608
    " WHERE exchange_id = ?"
)
_REPLACE: Final = (
    f"UPDATE exchanges SET {', '.join(f'{name} = ?' for name in _ALL)}"  # noqa: S608
    " WHERE exchange_id = ?"
)
_OUTCOME: Final = (
    "INSERT INTO outcomes (task_id, outcome, score, task_type, parent_task_id)"
    " VALUES (?, ?, ?, ?, ?) ON CONFLICT (task_id)"
    " DO UPDATE SET outcome = excluded.outcome, score = excluded.score,"
    " task_type = coalesce(excluded.task_type, task_type),"
    " parent_task_id = coalesce(excluded.parent_task_id, parent_task_id)"
)
_SPENT: Final = (
    "INSERT INTO budgets (scope, spent_usd, spent_pico) VALUES (?, ?, ?)"  # noqa: S608 -- constants
    f" ON CONFLICT (scope) DO UPDATE SET {added('spent')}"
)
_STANDING: Final = {
    count: "SELECT exchange_id, state, attempt FROM exchanges"  # noqa: S608 -- question marks only
    f" WHERE exchange_id IN ({', '.join('?' * count)})"
    for count in _TOGETHER
}


@dataclass(slots=True)
class _Draft:
    """One exchange as the database has it, and as the batch will leave it."""

    before: ExchangeRow | None = None
    after: ExchangeRow | None = None


def apply(connection: sqlite3.Connection, changes: Sequence[Change]) -> None:
    """Apply changes in their order, all of them or (on an exception) none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        _apply(connection, changes)
        connection.execute("COMMIT")
    except BaseException:  # whatever it was, no half of a batch may stay
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _apply(connection: sqlite3.Connection, changes: Sequence[Change]) -> None:
    drafts = _drafts(connection, changes)
    for change in changes:
        if change.exchange_id is not None:
            draft = drafts[change.exchange_id]
            draft.after = changed(draft.after, change)
    moved = [draft for draft in drafts.values() if draft.after is not draft.before]
    _insert(connection, list(_inserts(moved)))
    connection.executemany(_END, _ends(moved))
    connection.executemany(_REPLACE, _reopened(moved))
    write_accountings(connection, ((draft.before, draft.after) for draft in moved))
    _count(connection, moved)
    connection.executemany(_OUTCOME, _outcomes(changes))
    write_batches(connection, (c.batch for c in changes if c.batch is not None))
    write_batch_holds(connection, changes)


def _drafts(connection: sqlite3.Connection, changes: Sequence[Change]) -> dict[str, _Draft]:
    """What the database knows of the exchanges in question."""
    drafts = {c.exchange_id: _Draft() for c in changes if c.exchange_id is not None}
    at_hand = {c.exchange_id: c.opened for c in changes if c.exchange_id and c.opened}
    for exchange_id, (state, attempt) in _standing(connection, list(drafts)).items():
        opened = at_hand.get(exchange_id)
        if state == "held" and opened is not None and opened.attempt == attempt:
            row = ExchangeRow(opened=opened)  # nothing more in the database than in the change
        else:
            row = _read(connection, exchange_id)
        drafts[exchange_id] = _Draft(before=row, after=row)
    return drafts


def _standing(connection: sqlite3.Connection, ids: Sequence[str]) -> Mapping[str, tuple[str, int]]:
    found = dict[str, tuple[str, int]]()
    for some in _in_groups(ids):
        rows = connection.execute(_STANDING[len(some)], some)
        found.update((exchange_id, (state, attempt)) for exchange_id, state, attempt in rows)
    return found


def _read(connection: sqlite3.Connection, exchange_id: str) -> ExchangeRow:
    cursor = connection.execute(f"{SELECT_ROWS} WHERE exchange_id = ?", (exchange_id,))
    cursor.row_factory = sqlite3.Row
    return row_from(cursor.fetchone())


def _insert(connection: sqlite3.Connection, rows: Sequence[Sequence[object]]) -> None:
    for some in _in_groups(rows):
        connection.execute(_INSERT[len(some)], list(chain.from_iterable(some)))


def _in_groups(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """All of them in their order, as many at a time as ``_TOGETHER`` has sizes for."""
    done = 0
    for count in _TOGETHER:
        while len(items) - done >= count:
            yield items[done : done + count]
            done += count


def _inserts(moved: Iterable[_Draft]) -> Iterator[tuple[object, ...]]:
    for draft in moved:
        if draft.before is None and draft.after is not None:
            yield *opened_values(draft.after.opened), *settled_values(draft.after.settlement)


def _ends(moved: Iterable[_Draft]) -> Iterator[tuple[object, ...]]:
    for before, after in _updates(moved):
        if after.opened is before.opened:
            yield *settled_values(after.settlement), after.opened.exchange_id


def _reopened(moved: Iterable[_Draft]) -> Iterator[tuple[object, ...]]:
    for before, after in _updates(moved):
        if after.opened is not before.opened:
            ending = settled_values(after.settlement)
            yield *opened_values(after.opened), *ending, after.opened.exchange_id


def _updates(moved: Iterable[_Draft]) -> Iterator[tuple[ExchangeRow, ExchangeRow]]:
    for draft in moved:
        if draft.before is not None and draft.after is not None:
            yield draft.before, draft.after


def _count(connection: sqlite3.Connection, moved: Iterable[_Draft]) -> None:
    """Bring the read models and the budgets along."""
    hourly, savings, spent = HourlySums(), HourlySavings(), dict[str, int]()
    for draft in moved:
        hourly.add(draft.before, sign=-1)
        hourly.add(draft.after)
        savings.add(draft.before, sign=-1)
        savings.add(draft.after)
        for row, sign in ((draft.before, -1), (draft.after, 1)):
            if row is not None and row.settlement is not None:
                for key in budget_keys(row.opened):
                    spent[key] = spent.get(key, 0) + sign * charge(row)
    hourly.write(connection)
    savings.write(connection)
    connection.executemany(_SPENT, ((scope, *split(amount)) for scope, amount in spent.items()))


def _outcomes(changes: Iterable[Change]) -> Iterator[tuple[object, ...]]:
    for change in changes:
        said = change.outcome
        if said is not None:
            yield change.task_id, said.outcome, said.score, said.task_type, said.parent_task_id
