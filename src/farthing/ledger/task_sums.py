"""The exchanges of each task, summed: in SQL over a file, in Python over rows, with one result."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from farthing.core.records import ExchangeRow, Outcome, RowFilter
from farthing.ledger.columns import dump_instant
from farthing.ledger.database import conditions, open_reader
from farthing.ledger.faults import translated
from farthing.ledger.hourly import COUNTS, MONEY, amounts
from farthing.ledger.money import joined_sums, summed
from farthing.ledger.reading import parse_instant
from farthing.wire.usage import Usage

__all__ = ["OwnTask", "TaskSums", "own_tasks", "select_outcome", "select_tasks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSums:
    """What some exchanges took; the names are those of the read model per hour."""

    exchanges: int = 0
    #: exchanges that brought an answer of a model
    turns: int = 0
    #: exchanges that have not ended yet
    held: int = 0
    settled: int = 0
    released: int = 0
    expired: int = 0
    unsettled: int = 0
    #: exchanges whose dollars are missing here for want of a price
    unpriced: int = 0
    errors: int = 0
    attempts: int = 0
    uncached_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    cache_read_tokens: int = 0
    output_tokens: int = 0
    #: of settled exchanges, in 10⁻¹² USD; what ``unsettled`` ones cost lies in [low, high] on top
    cost_pico: int = 0
    baseline_pico: int = 0
    #: the cost of the exchanges that have a baseline; saving = baseline − compared
    compared_pico: int = 0
    low_pico: int = 0
    high_pico: int = 0
    #: how long the turns took, all together
    turns_us: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None

    @property
    def usage(self) -> Usage:
        """The tokens as a usage."""
        return Usage(
            uncached=self.uncached_tokens,
            cache_write_5m=self.cache_write_5m_tokens,
            cache_write_1h=self.cache_write_1h_tokens,
            cache_read=self.cache_read_tokens,
            output=self.output_tokens,
        )

    def __add__(self, other: TaskSums) -> TaskSums:
        if not isinstance(other, TaskSums):
            return NotImplemented
        sums = {name: getattr(self, name) + getattr(other, name) for name in _NUMBERS}
        return TaskSums(
            **sums,
            first_at=min(_given(self.first_at, other.first_at), default=None),
            last_at=max(_given(self.last_at, other.last_at), default=None),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTask:
    """One task as its own exchanges tell of it."""

    task_id: str
    task_type: str | None
    parent_task_id: str | None
    root_task_id: str
    outcome: Outcome | None
    sums: TaskSums


_NUMBERS: Final = tuple(row.name for row in fields(TaskSums) if not row.name.endswith("_at"))
#: who a task is, each as said first
_WHO: Final = ("task_type", "parent_task_id", "root_task_id")
_ERROR_STATUS: Final = 400

_IS_ERROR: Final = f"(error_type IS NOT NULL OR coalesce(http_status, 0) >= {_ERROR_STATUS})"
_IS_TURN: Final = (
    f"(state = 'settled' AND endpoint IN ('messages', 'batch_item') AND NOT {_IS_ERROR})"
)
_IS_UNPRICED: Final = (
    "((state = 'unsettled' AND high_usd IS NULL) OR (state = 'settled' AND cost_usd IS NULL))"
)
_IS_COMPARED: Final = "baseline_usd IS NOT NULL AND cost_usd IS NOT NULL"
_COUNTED: Final = {
    "settled": "state = 'settled'",
    "released": "state = 'released'",
    "expired": "state = 'expired'",
    "unsettled": "state = 'unsettled'",
    "unpriced": _IS_UNPRICED,
    "errors": f"(state <> 'held' AND {_IS_ERROR})",
}
_MONEY: Final = {
    "cost": summed("cost"),
    "baseline": summed("baseline", where=_IS_COMPARED),
    "compared": summed("cost", where=_IS_COMPARED),
    "low": summed("low", where="state = 'unsettled'"),
    "high": summed("high", where="state = 'unsettled'"),
}
_SELECT: Final = ", ".join(
    [
        "task_id",
        "min(opened_at)",
        "max(coalesce(ended_at, opened_at))",
        # Instants have a fixed width, so the least text is the one said first.
        *(f"min(opened_at || {name})" for name in _WHO),
        "count(*)",
        f"sum({_IS_TURN})",
        "sum(state = 'held')",
        *(f"coalesce(sum({_COUNTED.get(name, name)}), 0)" for name in COUNTS),
        *(_MONEY[name] for name in MONEY),
        f"coalesce(sum(total_us) FILTER (WHERE {_IS_TURN}), 0)",
    ]
)


def own_tasks(rows: Iterable[ExchangeRow]) -> Iterator[OwnTask]:
    """The tasks of some rows."""
    sums = dict[str, TaskSums]()
    said = dict[str, list[ExchangeRow]]()
    for row in rows:
        task_id = row.opened.attribution.task_id
        sums[task_id] = sums.get(task_id, TaskSums()) + _sums_of(row)
        said.setdefault(task_id, []).append(row)
    for task_id, some in said.items():
        judged = some[-1]
        outcome = (
            None if judged.outcome is None else Outcome(outcome=judged.outcome, score=judged.score)
        )
        yield OwnTask(
            task_id=task_id,
            task_type=_first_said("task_type", some),
            parent_task_id=_first_said("parent_task_id", some),
            root_task_id=_first_said("root_task_id", some) or task_id,
            outcome=outcome,
            sums=sums[task_id],
        )


def select_tasks(path: Path, where: RowFilter) -> Iterator[OwnTask]:
    """The tasks of the rows that fit, summed by the database."""
    condition, values = conditions(where)
    source = f"exchanges{condition}"
    if where.limit is not None:
        source = f"(SELECT * FROM {source} ORDER BY opened_at, exchange_id LIMIT ?)"  # noqa: S608
        values = [*values, where.limit]
    text = (
        f"SELECT t.*, o.outcome, o.score FROM (SELECT {_SELECT} FROM {source}"  # noqa: S608
        " GROUP BY task_id) AS t LEFT JOIN outcomes AS o USING (task_id)"
    )
    with closing(open_reader(path)) as reader, translated(path):
        for row in reader.execute(text, values):
            yield _task_of(tuple(row))


@contextmanager
def select_outcome(path: Path) -> Iterator[Callable[[str], Outcome | None]]:
    """Asks a file how a task ended."""
    text = "SELECT outcome, score, task_type, parent_task_id FROM outcomes WHERE task_id = ?"
    with closing(open_reader(path)) as reader:

        def outcome_of(task_id: str) -> Outcome | None:
            with translated(path):
                found: sqlite3.Row | None = reader.execute(text, (task_id,)).fetchone()
            return None if found is None else Outcome(**dict(found))

        yield outcome_of


def _sums_of(row: ExchangeRow) -> TaskSums:
    opened, ending = row.opened, row.settlement
    if ending is None:
        return TaskSums(exchanges=1, held=1, first_at=opened.opened_at, last_at=opened.opened_at)
    money = tuple(f"{name}_pico" for name in MONEY)
    numbers = dict(zip((*COUNTS, *money), amounts(ending), strict=True))
    is_turn = (
        ending.state == "settled"
        and opened.endpoint in {"messages", "batch_item"}
        and not numbers["errors"]
    )
    return TaskSums(
        **numbers,
        exchanges=1,
        turns=int(is_turn),
        turns_us=ending.total_us if is_turn else 0,
        first_at=opened.opened_at,
        last_at=ending.ended_at,
    )


def _first_said(name: str, rows: Iterable[ExchangeRow]) -> str | None:
    said = [
        f"{dump_instant(row.opened.opened_at)}{text}"
        for row in rows
        if (text := getattr(row.opened.attribution, name)) is not None
    ]
    return _text_of(min(said, default=None))


def _text_of(said: str | None) -> str | None:
    return None if said is None else said.partition("Z")[2]


def _task_of(row: tuple[Any, ...]) -> OwnTask:
    """A row of ``_SELECT``, column by column."""
    task_id, first_at, last_at, kind, parent, root, exchanges, turns, held, *rest = row
    numbers = dict(zip(COUNTS, rest, strict=False))
    for place, name in enumerate(MONEY):
        start = len(COUNTS) + 3 * place
        numbers[f"{name}_pico"] = joined_sums(*rest[start : start + 3])
    turns_us, outcome, score = rest[-3:]
    return OwnTask(
        task_id=task_id,
        task_type=_text_of(kind),
        parent_task_id=_text_of(parent),
        root_task_id=_text_of(root) or task_id,
        outcome=None if outcome is None else Outcome(outcome=outcome, score=score),
        sums=TaskSums(
            **numbers,
            exchanges=exchanges,
            turns=turns,
            held=held,
            turns_us=turns_us,
            first_at=parse_instant(first_at),
            last_at=parse_instant(last_at),
        ),
    )


def _given(*instants: datetime | None) -> Iterator[datetime]:
    return (instant for instant in instants if instant is not None)
