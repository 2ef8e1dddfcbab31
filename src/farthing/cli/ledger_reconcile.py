"""``farthing ledger reconcile`` and ``settle``: what unsettled exchanges cost after all."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

from farthing.cli.arguments import load_catalog
from farthing.cli.table import render_table
from farthing.config import Settings
from farthing.core.closing import closed
from farthing.core.reconciling import COUNTS, Comparison, bucket_of, reconcile
from farthing.core.records import RowFilter, Settlement
from farthing.errors import ConfigError, RequestError, UpstreamError
from farthing.ledger import SqliteLedger
from farthing.ledger.database import open_reader, select_rows
from farthing.pricing.money import dump_usd, show_usd
from farthing.wire.usage import parse_usage

__all__ = ["add_reconcile_arguments", "run_reconcile", "run_settle"]

_WIDTHS: Final = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
_NOTE: Final = "reconciled.by_hand"
#: verdicts after which something is wrong, for scripts
_WRONG: Final = frozenset({"outside"})


def add_reconcile_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of both verbs."""
    add = parser.add_argument
    add("exchange", nargs="?", metavar="EXCHANGE", help="settle: the id of an unsettled exchange")
    add("--by", choices=tuple(_WIDTHS), help="reconcile: width of the buckets; default day")
    add("--close", action="store_true", help="reconcile: settle the rows whose cost is determined")
    add("--api-key-id", action="append", metavar="ID", help="reconcile: only this key's usage")
    add("--workspace-id", action="append", metavar="ID", help="reconcile: only this workspace's")
    add("--usage", metavar="JSON", help="settle: the usage object of the answer")
    add("--model", metavar="MODEL", help="settle: the model that answered, if the row has none")


def run_reconcile(path: Path, settings: Settings, args: argparse.Namespace) -> int:
    """Compare with the provider's report; 1 where a bucket has what the ledger cannot explain."""
    if args.since is None:
        raise ConfigError("say from which day on to reconcile: --since 7d")
    try:
        # Late: this loads the client library, which `pip install farthing` lacks.
        from farthing.compose.usage_report import UsageQuery, fetch_usage  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"the usage report needs {error.name!r}: pip install 'farthing[gateway]'"
        ) from error
    by = args.by or "day"
    now = datetime.now(UTC)
    since = bucket_of(datetime.combine(args.since, time(), UTC), _WIDTHS[by])
    query = UsageQuery(
        starting_at=since,
        ending_at=now,
        width="1h" if by == "hour" else "1d",
        api_key_ids=args.api_key_id or (),
        workspace_ids=args.workspace_id or (),
    )
    uses = fetch_usage(settings, query)
    rows = select_rows(path, RowFilter(opened_from=since, opened_until=now))
    found = reconcile(uses, rows, width=_WIDTHS[by], prices=load_catalog(), now=now)
    print(_as_json(found) if args.json else _as_table(found))
    closings = [closing_ for comparison in found for closing_ in comparison.closings]
    if args.close:
        _settle(path, closings)
        print(f"{len(closings):,} rows settled", file=sys.stderr)
    elif closings:
        print(f"{len(closings):,} rows can be settled: add --close", file=sys.stderr)
    return 1 if any(comparison.verdict in _WRONG for comparison in found) else 0


def run_settle(path: Path, args: argparse.Namespace) -> int:
    """Settle one exchange by hand, with the usage that its user knows."""
    if args.exchange is None or args.usage is None:
        raise ConfigError("write `farthing ledger settle EXCHANGE --usage JSON`")
    try:
        usage = parse_usage(args.usage.encode())
    except UpstreamError as error:
        raise RequestError(f"--usage is no usage object: {error}") from None
    open_reader(path).close()  # a ledger that is not there must not be made here
    with closing(SqliteLedger(path)) as ledger:
        row = ledger.row(args.exchange)
        if row is None:
            raise RequestError(f"there is no exchange {args.exchange!r} in this ledger")
        ending = closed(row, usage, prices=load_catalog(), note=_NOTE, model=args.model)
        ledger.settle(ending)
    cost = ending.cost.total if ending.cost is not None else 0
    print(f"{args.exchange}: settled at {show_usd(cost)}")
    before = row.settlement
    high = before.high_pico if before is not None else None
    if high is not None and cost > high:
        print(f"that is above its interval, which ended at {show_usd(high)}", file=sys.stderr)
    return 0


def _settle(path: Path, endings: Sequence[Settlement]) -> None:
    """The state table lets each through once, however often this is done."""
    if endings:
        with closing(SqliteLedger(path)) as ledger:
            for ending in endings:
                ledger.settle(ending)


def _as_table(found: Sequence[Comparison]) -> str:
    rows = [
        [
            f"{comparison.key.starting_at:%Y-%m-%d %H:%M}",
            comparison.key.model + (" (batch)" if comparison.key.is_batch else ""),
            f"{sum(comparison.reported):,}",
            f"{sum(comparison.residual):,}",
            _amount(comparison.residual_pico),
            f"{show_usd(comparison.low_pico)} – {_amount(comparison.high_pico)}"
            if comparison.unsettled
            else "",
            comparison.verdict,
            comparison.why,
        ]
        for comparison in found
    ]
    head = ["bucket", "model", "reported", "residual", "is", "open rows", "", "because"]
    return render_table(head, rows, align="llrrrlll", width=160)


def _as_json(found: Sequence[Comparison]) -> str:
    return json.dumps([_document(comparison) for comparison in found])


def _document(comparison: Comparison) -> dict[str, Any]:
    high, residual = comparison.high_pico, comparison.residual_pico
    return {
        "starting_at": comparison.key.starting_at.isoformat(),
        "model": comparison.key.model,
        "is_batch": comparison.key.is_batch,
        "reported": dict(zip(COUNTS, comparison.reported, strict=True)),
        "settled": dict(zip(COUNTS, comparison.settled, strict=True)),
        "residual": dict(zip(COUNTS, comparison.residual, strict=True)),
        "residual_usd": None if residual is None else dump_usd(residual),
        "unsettled": list(comparison.unsettled),
        "low_usd": dump_usd(comparison.low_pico),
        "high_usd": None if high is None else dump_usd(high),
        "verdict": comparison.verdict,
        "why": comparison.why,
    }


def _amount(amount_pico: int | None) -> str:
    return "?" if amount_pico is None else show_usd(amount_pico)
