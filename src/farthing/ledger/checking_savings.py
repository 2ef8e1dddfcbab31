"""``farthing ledger check`` for what was saved: rows against themselves, and against their sums.

Written apart from ``savings``, which writes them, on purpose.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from farthing.ledger.money import join, joined_sums, summed
from farthing.ledger.savings import SAVED_COUNTS, SAVED_MONEY

__all__ = ["compare_savings"]

_IS_COUNTED: Final = "e.state = 'settled' AND e.cost_usd IS NOT NULL"
_JOINED: Final = "accountings AS a JOIN exchanges AS e USING (exchange_id)"
_PARTS: Final = 3

#: exchanges whose levers do not add up to baseline minus cost; dollars and remainders are summed
#: apart, so that nothing leaves 64 bits
_NOT_ADDING_UP: Final = f"""\
SELECT count(*), min(exchange_id) FROM (SELECT exchange_id,
a.baseline_usd - e.cost_usd - coalesce(sum(l.saved_usd), 0) AS usd,
a.baseline_pico - e.cost_pico - coalesce(sum(l.saved_pico), 0) AS pico
FROM {_JOINED} LEFT JOIN lever_savings AS l USING (exchange_id)
WHERE {_IS_COUNTED} GROUP BY exchange_id)
WHERE usd + pico / 1000000000000 <> 0 OR pico % 1000000000000 <> 0"""  # noqa: S608

_KEY: Final = (
    "substr(e.opened_at, 1, 13), coalesce(e.task_type, ''),"
    " coalesce(nullif(e.model_served, ''), e.model_asked, '')"
)

_Key = tuple[str, str, str, str]
_Lines = dict[_Key, tuple[int, ...]]


def compare_savings(reader: sqlite3.Connection, since: str) -> tuple[bool | None, str]:
    """Do savings agree with their rows from an hour on, and in words; None: nothing to compare."""
    if not _has_tables(reader):
        return None, "not kept yet: they are from the next start of a gateway on"
    (wrong, first) = reader.execute(_NOT_ADDING_UP).fetchone()
    if wrong:
        return False, f"{wrong} exchanges whose levers are not baseline - cost, first {first!r}"
    rows = _lines_of_rows(reader, since)
    model = _lines_of_model(reader, since)
    differing = sorted(k for k in rows.keys() | model.keys() if rows.get(k) != model.get(k))
    if differing:
        return False, f"{len(differing)} of {len(rows)} sums differ, first {differing[0]!r}"
    return True, f"{len(rows)} equal their rows; levers add up to baseline - cost on each"


def _has_tables(reader: sqlite3.Connection) -> bool:
    text = "SELECT count(*) FROM sqlite_schema WHERE name = 'hourly_savings'"
    return bool(reader.execute(text).fetchone()[0])


def _lines_of_rows(reader: sqlite3.Connection, since: str) -> _Lines:
    whole = (
        f"SELECT {_KEY}, '', count(*), sum(a.is_held_out), 0,"  # noqa: S608 -- constants
        f" {summed('a.baseline')}, {summed('e.cost')}, 0, 0, 0, {summed('a.own_cost')}, 0, 0, 0"
        f" FROM {_JOINED} WHERE {_IS_COUNTED} AND e.opened_at >= ? GROUP BY 1, 2, 3"
    )
    levers = (
        f"SELECT {_KEY}, l.lever, count(*), sum(a.is_held_out),"  # noqa: S608 -- constants
        f" count(l.predicted_usd), {summed('a.baseline')}, {summed('e.cost')},"
        f" {summed('l.saved')}, 0, 0, 0, {summed('l.predicted')}"
        f" FROM {_JOINED} JOIN lever_savings AS l USING (exchange_id)"
        f" WHERE {_IS_COUNTED} AND e.opened_at >= ? GROUP BY 1, 2, 3, 4"
    )
    found: _Lines = {}
    for text in (whole, levers):
        for row in reader.execute(text, (since,)):
            key, line = _joined(tuple(row))
            if not key[-1]:  # what the whole saved is not stored with its row
                baseline, cost = line[len(SAVED_COUNTS) : len(SAVED_COUNTS) + 2]
                place = len(SAVED_COUNTS) + SAVED_MONEY.index("saved")
                line = (*line[:place], baseline - cost, *line[place + 1 :])
            found[key] = line
    return found


def _joined(row: tuple[Any, ...]) -> tuple[_Key, tuple[int, ...]]:
    hour, task_type, model, lever, *numbers = row
    counts, parts = numbers[: len(SAVED_COUNTS)], numbers[len(SAVED_COUNTS) :]
    starts = range(0, len(parts), _PARTS)
    money = (joined_sums(*parts[start : start + _PARTS]) for start in starts)
    return (hour, task_type, model, lever), (*counts, *money)


def _lines_of_model(reader: sqlite3.Connection, since: str) -> _Lines:
    lines: _Lines = {}
    for row in reader.execute("SELECT * FROM hourly_savings WHERE hour >= ?", (since,)):
        money = (join(row[f"{name}_usd"], row[f"{name}_pico"]) or 0 for name in SAVED_MONEY)
        line = (*(row[name] for name in SAVED_COUNTS), *money)
        if any(line):  # a line whose exchanges were all tried again counts nothing
            lines[row["hour"], row["task_type"], row["model"], row["lever"]] = line
    return lines
