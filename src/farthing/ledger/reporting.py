"""What reports ask a ledger's file: sums per group, latencies, whose a task was.

Theory of operation. Sums per task type, model, day or hour come from the read model ``hourly``: as
many lines as there are hours and models, whatever the traffic, and they outlive the rows that
retention deletes. Sums per session, key or task are grouped in SQL over the rows, and so is what
the read model does not have: latencies, and who a task belongs to.

Rules of this file: it reads through one connection in one transaction, so that the parts of a
report agree; a window is whole hours (``since`` counts in, ``until`` does not); only turns, answers
of a model to a call of its own, have a latency.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from farthing.core.subscription import SUBSCRIPTION_NOTE
from farthing.ledger.columns import dump_instant
from farthing.ledger.database import open_reader
from farthing.ledger.faults import translated
from farthing.ledger.hourly import COUNTS, MONEY
from farthing.ledger.money import joined_sums, summed
from farthing.ledger.reading import parse_instant
from farthing.ledger.retention import ROWS_FROM
from farthing.ledger.task_sums import TaskSums

__all__ = ["HOURLY", "Grouping", "Latencies", "LedgerFigures", "TaskTags", "Window", "open_figures"]

#: a row of a query, column by column
_Line = tuple[Any, ...]

Grouping = Literal["task-type", "model", "day", "hour", "session", "key", "task"]

#: groupings that the read model answers, and how it names them
HOURLY: Final[dict[Grouping, str]] = {
    "task-type": "task_type",
    "model": "model",
    "day": "substr(hour, 1, 10)",
    "hour": "hour",
}
_ROWS: Final[dict[Grouping, str]] = {
    "task-type": "coalesce(task_type, '')",
    "model": "coalesce(nullif(model_served, ''), model_asked, '')",
    "day": "substr(opened_at, 1, 10)",
    "hour": "substr(opened_at, 1, 13)",
    "session": "coalesce(session_id, '')",
    "key": "key_scope",
    "task": "task_id",
}
_COUNTED: Final = {
    "settled": "state = 'settled'",
    "released": "state = 'released'",
    "expired": "state = 'expired'",
    "unsettled": "state = 'unsettled'",
    "unpriced": "(state = 'settled' AND cost_usd IS NULL)"
    " OR (state = 'unsettled' AND high_usd IS NULL)",
    "errors": "error_type IS NOT NULL OR coalesce(http_status, 0) >= 400",
}
_SUMMED: Final = {
    "cost": ("cost", "TRUE"),
    "baseline": ("baseline", "cost_usd IS NOT NULL"),
    "compared": ("cost", "baseline_usd IS NOT NULL"),
    "low": ("low", "state = 'unsettled'"),
    "high": ("high", "state = 'unsettled'"),
}
_IS_TURN: Final = (
    "state = 'settled' AND endpoint = 'messages' AND error_type IS NULL"
    " AND coalesce(http_status, 0) < 400"
)
_IS_NOTIONAL: Final = f"""instr(notes, '"{SUBSCRIPTION_NOTE}"')"""
_THIRDS: Final = 3
_FIRST_HOUR: Final = "0000"
_NO_HOUR: Final = "9999-12-31T24"
_HOUR_CHARACTERS: Final = len("2026-11-21T02")


class Window(NamedTuple):
    """From when until when, as hours of the read model."""

    since: datetime | None = None
    until: datetime | None = None

    @property
    def hours(self) -> tuple[str, str]:
        """Two texts that the hour of an exchange, or its instant, lies between."""
        since = _FIRST_HOUR if self.since is None else dump_instant(self.since)[:_HOUR_CHARACTERS]
        until = _NO_HOUR if self.until is None else dump_instant(self.until)[:_HOUR_CHARACTERS]
        return since, until


@dataclass(frozen=True, slots=True)
class Latencies:
    """Microseconds, one number per turn that has it."""

    overhead_us: array[int]
    ttft_us: array[int]
    total_us: array[int]


@dataclass(frozen=True, slots=True)
class TaskTags:
    """Whose a task's own exchanges were, and the model that answered most of them."""

    key_scope: str
    session_id: str
    model: str


class LedgerFigures:
    """Questions to one open file, all answered as of the same instant."""

    def __init__(self, reader: sqlite3.Connection, path: Path) -> None:
        self._reader = reader
        self._path = path

    def rows_from(self) -> str | None:
        """The first hour whose rows are all there; None: nothing was deleted."""
        found = self._all("SELECT text FROM facts WHERE name = ?", ROWS_FROM)
        return found[0][0] if found else None

    def span(self, window: Window) -> tuple[datetime, datetime] | None:
        """When the first and the last exchange of the read model's hours were opened, by hour."""
        text = "SELECT min(hour), max(hour) FROM hourly WHERE hour >= ? AND hour < ?"
        [(first, last)] = self._all(text, *window.hours)
        return None if first is None else (_hour(first), _hour(last))

    def sums(self, by: Grouping, window: Window) -> dict[str, TaskSums]:
        """Tokens, money and endings per group, of what has ended."""
        names = HOURLY.get(by)
        found = self._hourly(names, window) if names else self._grouped(_ROWS[by], window)
        return {name: _sums(rest) for name, *rest in found}

    def latencies(self, by: Grouping, window: Window) -> dict[str, Latencies]:
        """How long turns took, per group."""
        found: dict[str, Latencies] = {}
        rows = self._each(
            f"SELECT {_ROWS[by]}, overhead_us, ttft_us, total_us FROM exchanges"  # noqa: S608
            f" WHERE {_IS_TURN} AND opened_at >= ? AND opened_at < ?",
            *window.hours,
        )
        for name, overhead, ttft, total in rows:
            some = found.get(name)
            if some is None:
                some = found[name] = Latencies(array("q"), array("q"), array("q"))
            some.overhead_us.append(overhead)
            some.total_us.append(total)
            if ttft is not None:
                some.ttft_us.append(ttft)
        return found

    def in_flight(self) -> int:
        """Exchanges that have not ended yet."""
        [(count,)] = self._all("SELECT count(*) FROM exchanges WHERE state = 'held'")
        return int(count)

    def notional_pico(self, window: Window) -> int:
        """The cost of calls that a subscription pays for: list prices that nobody is charged."""
        [thirds] = self._all(
            f"SELECT {summed('cost')} FROM exchanges"  # noqa: S608 -- constants
            f" WHERE {_IS_NOTIONAL} AND opened_at >= ? AND opened_at < ?",
            *window.hours,
        )
        return joined_sums(*thirds)

    def notional_by_task(self) -> dict[str, int]:
        """The same of each task's own calls, where it has such."""
        rows = self._each(
            f"SELECT task_id, {summed('cost')} FROM exchanges"  # noqa: S608 -- constants
            f" WHERE {_IS_NOTIONAL} GROUP BY task_id"
        )
        return {task_id: joined_sums(*thirds) for task_id, *thirds in rows}

    def task_tags(self) -> dict[str, TaskTags]:
        """Per task that made a call: its key and session as said first, its main model."""
        models: dict[str, tuple[int, str]] = {}
        per_model = (
            f"SELECT task_id, {_ROWS['model']}, count(*) FROM exchanges"  # noqa: S608 -- constants
            f" WHERE {_IS_TURN} GROUP BY 1, 2"
        )
        for task_id, model, count in self._each(per_model):
            models[task_id] = max((count, model), models.get(task_id, (0, "")))
        first = (
            "SELECT task_id, min(opened_at || key_scope), min(opened_at || session_id)"
            " FROM exchanges GROUP BY task_id"
        )
        return {
            task_id: TaskTags(_said(key), _said(session), models.get(task_id, (0, ""))[1])
            for task_id, key, session in self._each(first)
        }

    def _hourly(self, name: str, window: Window) -> list[_Line]:
        counts = ", ".join(f"sum({count})" for count in COUNTS)
        money = ", ".join(summed(amount) for amount in MONEY)
        return self._all(
            f"SELECT {name}, {counts}, {money} FROM hourly"  # noqa: S608 -- constants
            " WHERE hour >= ? AND hour < ? GROUP BY 1 ORDER BY 1",
            *window.hours,
        )

    def _grouped(self, name: str, window: Window) -> list[_Line]:
        counts = ", ".join(f"coalesce(sum({_COUNTED.get(count, count)}), 0)" for count in COUNTS)
        money = ", ".join(
            summed(column, where=where) for column, where in (_SUMMED[amount] for amount in MONEY)
        )
        return self._all(
            f"SELECT {name}, {counts}, {money} FROM exchanges"  # noqa: S608 -- constants
            " WHERE state <> 'held' AND opened_at >= ? AND opened_at < ? GROUP BY 1 ORDER BY 1",
            *window.hours,
        )

    def _all(self, text: str, *values: str) -> list[_Line]:
        return list(self._each(text, *values))

    def _each(self, text: str, *values: str) -> Iterator[_Line]:
        with translated(self._path):
            yield from map(tuple, self._reader.execute(text, values))


@contextmanager
def open_figures(path: Path) -> Iterator[LedgerFigures]:
    """The figures of one file, also while a gateway writes it."""
    with closing(open_reader(path)) as reader:
        with translated(path):
            reader.execute("BEGIN")
        yield LedgerFigures(reader, path)


def _sums(numbers: list[int]) -> TaskSums:
    """A line of counts and thirds of money, in the order of ``COUNTS`` and ``MONEY``."""
    counts: dict[str, Any] = dict(zip(COUNTS, numbers, strict=False))
    thirds = numbers[len(COUNTS) :]
    money: dict[str, Any] = {
        f"{name}_pico": joined_sums(*thirds[_THIRDS * place : _THIRDS * (place + 1)])
        for place, name in enumerate(MONEY)
    }
    ended = sum(counts[state] for state in ("settled", "released", "expired", "unsettled"))
    return TaskSums(**counts, **money, exchanges=ended)


def _said(text: str | None) -> str:
    return "" if text is None else text.partition("Z")[2]


def _hour(text: str) -> datetime:
    return parse_instant(f"{text}:00:00Z")
