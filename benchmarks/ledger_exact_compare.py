"""The emulator's books beside the ledger's rows: what differs, is missing, or is there twice.

Theory of operation. Both sides are read from disk without farthing: the emulator's lines are JSON,
the ledger is SQLite. Every client's call has a label, which is the row's task and a header of the
request that the emulator saw; behind it, a row names the emulator's request by its id. Rows of a
killed gateway know no request id: they are given the requests of their label that nobody else has.

A row of several attempts stands for that many requests; only its last may have cost something.
Batch items are compared per batch, the amounts in order, since the emulator's books name no item.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from benchmarks.ledger_exact_prices import cost_pico

__all__ = ["Books", "Comparison", "Row", "Tally", "compare", "read_books", "read_rows"]

_PICO_PER_USD = 10**12
_EXAMPLES = 8


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the ledger, as far as it is compared."""

    exchange_id: str
    label: str
    endpoint: str
    state: str
    attempts: int
    request_id: str | None
    message_id: str | None
    cost: int | None
    low: int | None
    high: int | None


@dataclass(slots=True)
class Books:
    """What the emulator wrote down, by label."""

    #: label → ids of the requests for a message, in order of arrival
    requests: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    #: request id → what it costs; a request that is not here was free
    costs: dict[str, int] = field(default_factory=dict)
    #: label of a batch → what its items cost
    items: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))


@dataclass(slots=True)
class Tally:
    """The figures of one kind of exchange."""

    rows: int = 0
    settled: int = 0
    unsettled: int = 0
    released: int = 0
    #: settled rows with a cost or none, and what they should be
    booked_pico: int = 0
    billed_pico: int = 0
    #: unsettled rows: the lower end, what was billed, the upper end
    low_pico: int = 0
    open_pico: int = 0
    high_pico: int = 0


@dataclass(slots=True)
class Comparison:
    """All that is wrong, and the totals."""

    residual_pico: int = 0
    lost: int = 0
    doubled: int = 0
    outside: int = 0
    open_rows: int = 0
    #: a client had the whole answer, and the row says less than that
    seen_unsettled: int = 0
    #: the cost in the answer's headers is not the bill
    misquoted: int = 0
    served: int = 0
    kinds: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def example(self, what: str, text: str) -> None:
        """Keep the first few of each kind of finding."""
        if len(self.examples[what]) < _EXAMPLES:
            self.examples[what].append(text)


def read_books(path: Path) -> Books:
    """The emulator's lines."""
    books = Books()
    for text in path.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        label = line["label"] or ""
        if line["kind"] == "received":
            if line["method"] == "POST" and line["path"] == "/v1/messages":
                books.requests[label].append(line["request_id"])
        elif line["batch"]:
            books.items[label].append(cost_pico(line))
        else:
            books.costs[line["request_id"]] = cost_pico(line)
    return books


def read_rows(path: Path) -> list[Row]:
    """The ledger's rows of messages and batch items, in the order they were opened."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        database.row_factory = sqlite3.Row
        found = database.execute("SELECT * FROM exchanges ORDER BY opened_at, exchange_id")
        return [_row(each) for each in found if each["endpoint"] in ("messages", "batch_item")]


def _row(row: sqlite3.Row) -> Row:
    return Row(
        exchange_id=row["exchange_id"],
        label=row["task_id"],
        endpoint=row["endpoint"],
        state=row["state"],
        attempts=row["attempts"] or row["attempt"],
        request_id=row["provider_request_id"],
        message_id=row["message_id"],
        cost=_joined(row["cost_usd"], row["cost_pico"]),
        low=_joined(row["low_usd"], row["low_pico"]),
        high=_joined(row["high_usd"], row["high_pico"]),
    )


def _joined(usd: int | None, pico: int | None) -> int | None:
    return None if usd is None or pico is None else usd * _PICO_PER_USD + pico


def compare(
    books: Books,
    rows: Sequence[Row],
    batches: Mapping[str, str],
    whole: Mapping[str, str | None],
) -> Comparison:
    """Hold one against the other.

    ``batches`` are those whose results clients have read (id → label), ``whole`` the requests whose
    answers came to their end (id → cost as the headers say it).
    """
    result = Comparison()
    messages: dict[str, list[Row]] = defaultdict(list)
    items: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        (items if row.endpoint == "batch_item" else messages)[row.label].append(row)
    for label in sorted({*books.requests, *messages}):
        _compare_label(result, label, books.requests.get(label, []), messages[label], books.costs)
    for label in sorted({*books.items, *items, *batches.values()}):
        _compare_batch(result, label, books.items.get(label, []), items[label])
    _find_doubles(result, rows)
    _compare_seen(result, rows, whole, books.costs)
    return result


def _compare_seen(
    result: Comparison,
    rows: Iterable[Row],
    whole: Mapping[str, str | None],
    costs: Mapping[str, int],
) -> None:
    settled = {row.request_id for row in rows if row.state == "settled"}
    for request_id, quoted in whole.items():
        truth = costs.get(request_id, 0)
        if request_id not in settled:
            result.seen_unsettled += 1
            result.example("seen", f"{request_id} was answered in full and is not settled")
        if quoted is not None and Decimal(quoted) != Decimal(truth) / _PICO_PER_USD:
            result.misquoted += 1
            result.example("misquoted", f"{request_id}: {quoted} USD for {truth} x 10^-12")


def _compare_label(
    result: Comparison, label: str, requests: list[str], rows: list[Row], costs: Mapping[str, int]
) -> None:
    result.served += len(requests)
    named = {row.request_id for row in rows if row.request_id is not None}
    left = [one for one in requests if one not in named]
    spare = 0
    for row in rows:
        if row.request_id is not None and row.request_id not in requests:
            result.doubled += 1
            result.example("doubled", f"{row} names a request that was never served")
        truth = costs.get(row.request_id, 0) if row.request_id else None
        spare += row.attempts - 1
        if truth is None and row.state != "released":
            # what a killed gateway sent, dearest first; nothing, if it never arrived
            taken = max(left, key=lambda one: costs.get(one, 0), default=None)
            if taken is not None:
                left.remove(taken)
            truth = costs.get(taken, 0) if taken else 0
        _judge(result, label, row, truth or 0)
    free = [one for one in left if not costs.get(one)]
    missing = [one for one in left if costs.get(one)] + free[spare:]
    result.lost += len(missing)
    if missing:
        result.example("lost", f"{label}: {missing} of {requests}, rows {rows}")


def _judge(result: Comparison, label: str, row: Row, truth: int) -> None:
    tally = result.kinds[label.partition("-")[0]]
    tally.rows += 1
    if row.state == "unsettled":
        tally.unsettled += 1
        tally.open_pico += truth
        tally.low_pico += row.low or 0
        tally.high_pico += row.high or 0
        if row.low is None or row.high is None or not row.low <= truth <= row.high:
            result.outside += 1
            result.example("outside", f"{label}: {truth} is not in [{row.low}, {row.high}] {row}")
        return
    if row.state == "held":
        result.open_rows += 1
        result.example("held", f"{label}: {row}")
        return
    tally.released += row.state == "released"
    tally.settled += row.state == "settled"
    tally.booked_pico += row.cost or 0
    tally.billed_pico += truth
    off = abs((row.cost or 0) - truth)
    result.residual_pico += off
    if off:
        result.example("residual", f"{label}: billed {truth}, booked {row.cost} {row}")


def _compare_batch(result: Comparison, label: str, billed: list[int], rows: list[Row]) -> None:
    tally = result.kinds["batch"]
    result.served += len(billed)
    booked = sorted((row.cost or 0 for row in rows if row.cost), reverse=True)
    should = sorted(billed, reverse=True)
    tally.rows += len(rows)
    tally.settled += len(rows)
    tally.booked_pico += sum(booked)
    tally.billed_pico += sum(should)
    result.lost += max(0, len(should) - len(booked))
    result.doubled += max(0, len(booked) - len(should))
    off = sum(abs(a - b) for a, b in zip(should, booked, strict=False))
    result.residual_pico += off
    if off or len(should) != len(booked):
        result.example("batch", f"{label}: billed {should}, booked {booked}")


def _find_doubles(result: Comparison, rows: Iterable[Row]) -> None:
    """No request and no message of the provider may be in two rows."""
    for name in ("request_id", "message_id"):
        counted = Counter(getattr(row, name) for row in rows if getattr(row, name) is not None)
        for value, times in counted.items():
            if times > 1:
                result.doubled += times - 1
                result.example("doubled", f"{name} {value} is in {times} rows")
