"""Rows as CSV, JSON or Parquet: one flat record per exchange, money as decimal strings."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import IO, Final

import msgspec

from farthing.core.records import Attribution, ExchangeRow, Opened, Settlement
from farthing.errors import ConfigError
from farthing.ledger.columns import dump_instant
from farthing.pricing import dump_usd
from farthing.wire.usage import Usage

__all__ = ["FIELDS", "FORMATS", "Value", "export", "record"]

Value = str | int | float | bool | None

#: rows per group of a Parquet file, and so in memory
_GROUP: Final = 10_000


def _names(kind: type[msgspec.Struct], *without: str) -> tuple[str, ...]:
    return tuple(name for name in kind.__struct_fields__ if name not in without)


_ATTRIBUTION: Final = _names(Attribution)
_OPENED: Final = _names(
    Opened,
    *("exchange_id", "attribution", "opened_at", "hold_pico", "high_pico"),
    "budget_keys",  # a list, of names that may hold spaces; the database has it
)
_COUNTS: Final = (
    "uncached cache_write_5m cache_write_1h cache_read output output_thinking"
    " web_search_requests web_fetch_requests code_execution_requests"
).split()
_COUNTED: Final = tuple(n if n.endswith("_requests") else f"{n}_tokens" for n in _COUNTS)
_TEXTS: Final = ("service_tier", "speed", "inference_geo", "fallback_credit")
_ENDING: Final = (
    "model_served rate_card_id http_status stop_reason error_type provider_request_id message_id"
    " attempts response_bytes overhead_us ttft_us total_us"
).split()
_MONEY: Final = ("hold_usd", "worst_usd", "cost_usd", "baseline_usd", "low_usd", "high_usd")

#: every name of a record, in order; names are only ever added, at the end of their group
FIELDS: Final = (
    *("exchange_id", "state", "opened_at", "ended_at"),
    *_ATTRIBUTION,
    *_OPENED,
    *_ENDING,
    *_COUNTED,
    *_TEXTS,
    *_MONEY,
    *("plan", "notes", "outcome", "score"),
)


def record(row: ExchangeRow) -> dict[str, Value]:
    """One row, flat: no nested value, every name in every record, in the same order."""
    opened, ending = row.opened, row.settlement
    usage = None if ending is None else ending.usage
    return {
        "exchange_id": opened.exchange_id,
        "state": row.state,
        "opened_at": dump_instant(opened.opened_at),
        "ended_at": None if ending is None else dump_instant(ending.ended_at),
        **{name: getattr(opened.attribution, name) for name in _ATTRIBUTION},
        **{name: getattr(opened, name) for name in _OPENED},
        **{name: None if ending is None else getattr(ending, name) for name in _ENDING},
        **_usage(usage),
        **_money(opened, ending),
        "plan": None if ending is None else " ".join(ending.plan),
        "notes": None if ending is None else " ".join(ending.notes),
        "outcome": row.outcome,
        "score": row.score,
    }


def _usage(usage: Usage | None) -> dict[str, Value]:
    values = [None if usage is None else getattr(usage, name) for name in (*_COUNTS, *_TEXTS)]
    return dict(zip((*_COUNTED, *_TEXTS), values, strict=True))


def _money(opened: Opened, ending: Settlement | None) -> dict[str, Value]:
    amounts: tuple[int | None, ...] = (opened.hold_pico, opened.high_pico, *[None] * 4)
    if ending is not None:
        cost = None if ending.cost is None else ending.cost.total
        ended = (cost, ending.baseline_pico, ending.low_pico, ending.high_pico)
        amounts = (opened.hold_pico, opened.high_pico, *ended)
    named = zip(_MONEY, amounts, strict=True)
    return {name: None if pico is None else dump_usd(pico) for name, pico in named}


def export(rows: Iterable[ExchangeRow], form: str, target: IO[bytes]) -> int:
    """Write rows in one of ``FORMATS``; how many there were."""
    count = 0

    def counted() -> Iterator[dict[str, Value]]:
        nonlocal count
        for row in rows:
            count += 1
            yield record(row)

    FORMATS[form](counted(), target)
    return count


def _write_csv(records: Iterable[dict[str, Value]], target: IO[bytes]) -> None:
    text = io.TextIOWrapper(target, encoding="utf-8", newline="", write_through=True)
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    try:
        writer.writeheader()
        writer.writerows(records)
    finally:
        text.detach()  # or the wrapper would close the caller's file


def _write_json(records: Iterable[dict[str, Value]], target: IO[bytes]) -> None:
    """One JSON array, a row a line, written as the rows come."""
    before = b"[\n"
    for each in records:
        target.write(before + json.dumps(each, ensure_ascii=False).encode("utf-8"))
        before = b",\n"
    target.write(b"[]\n" if before == b"[\n" else b"\n]\n")


def _write_parquet(records: Iterable[dict[str, Value]], target: IO[bytes]) -> None:
    try:
        # An optional extra without types of its own.
        import pyarrow as pa  # type: ignore[import-untyped] # noqa: PLC0415
        import pyarrow.parquet as pq  # type: ignore[import-untyped] # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            "Parquet needs pyarrow: pip install 'farthing[parquet]', or export CSV or JSON"
        ) from error
    schema = pa.schema([(name, getattr(pa, _arrow_type(name))()) for name in FIELDS])
    rest = iter(records)
    with pq.ParquetWriter(target, schema) as writer:
        while group := list(islice(rest, _GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def _arrow_type(name: str) -> str:
    if name == "score":
        return "float64"
    if name == "is_streamed":
        return "bool_"
    is_number = name in {"http_status", "attempt", "attempts"} or name.endswith(
        ("_tokens", "_requests", "_bytes", "_us")
    )
    return "int64" if is_number else "string"


FORMATS: Final[dict[str, Callable[[Iterable[dict[str, Value]], IO[bytes]], None]]] = {
    "csv": _write_csv,
    "json": _write_json,
    "parquet": _write_parquet,
}
