"""What happens to a ledger, as values and as lines of the journal; and what it makes of a row.

``changed`` is the one place where *exactly once* is decided, for every store: a change that is no
step from where the row stands has been applied before (a journal read back, a batch's results read
twice) and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec.structs import replace

from farthing.core.batches import KnownBatch
from farthing.core.records import (
    TRANSITIONS,
    ExchangeRow,
    Opened,
    Outcome,
    Settlement,
    replaces,
)

__all__ = [
    "Change",
    "budget_keys",
    "changed",
    "charge",
    "dump_change",
    "parse_change",
    "row_of",
    "settled",
]


class Change(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One step: an intent, an ending, a task's outcome, or what is known of a batch.

    In memory an ending comes with its intent where that is at hand; the journal, which has the
    intent already, gets the ending alone.
    """

    opened: Opened | None = None
    settlement: Settlement | None = None
    task_id: str | None = None
    outcome: Outcome | None = None
    batch: KnownBatch | None = None

    @property
    def exchange_id(self) -> str | None:
        """The exchange this is about, if it is about one."""
        if self.settlement is not None:
            return self.settlement.exchange_id
        return None if self.opened is None else self.opened.exchange_id


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Change)


def dump_change(change: Change) -> bytes:
    """One line of the journal, with its end; JSON escapes newlines, so there is no other."""
    return _encoder.encode(change) + b"\n"


def parse_change(line: bytes) -> Change | None:
    """The change a line says; None if it says none (cut short by a full disk, or damaged)."""
    try:
        return _decoder.decode(line)
    except (msgspec.MsgspecError, ValueError):
        return None


def changed(row: ExchangeRow | None, change: Change) -> ExchangeRow | None:
    """The row after a change: the very same object where the change says nothing new."""
    if change.opened is not None:
        row = _opened(row, change.opened)
    if change.settlement is not None:
        row = None if row is None else settled(row, change.settlement)
    return row


def row_of(lines: Iterable[bytes]) -> ExchangeRow | None:
    """The row that some lines of the journal make of an exchange; they can be read."""
    row = None
    for line in lines:
        row = changed(row, _decoder.decode(line))
    return row


def charge(row: ExchangeRow | None) -> int:
    """What an exchange counts for in its budget: its cost, or the worst while that is not known."""
    ending = None if row is None else row.settlement
    if row is None or ending is None or ending.state in {"released", "expired"}:
        return 0
    if ending.state == "settled":
        return 0 if ending.cost is None else ending.cost.total
    if ending.high_pico is not None:
        return ending.high_pico
    return row.opened.hold_pico or 0


def budget_keys(opened: Opened) -> tuple[str, ...]:
    """Under which keys an exchange is held and spent, each once."""
    if opened.scope is None:
        return opened.budget_keys
    if not opened.budget_keys:
        return (opened.scope,)
    return tuple(dict.fromkeys((opened.scope, *opened.budget_keys)))


def _opened(row: ExchangeRow | None, opened: Opened) -> ExchangeRow:
    if row is None:
        return ExchangeRow(opened=opened)
    ending = row.settlement
    if ending is None or opened.attempt <= ending.attempts or "retry" not in TRANSITIONS[row.state]:
        return row
    return replace(row, opened=opened, settlement=None)


def settled(row: ExchangeRow, ending: Settlement) -> ExchangeRow:
    """``changed`` by an ending alone."""
    is_stale = row.settlement is None and ending.attempts < row.opened.attempt
    if is_stale or not replaces(ending, row.settlement):
        return row
    return replace(row, settlement=ending)
