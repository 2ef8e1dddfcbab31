"""What ``farthing savings`` asks a ledger's file.

Theory of operation. Sums per lever, task type, model and day come from the read model
``hourly_savings`` and outlive the rows that retention deletes. Tasks, what was foreseen, and how
often the provider's diagnostics agreed are read from rows.

Rules of this file: one connection, one transaction, so that the parts of a screen agree; a window
is whole hours; a task belongs to the window in which its first compared call was opened.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from farthing.core.holdout import TaskCost
from farthing.core.savings import SavingSums
from farthing.ledger.columns import UsageMore
from farthing.ledger.database import open_reader
from farthing.ledger.faults import translated
from farthing.ledger.money import joined_sums, summed
from farthing.ledger.reporting import LedgerFigures, Window
from farthing.ledger.savings import SAVED_COUNTS, SAVED_MONEY
from farthing.wire.usage import Usage

__all__ = ["Foreseen", "SavingFigures", "SavingGrouping", "Tasks", "open_saving_figures"]

SavingGrouping = Literal["lever", "task-type", "model", "day"]

_NAMES: Final[dict[SavingGrouping, str]] = {
    "lever": "lever",
    "task-type": "task_type",
    "model": "model",
    "day": "substr(hour, 1, 10)",
}
_JOINED: Final = "accountings AS a JOIN exchanges AS e USING (exchange_id)"
_IS_COUNTED: Final = "e.state = 'settled' AND e.cost_usd IS NOT NULL"
#: own cost that is not the cost of the very exchange: a ping is an exchange of its own
_IS_BESIDE: Final = "a.own_cost_usd <> e.cost_usd OR a.own_cost_pico <> e.cost_pico"
_PARTS: Final = 3
_INSTANT_CHARACTERS: Final = len("2026-11-21T02:50:00.000000Z")

_more_decoder: Final = msgspec.json.Decoder(UsageMore)

#: a row of a query, column by column
_Line = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks:
    """Tasks with what their compared calls cost; ``mixed`` are of neither group."""

    costs: tuple[TaskCost, ...]
    #: tasks of which only a part was held out
    mixed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """One call: what was foreseen of its prompt, and what was billed."""

    day: str
    model: str
    rate_card_id: str
    foreseen: Usage
    usage: Usage
    #: did a lever act
    is_edited: bool


class SavingFigures:
    """Questions to one open file, all answered as of the same instant."""

    def __init__(self, reader: sqlite3.Connection, path: Path) -> None:
        self._reader = reader
        self._path = path
        #: the bill that the savings belong to
        self.bills = LedgerFigures(reader, path)

    def sums(self, by: SavingGrouping, window: Window) -> dict[str, SavingSums]:
        """What was saved per group; by lever: of the calls on which it acted."""
        condition = "lever <> ''" if by == "lever" else "lever = ''"
        return {name: _sums(rest) for name, *rest in self._lines(_NAMES[by], condition, window)}

    def whole(self, window: Window) -> SavingSums:
        """Of all compared calls together."""
        found = self._lines("''", "lever = ''", window)
        return _sums(found[0][1:]) if found else SavingSums()

    def tasks(self, window: Window) -> Tasks:
        """What the compared calls of each root task cost, own costs of ours included."""
        rows = self._each(
            f"SELECT min(e.opened_at || e.task_type), min(a.is_held_out),"  # noqa: S608 -- constants
            f" max(a.is_held_out), {summed('e.cost')}, {summed('a.own_cost', where=_IS_BESIDE)}"
            f" FROM {_JOINED}"
            f" WHERE {_IS_COUNTED} GROUP BY e.root_task_id"
            " HAVING min(e.opened_at) >= ? AND min(e.opened_at) < ?",
            *window.hours,
        )
        costs: list[TaskCost] = []
        mixed = 0
        for task_type, least, most, *parts in rows:
            cost = joined_sums(*parts[:_PARTS]) + joined_sums(*parts[_PARTS:])
            name = (task_type or "")[_INSTANT_CHARACTERS:]
            mixed += least != most
            if least == most:
                costs.append(TaskCost(task_type=name, cost_pico=cost, is_held_out=bool(most)))
        return Tasks(costs=tuple(costs), mixed=mixed)

    def foreseen(self, window: Window) -> Iterator[Foreseen]:
        """The calls of which something was foreseen, as they were billed."""
        rows = self._each(
            "SELECT substr(e.opened_at, 1, 10), coalesce(nullif(e.model_served, ''),"  # noqa: S608
            " e.model_asked, ''), coalesce(e.rate_card_id, ''), e.usage_more,"
            " EXISTS (SELECT 1 FROM lever_savings AS l WHERE l.exchange_id = e.exchange_id),"
            " a.foreseen_uncached_tokens, a.foreseen_cache_write_5m_tokens,"
            " a.foreseen_cache_write_1h_tokens, a.foreseen_cache_read_tokens,"
            " e.uncached_tokens, e.cache_write_5m_tokens, e.cache_write_1h_tokens,"
            f" e.cache_read_tokens FROM {_JOINED} WHERE {_IS_COUNTED}"
            " AND a.foreseen_uncached_tokens IS NOT NULL AND e.uncached_tokens IS NOT NULL"
            " AND e.opened_at >= ? AND e.opened_at < ? ORDER BY e.opened_at",
            *window.hours,
        )
        for day, model, card_id, more, is_edited, *counts in rows:
            yield Foreseen(
                day=day,
                model=model,
                rate_card_id=card_id,
                foreseen=_prompt(counts[:4]),
                usage=_prompt(counts[4:], more),
                is_edited=bool(is_edited),
            )

    def miss_causes(self, window: Window) -> dict[str, int]:
        """Why less was read than the request before shares, most often first; without the place."""
        found = self._each(
            f"SELECT a.miss_cause, count(*) FROM {_JOINED} WHERE a.miss_cause IS NOT NULL"  # noqa: S608
            " AND e.opened_at >= ? AND e.opened_at < ? GROUP BY 1",
            *window.hours,
        )
        causes = Counter[str]()
        for named, count in found:
            causes[named.partition(" ")[0]] += count
        return dict(causes.most_common())

    def notes_beginning(self, prefix: str, window: Window) -> dict[str, int]:
        """Notes with calls that begin so, counted."""
        found = self._each(
            "SELECT n.value, count(*) FROM exchanges AS e, json_each(e.notes) AS n"
            " WHERE e.notes IS NOT NULL AND instr(e.notes, ?) AND substr(n.value, 1, ?) = ?"
            " AND e.opened_at >= ? AND e.opened_at < ? GROUP BY 1 ORDER BY 1",
            prefix,
            len(prefix),
            prefix,
            *window.hours,
        )
        return {note: count for note, count in found}  # noqa: C416 -- rows are of any type

    def learned(self, name: str) -> bytes | None:
        """A learned table's body, or None."""
        found = list(self._each("SELECT body FROM learned_tables WHERE name = ?", name))
        return bytes(found[0][0]) if found else None

    def _lines(self, name: str, condition: str, window: Window) -> list[_Line]:
        counts = ", ".join(f"sum({count})" for count in SAVED_COUNTS)
        money = ", ".join(summed(amount) for amount in SAVED_MONEY)
        return list(
            self._each(
                f"SELECT {name}, {counts}, {money} FROM hourly_savings"  # noqa: S608 -- constants
                f" WHERE hour >= ? AND hour < ? AND {condition} GROUP BY 1"
                " HAVING sum(exchanges) ORDER BY 1",
                *window.hours,
            )
        )

    def _each(self, text: str, *values: str | int) -> Iterator[_Line]:
        with translated(self._path):
            yield from map(tuple, self._reader.execute(text, values))


@contextmanager
def open_saving_figures(path: Path) -> Iterator[SavingFigures]:
    """The figures of one file, also while a gateway writes it."""
    with closing(open_reader(path)) as reader:
        with translated(path):
            reader.execute("BEGIN")
        yield SavingFigures(reader, path)


def _sums(numbers: _Line | list[Any]) -> SavingSums:
    """A line of counts and thirds of money, in the order of the read model."""
    counts = dict(zip(SAVED_COUNTS, numbers, strict=False))
    thirds = numbers[len(SAVED_COUNTS) :]
    money = {
        f"{name}_pico": joined_sums(*thirds[_PARTS * place : _PARTS * (place + 1)])
        for place, name in enumerate(SAVED_MONEY)
    }
    return SavingSums(**counts, **money)


def _prompt(counts: list[Any], more: str | None = None) -> Usage:
    said = UsageMore() if more is None else _more_decoder.decode(more)
    uncached, write_5m, write_1h, read = counts
    return Usage(
        uncached=uncached,
        cache_write_5m=write_5m,
        cache_write_1h=write_1h,
        cache_read=read,
        service_tier=said.service_tier,
        speed=said.speed,
        inference_geo=said.inference_geo,
        iterations=said.iterations,
    )
