"""The batches that were created through here: whose they are, and whether their results are booked.

A batch's results are read hours after its creation, by whoever has the key, and say nothing about
whose work they were. So what was known when the batch was created is kept: its items' rows carry
the task of the creation, whoever reads them.

What its rows hold in budgets is known here too (``core.batch_holds``): a row counts under the keys
that held it when the batch was created, whenever its result is booked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

import msgspec

from farthing.core.batch_holds import BatchHold, BatchRows
from farthing.core.records import Attribution, ExchangeRow

__all__ = [
    "RESULTS_KEPT",
    "BatchBook",
    "BatchEnding",
    "KnownBatch",
    "begun_batch",
    "created_id",
    "ended_batch",
]

#: from a batch's creation on; then its results are gone (API facts, section 3)
RESULTS_KEPT: Final = timedelta(days=29)

#: ``booked``: every item has its row; ``lost``: its results can no longer be read
BatchEnding = Literal["booked", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownBatch:
    """One batch, from its creation on."""

    batch_id: str
    created_at: datetime
    attribution: Attribution
    #: the exchange that created it
    exchange_id: str
    #: the budget that its items are spent from; None: no budget applies
    scope: str | None = None
    ending: BatchEnding | None = None
    ended_at: datetime | None = None


class _Created(msgspec.Struct, frozen=True):
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    type: Literal["message_batch"]


_created_decoder: Final = msgspec.json.Decoder(_Created)


def created_id(body: bytes) -> str | None:
    """The id in the answer to a creation; None where it is none."""
    try:
        return _created_decoder.decode(body).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def begun_batch(
    body: bytes, creation: ExchangeRow | None, *, has_budget: bool
) -> KnownBatch | None:
    """The batch that an answer says was created, whose is the creation's; None where it is none.

    ``has_budget``: the creation's task has one of its own.
    """
    batch_id = created_id(body)
    if batch_id is None or creation is None:
        return None
    opened = creation.opened
    return KnownBatch(
        batch_id=batch_id,
        created_at=opened.opened_at,
        attribution=opened.attribution,
        exchange_id=opened.exchange_id,
        scope=f"task:{opened.attribution.task_id}" if has_budget else None,
    )


class _Counts(msgspec.Struct, frozen=True):
    succeeded: int


class _Described(msgspec.Struct, frozen=True):
    id: str
    type: Literal["message_batch"]
    processing_status: str
    request_counts: _Counts


_described_decoder: Final = msgspec.json.Decoder(_Described)


def ended_batch(body: bytes) -> tuple[str, int] | None:
    """The batch that an answer describes, if it has ended, and how many of its rows succeeded."""
    try:
        found = _described_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if found.processing_status != "ended":
        return None
    return found.id, max(0, found.request_counts.succeeded)


class BatchBook:
    """The batches a process knows; kept in memory beside the ledger's record of them."""

    def __init__(self) -> None:
        self._known: dict[str, KnownBatch] = {}
        self._holds: dict[str, BatchHold] = {}
        #: batches whose results have passed to their end, every line booked
        self._read = set[str]()

    def remember(self, batches: Iterable[KnownBatch], *, now: datetime) -> None:
        """Know these; who is too old to be read again is forgotten."""
        self._known |= {batch.batch_id: batch for batch in batches}
        oldest = now - 2 * RESULTS_KEPT
        self._known = {name: b for name, b in self._known.items() if b.created_at > oldest}

    def find(self, batch_id: str) -> KnownBatch | None:
        """One batch, if it was created through here."""
        return self._known.get(batch_id)

    def hold(self, rows: BatchRows) -> None:
        """The rows of a batch hold in budgets."""
        self._holds[rows.batch_id] = BatchHold(rows)

    def keys_held(self, batch_id: str, custom_id: str) -> tuple[str, ...]:
        """The keys that a row was held in; empty where none was."""
        hold = self._holds.get(batch_id)
        return () if hold is None else hold.keys_of(custom_id)

    def has_ended(self, batch_id: str) -> None:
        """Nothing of a batch will be booked any more."""
        self._holds.pop(batch_id, None)

    @property
    def waiting(self) -> list[KnownBatch]:
        """Those that are neither booked nor lost, oldest first."""
        found = (batch for batch in self._known.values() if batch.ending is None)
        return sorted(found, key=lambda batch: batch.created_at)

    def read_whole(self, batch_id: str) -> None:
        """All lines of its results have passed, and each is booked."""
        if batch_id in self._known:
            self._read.add(batch_id)

    def take_whole(self, batch_id: str) -> KnownBatch | None:
        """The batch if it was read whole since it was last asked for."""
        if batch_id not in self._read:
            return None
        self._read.discard(batch_id)
        return self._known.get(batch_id)
