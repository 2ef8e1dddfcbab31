"""``farthing ledger check``: does the file agree with itself? Reads only, also beside a gateway."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from farthing.ledger.careful import rejected_path
from farthing.ledger.changes import parse_change
from farthing.ledger.checking_savings import compare_savings
from farthing.ledger.database import open_reader
from farthing.ledger.faults import translated
from farthing.ledger.hourly import COUNTS, MONEY
from farthing.ledger.journal import read_lines, segments
from farthing.ledger.lock import owner
from farthing.ledger.migrating import migrations
from farthing.ledger.money import join, joined_sums, summed
from farthing.ledger.retention import ROWS_FROM

__all__ = ["Finding", "check"]

_Level = Literal["ok", "note", "fault"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at, and how it stands."""

    name: str
    level: _Level
    text: str


#: per column of the read model, what a row adds to it; written apart from ``hourly`` on purpose
_COUNTED: Final = {
    "settled": "state = 'settled'",
    "released": "state = 'released'",
    "expired": "state = 'expired'",
    "unsettled": "state = 'unsettled'",
    "unpriced": "(state = 'settled' AND cost_usd IS NULL)"
    " OR (state = 'unsettled' AND high_usd IS NULL)",
    "errors": "error_type IS NOT NULL OR coalesce(http_status, 0) >= 400",
    "attempts": "attempts",
    **{name: f"coalesce({name}, 0)" for name in COUNTS if name.endswith("_tokens")},
}
_ADDED: Final = {
    "cost": ("cost", "TRUE"),
    "baseline": ("baseline", "cost_usd IS NOT NULL"),
    "compared": ("cost", "baseline_usd IS NOT NULL"),
    "low": ("low", "state = 'unsettled'"),
    "high": ("high", "state = 'unsettled'"),
}
_PARTS: Final = 3

_Lines = dict[tuple[str, str, str], tuple[int, ...]]


def check(path: Path) -> list[Finding]:
    """Everything that can be checked, in order; ``LedgerError`` if the file cannot be read."""
    with closing(open_reader(path)) as reader, translated(path):
        process = owner(path.with_name(f"{path.name}.lock"))
        reader.execute("BEGIN")  # one instant for all that is compared
        integrity = _integrity(reader)
        if integrity.level == "fault":
            return [integrity]  # what a damaged file says of itself is worth nothing
        return [
            integrity,
            _schema(reader),
            _read_model(reader),
            _savings(reader),
            _budgets(reader),
            _holds(reader, process),
            _journal(path, process),
        ]


def _integrity(reader: sqlite3.Connection) -> Finding:
    try:
        (first,) = reader.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        first = str(error)
    if first == "ok":
        return Finding(name="file", level="ok", text="every page and index is sound")
    text = f"{' '.join(first.split())}; keep a copy and restore a backup"
    return Finding(name="file", level="fault", text=text)


def _schema(reader: sqlite3.Connection) -> Finding:
    shipped = {step.number: step.sha256 for step in migrations()}
    found = dict(tuple(row) for row in reader.execute("SELECT number, sha256 FROM migrations"))
    edited = [number for number, digest in found.items() if shipped.get(number) != digest]
    if edited:
        text = f"migrations {edited} are not those of this farthing; install a released version"
        return Finding(name="schema", level="fault", text=text)
    if len(found) < len(shipped):
        text = f"version {max(found)} of {max(shipped)}: brought up at the next start of a gateway"
        return Finding(name="schema", level="note", text=text)
    return Finding(name="schema", level="ok", text=f"version {max(found)}")


def _read_model(reader: sqlite3.Connection) -> Finding:
    since = _rows_from(reader) or ""
    rows, model = _lines_of_rows(reader, since), _lines_of_model(reader, since)
    wrong = sorted(key for key in rows.keys() | model.keys() if rows.get(key) != model.get(key))
    if wrong:
        text = f"{len(wrong)} of {len(rows)} sums differ from their rows, first {wrong[0]!r}"
        return Finding(name="sums", level="fault", text=f"{text}; please report it")
    from_when = f", rows from {since} on" if since else ""
    return Finding(name="sums", level="ok", text=f"{len(rows)} equal their rows{from_when}")


def _savings(reader: sqlite3.Connection) -> Finding:
    is_equal, text = compare_savings(reader, _rows_from(reader) or "")
    if is_equal is None:
        return Finding(name="savings", level="note", text=text)
    if is_equal:
        return Finding(name="savings", level="ok", text=text)
    return Finding(name="savings", level="fault", text=f"{text}; please report it")


def _lines_of_rows(reader: sqlite3.Connection, since: str) -> _Lines:
    counts = ", ".join(f"sum({_COUNTED[name]})" for name in COUNTS)
    money = ", ".join(
        summed(column, where=condition) for column, condition in (_ADDED[name] for name in MONEY)
    )
    found = reader.execute(
        "SELECT substr(opened_at, 1, 13), coalesce(task_type, ''),"  # noqa: S608 -- constants
        " coalesce(nullif(model_served, ''), model_asked, ''),"
        f" {counts}, {money} FROM exchanges WHERE state <> 'held' AND opened_at >= ?"
        " GROUP BY 1, 2, 3",
        (since,),
    )
    return dict(_joined(tuple(row)) for row in found)


def _joined(row: tuple[int, ...]) -> tuple[tuple[str, str, str], tuple[int, ...]]:
    hour, task_type, model, *numbers = row
    counts, parts = numbers[: len(COUNTS)], numbers[len(COUNTS) :]
    thirds = (parts[start : start + _PARTS] for start in range(0, len(parts), _PARTS))
    return (str(hour), str(task_type), str(model)), (*counts, *(joined_sums(*t) for t in thirds))


def _lines_of_model(reader: sqlite3.Connection, since: str) -> _Lines:
    lines: _Lines = {}
    for row in reader.execute("SELECT * FROM hourly WHERE hour >= ?", (since,)):
        money = (join(row[f"{name}_usd"], row[f"{name}_pico"]) or 0 for name in MONEY)
        line = (*(row[name] for name in COUNTS), *money)
        if any(line):  # a line whose exchanges were all tried again counts nothing
            lines[row["hour"], row["task_type"], row["model"]] = line
    return lines


def _budgets(reader: sqlite3.Connection) -> Finding:
    if _rows_from(reader):
        text = "not comparable: old rows were deleted, what they spent still counts"
        return Finding(name="budgets", level="note", text=text)
    settled = summed("cost", where="state = 'settled'")
    high = summed("high", where="state = 'unsettled'")
    hold = summed("hold", where="state = 'unsettled' AND high_usd IS NULL")
    # UNION, not UNION ALL: a key that stands in both places is one budget.
    rows = reader.execute(
        f"SELECT key, {settled}, {high}, {hold} FROM exchanges JOIN ("  # noqa: S608 -- constants
        "SELECT exchange_id, scope AS key FROM exchanges WHERE scope IS NOT NULL"
        " UNION SELECT exchange_id, value FROM exchanges, json_each(budget_keys)"
        ") USING (exchange_id) GROUP BY key"
    )
    spent = {row[0]: _sum_of_thirds(tuple(row)[1:]) for row in rows}
    booked = {row["scope"]: join(row[1], row[2]) for row in reader.execute("SELECT * FROM budgets")}
    wrong = sorted(s for s in spent.keys() | booked.keys() if spent.get(s) != booked.get(s, 0))
    if wrong:
        text = f"{len(wrong)} of {len(spent)} differ from their rows; please report it"
        return Finding(name="budgets", level="fault", text=text)
    return Finding(name="budgets", level="ok", text=f"{len(booked)} equal their rows")


def _sum_of_thirds(parts: tuple[int, ...]) -> int:
    starts = range(0, len(parts), _PARTS)
    return sum(joined_sums(*parts[start : start + _PARTS]) for start in starts)


def _holds(reader: sqlite3.Connection, process: int | None) -> Finding:
    (count,) = reader.execute("SELECT count(*) FROM exchanges WHERE state = 'held'").fetchone()
    if count and process is None:
        text = f"{count} left open by a process that died: closed at the next start of a gateway"
        return Finding(name="open", level="note", text=text)
    return Finding(name="open", level="ok", text=f"{count} exchanges in flight")


def _journal(path: Path, process: int | None) -> Finding:
    aside = rejected_path(path)
    if aside.is_file():
        text = f"changes that could not be applied are in {aside.name}; please report it"
        return Finding(name="journal", level="fault", text=text)
    changes = list(_parsed(path))
    unread = changes.count(False)
    text = f"{len(changes)} changes"
    if unread:
        text += f", {unread} lines cannot be read: cut short by a full disk, or damaged"
        return Finding(name="journal", level="note" if unread == 1 else "fault", text=text)
    if changes and process is None:
        text += " of a process that died: read back at the next start of a gateway"
        return Finding(name="journal", level="note", text=text)
    return Finding(name="journal", level="ok", text=text)


def _parsed(path: Path) -> Iterator[bool]:
    """Per line of the journals: can it be read back?"""
    for segment in segments(path):
        try:
            yield from (parse_change(line) is not None for line in read_lines(segment))
        except FileNotFoundError:  # committed and deleted while we were looking
            continue


def _rows_from(reader: sqlite3.Connection) -> str | None:
    found = reader.execute("SELECT text FROM facts WHERE name = ?", (ROWS_FROM,)).fetchone()
    return None if found is None else str(found[0])[: len("2026-11-21T02")]
