"""How budgets stand, from the ledger's file: read beside the process that writes it.

What is here is what was committed: a tenth of a second behind the books of a gateway, which decide.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from farthing.core.budgets import Budget, forecast, key_pieces
from farthing.ledger.budgets_batches import held_by_batches
from farthing.ledger.database import open_reader
from farthing.ledger.faults import translated
from farthing.ledger.money import join, joined_sums, summed

__all__ = ["BudgetStanding", "standings"]

_MOST: Final = 20
#: the end of a key with a window; a key without one must not have it
_WINDOWED: Final = re.compile(r"@(?:total|task:.*|(?:hour|day|week|month):[\d-]{10}T\d\d:\d\dZ)")
_SPENT: Final = (
    "SELECT scope, spent_usd, spent_pico FROM budgets WHERE scope LIKE ? ESCAPE '\\'"
    " ORDER BY spent_usd DESC, spent_pico DESC"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStanding:
    """One key of a budget in the window that is open now."""

    key: str
    limit_pico: int
    spent_pico: int
    held_pico: int
    resets_at: datetime | None
    #: when it is spent at the rate of this window so far; None: not in this window, or no rate yet
    spent_at: datetime | None


def standings(
    ledger: Path, budget: Budget, now: datetime, *, most: int = _MOST
) -> list[BudgetStanding]:
    """The keys of a budget that have spent or hold something, the dearest first."""
    if budget.scope == "call" or not ledger.is_file():
        return []
    pieces = key_pieces(budget, now)
    with closing(open_reader(ledger)) as reader, translated(ledger):
        held = _held(reader, pieces)
        for key, amount in held_by_batches(reader, now).items():
            if _fits(key, pieces):
                held[key] = held.get(key, 0) + amount
        spent = _spent(reader, pieces)
    found = [
        _standing(budget, key, spent.get(key, 0), held.get(key, 0), now)
        for key in spent.keys() | held.keys()
    ]
    return sorted(found, key=lambda each: (-each.spent_pico - each.held_pico, each.key))[:most]


def _spent(reader: sqlite3.Connection, pieces: Sequence[str]) -> dict[str, int]:
    rows = reader.execute(_SPENT, (_like(pieces),))
    return {key: join(usd, pico) or 0 for key, usd, pico in rows if _fits(key, pieces)}


def _held(reader: sqlite3.Connection, pieces: Sequence[str]) -> dict[str, int]:
    rows = reader.execute(
        f"SELECT key, {summed('hold')} FROM exchanges JOIN ("  # noqa: S608 -- constants
        "SELECT exchange_id, scope AS key FROM exchanges WHERE state = 'held'"
        " UNION SELECT exchange_id, value FROM exchanges, json_each(budget_keys)"
        " WHERE state = 'held') USING (exchange_id) WHERE key LIKE ? ESCAPE '\\' GROUP BY key",
        (_like(pieces),),
    )
    return {key: joined_sums(*sums) for key, *sums in rows if _fits(key, pieces)}


def _like(pieces: Sequence[str]) -> str:
    return "%".join(re.sub(r"([\\%_])", r"\\\1", piece) for piece in pieces)


def _fits(key: str, pieces: Sequence[str]) -> bool:
    """LIKE knows no case, and an open end takes in keys that have a window behind it."""
    if re.fullmatch(".*".join(map(re.escape, pieces)), key, re.DOTALL) is None:
        return False
    return bool("@" in "".join(pieces)) or _WINDOWED.search(key) is None


def _standing(
    budget: Budget, key: str, spent_pico: int, held_pico: int, now: datetime
) -> BudgetStanding:
    span, limit = budget.span_at(now), budget.limit_at(now)
    spent_at = None
    if span is not None:
        found = forecast(spent_pico=spent_pico, limit_pico=limit, since=span.start, now=now)
        spent_at = found if found is not None and found < span.end else None
    return BudgetStanding(
        key=key,
        limit_pico=limit,
        spent_pico=spent_pico,
        held_pico=held_pico,
        resets_at=None if span is None else span.end,
        spent_at=spent_at,
    )
