"""``farthing report``: what was spent on what, what a passed task costs, what became dearer."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Final

from farthing.cli.arguments import parse_since
from farthing.cli.report_document import GROUPINGS, build_report
from farthing.cli.settings import resolve_settings
from farthing.cli.table import render_table
from farthing.errors import ConfigError, LedgerError
from farthing.ledger.place import default_ledger
from farthing.ledger.reporting import Window
from farthing.reports.ledger_csv import render_csv
from farthing.reports.ledger_text import report_rows, report_summary, report_tail

__all__ = ["DESCRIPTION", "HELP", "add_arguments", "ledger_of", "midnight", "run"]

HELP: Final = "Report cost, tokens, tasks, latency and regressions from the ledger"

DESCRIPTION: Final = """\
Report cost, tokens, tasks, latency and regressions from the ledger.

  farthing report                          by task type: cost per task and per passed task
  farthing report --by model --since 30d   tokens and dollars of the last thirty days
  farthing report --by day --html day.html a page with charts
  farthing report --by key --csv           one line per key, for a spreadsheet

Reads only, also while a gateway writes. Sums by task type, model and day come from the ledger's
hourly sums, the others from its rows. A regression is told where a type's cost per passed task rose
in the later half of the period, beyond chance; quiet periods raise such an alarm once in twenty."""

_WIDTH: Final = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    add = parser.add_argument
    add("--by", choices=GROUPINGS, default="task-type", help="what to sum by (default task-type)")
    add("--since", type=parse_since, metavar="DAY", help="from this day on: 2026-11-01, 30d")
    add("--until", type=parse_since, metavar="DAY", help="up to this day, which does not count")
    add("--ledger", metavar="FILE", help="the ledger, where the settings name another or none")
    add("--config", type=Path, metavar="FILE", help="TOML file that may name the ledger")
    add("--json", action="store_true", help="print everything as one JSON document")
    add("--csv", action="store_true", help="print one line per group, comma-separated")
    add("--html", type=Path, metavar="FILE", help="also write a self-contained page with charts")


def run(args: argparse.Namespace) -> int:
    """Report; 1 if there was no call to report on."""
    if args.json and args.csv:
        raise ConfigError("--json and --csv exclude each other; leave one out")
    window = Window(midnight(args.since), midnight(args.until))
    if window.since and window.until and window.since >= window.until:
        raise ConfigError(f"--since {args.since} is not before --until {args.until}")
    document = build_report(ledger_of(args), by=args.by, window=window)
    if args.html is not None:
        _write_html(args.html, document)
    if args.json:
        print(json.dumps(document, ensure_ascii=False, indent=1))
    elif args.csv:
        sys.stdout.write(render_csv(document))
    else:
        _print(document)
    return 0 if document["totals"]["calls"] else 1


def ledger_of(args: argparse.Namespace) -> Path:
    """The ledger that the arguments or the settings name, or the one in its usual place."""
    named = resolve_settings(args).settings.ledger
    return default_ledger() if named is None else Path(named)


def midnight(day: date | None) -> datetime | None:
    """The beginning of a day, in UTC."""
    return None if day is None else datetime.combine(day, time(), UTC)


def _print(document: dict[str, Any]) -> None:
    headers, rows = report_rows(document)
    align = "l" + "".join("l" if name == "outcome" else "r" for name in headers[1:])
    print(report_summary(document))
    print()
    print(render_table(headers, rows, align=align, total=True, width=_WIDTH))
    if tail := report_tail(document):
        print(f"\n{tail}")


def _write_html(path: Path, document: dict[str, Any]) -> None:
    from farthing.reports.ledger_html import (  # noqa: PLC0415 -- only this option needs it
        render_report_page,
    )

    try:
        path.write_text(render_report_page(document), encoding="utf-8")
    except OSError as error:
        raise LedgerError(f"cannot write the page {str(path)!r}: {error.strerror}") from error
    print(f"Page written to {path}", file=sys.stderr)
