"""The read model per hour × task type × model: what an ended exchange adds to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from operator import add, sub
from typing import Final, NamedTuple

from farthing.core.records import ExchangeRow, Opened, Settlement
from farthing.ledger.columns import dump_instant
from farthing.ledger.money import added, split
from farthing.wire.usage import Usage

__all__ = ["COUNTS", "MONEY", "HourlyKey", "HourlySums", "amounts", "hour_of"]

COUNTS: Final = tuple(
    """
    settled released expired unsettled unpriced errors attempts uncached_tokens
    cache_write_5m_tokens cache_write_1h_tokens cache_read_tokens output_tokens
    """.split()
)
#: ``compared`` is the cost of the exchanges that have a baseline; saving = baseline − compared
MONEY: Final = ("cost", "baseline", "compared", "low", "high")

_COLUMNS: Final = (*COUNTS, *(f"{name}_{unit}" for name in MONEY for unit in ("usd", "pico")))
_UPSERT: Final = (
    f"INSERT INTO hourly (hour, task_type, model, {', '.join(_COLUMNS)})"  # noqa: S608 -- constants
    f" VALUES ({', '.join('?' * (3 + len(_COLUMNS)))})"
    " ON CONFLICT (hour, task_type, model) DO UPDATE SET "
    + ", ".join([*(f"{n} = {n} + excluded.{n}" for n in COUNTS), *map(added, MONEY)])
)
_NOTHING: Final = Usage()
_HOUR_CHARACTERS: Final = len("2026-11-21T02")
_ERROR_STATUS: Final = 400


class HourlyKey(NamedTuple):
    """Which line of the read model."""

    hour: str
    task_type: str
    model: str


class HourlySums:
    """Changes to the read model, summed in memory, written in one go."""

    def __init__(self) -> None:
        self._sums: dict[HourlyKey, list[int]] = {}

    def add(self, row: ExchangeRow | None, *, sign: int = 1) -> None:
        """Count an exchange if it has ended; with ``sign=-1`` take back what it counted before."""
        if row is None or row.settlement is None:
            return
        opened, settlement = row.opened, row.settlement
        key = HourlyKey(
            hour_of(opened),
            opened.attribution.task_type or "",
            settlement.model_served or opened.model_asked or "",
        )
        line = self._sums.get(key)
        if line is None:
            line = self._sums[key] = [0] * (len(COUNTS) + len(MONEY))
        if sign > 0:
            line[:] = map(add, line, amounts(settlement))
        else:
            line[:] = map(sub, line, amounts(settlement))

    def write(self, connection: sqlite3.Connection) -> None:
        """Add everything to the table, within the caller's transaction."""
        connection.executemany(_UPSERT, (_values(key, line) for key, line in self.items()))

    def items(self) -> Iterable[tuple[HourlyKey, list[int]]]:
        """Each line with its sums, in the order of ``COUNTS`` and ``MONEY`` (10⁻¹² USD)."""
        return self._sums.items()


def hour_of(opened: Opened) -> str:
    """The hour an exchange counts in: that of its opening, as ``2026-11-21T02``."""
    return dump_instant(opened.opened_at)[:_HOUR_CHARACTERS]


def amounts(settlement: Settlement) -> tuple[int, ...]:
    """What one ending counts for, in the order of ``COUNTS`` and ``MONEY`` (10⁻¹² USD)."""
    state, usage = settlement.state, settlement.usage or _NOTHING
    cost = 0 if settlement.cost is None else settlement.cost.total
    is_compared = settlement.baseline_pico is not None and settlement.cost is not None
    is_error = settlement.error_type is not None or (settlement.http_status or 0) >= _ERROR_STATUS
    return (
        state == "settled",
        state == "released",
        state == "expired",
        state == "unsettled",
        _is_unpriced(settlement),
        is_error,
        settlement.attempts,
        usage.uncached,
        usage.cache_write_5m,
        usage.cache_write_1h,
        usage.cache_read,
        usage.output,
        cost,
        (settlement.baseline_pico or 0) if is_compared else 0,
        cost if is_compared else 0,
        (settlement.low_pico or 0) if state == "unsettled" else 0,
        (settlement.high_pico or 0) if state == "unsettled" else 0,
    )


def _is_unpriced(settlement: Settlement) -> bool:
    """Whether dollars are missing for want of a price: never the same as costing nothing."""
    if settlement.state == "unsettled":
        return settlement.high_pico is None
    return settlement.state == "settled" and settlement.cost is None


def _values(key: HourlyKey, line: list[int]) -> tuple[str | int | None, ...]:
    money = (part for amount in line[len(COUNTS) :] for part in split(amount))
    return (*key, *line[: len(COUNTS)], *money)
