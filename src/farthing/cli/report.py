"""``farthing report``: what was spent on what, what a passed task costs, what became dearer."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from farthing.cli.ledger_options import (
    add_ledger_options,
    add_period_options,
    ledger_of,
    refuse_two_formats,
    window_of,
)
from farthing.cli.report_document import GROUPINGS, build_report
from farthing.cli.table import render_table
from farthing.errors import LedgerError
from farthing.ledger.place import ledger_files
from farthing.reports.ledger_csv import render_csv
from farthing.reports.ledger_text import report_rows, report_summary, report_tail

__all__ = ["DESCRIPTION", "HELP", "add_arguments", "run"]

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
    add_period_options(parser)
    add_ledger_options(parser)
    add("--json", action="store_true", help="print everything as one JSON document")
    add("--csv", action="store_true", help="print one line per group, comma-separated")
    add("--html", type=Path, metavar="FILE", help="also write a self-contained page with charts")


def run(args: argparse.Namespace) -> int:
    """Report; 1 if there was no call to report on."""
    refuse_two_formats(args)
    window = window_of(args)
    path = ledger_of(args)
    document = build_report(path, by=args.by, window=window)
    for other in ledger_files(path)[1:]:
        print(
            f"farthing: not in it: {other}, of another process: report --ledger {other}",
            file=sys.stderr,
        )
    if args.html is not None:
        _write_html(args.html, document)
    if args.json:
        print(json.dumps(document, ensure_ascii=False, indent=1))
    elif args.csv:
        sys.stdout.write(render_csv(document))
    else:
        _print(document)
    return 0 if document["totals"]["calls"] else 1


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
