"""``farthing savings``: what levers saved against the requests as they were sent."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Final

from farthing.cli.arguments import load_catalog
from farthing.cli.ledger_options import (
    add_ledger_options,
    add_period_options,
    ledger_of,
    refuse_two_formats,
    window_of,
)
from farthing.cli.savings_document import GROUPINGS, build_savings
from farthing.cli.settings import resolve_settings
from farthing.cli.table import red, render_table
from farthing.reports.ledger_csv import render_csv
from farthing.reports.savings_text import (
    SavingsTable,
    governor_table,
    savings_summary,
    savings_table,
    savings_tail,
)
from farthing.reports.savings_words import METHOD

__all__ = ["DESCRIPTION", "HELP", "add_arguments", "run"]

HELP: Final = "Show what each lever saved, measured beside predicted, own costs subtracted"

DESCRIPTION: Final = """\
Show what each lever saved, measured beside predicted, own costs subtracted.

  farthing savings                         per lever, over all that is on record
  farthing savings --by day --since 30d    per day, of the last thirty days
  farthing savings --why                   how these figures are made, and their limits
  farthing savings --json                  everything, for programs

The baseline is each request as the client sent it, with the prompt cache it would have had; the
provider's discount that the client had anyway is not counted. A loss has its sign, and is red on a
terminal. Below stand the governor's verdicts, the hold-out with the number of tasks it would need,
and how well costs were foreseen. Reads only, also while a gateway writes."""

_WIDTH: Final = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    add = parser.add_argument
    add("--by", choices=GROUPINGS, default="lever", help="what to sum by (default lever)")
    add_period_options(parser)
    add_ledger_options(parser)
    add("--json", action="store_true", help="print everything as one JSON document")
    add("--csv", action="store_true", help="print one line per group, comma-separated")
    add("--why", action="store_true", help="also print the method in words")


def run(args: argparse.Namespace) -> int:
    """Show it; 1 if there was no call to compare."""
    refuse_two_formats(args)
    window = window_of(args)
    document = build_savings(
        ledger_of(args),
        by=args.by,
        window=window,
        prices=load_catalog(),
        share=resolve_settings(args).settings.holdout,
    )
    method = METHOD.format(ablation_version=document["ablation_version"])
    if args.json:
        document |= {"method": method} if args.why else {}
        print(json.dumps(document, ensure_ascii=False, indent=1))
    elif args.csv:
        sys.stdout.write(render_csv({"totals": {}, "groups": document["groups"]}))
    else:
        _print(document)
        if args.why:
            print(f"\n{method}", end="")
    return 0 if document["totals"]["compared_calls"] else 1


def _print(document: dict[str, Any]) -> None:
    for line, is_loss in savings_summary(document):
        print(red(line, sys.stdout) if is_loss else line)
    print()
    _print_table(savings_table(document), total=True)
    if document["by"] == "lever":
        print("\nMeasured by the provider's usage; predicted before sending. Never added up.")
    judged = governor_table(document)
    if judged is not None:
        print()
        _print_table(judged, align="lllrrrrr")
    print(f"\n{savings_tail(document)}")


def _print_table(table: SavingsTable, *, align: str = "", total: bool = False) -> None:
    text = render_table(table.headers, table.rows, align=align, total=total, width=_WIDTH)
    header, rule, *lines = text.splitlines()
    print(f"{header}\n{rule}")
    last = len(table.rows) - 1
    for place, line in enumerate(lines):
        row = place
        if total and place >= last:  # the rule above the total
            row = place - 1
        is_loss = row in table.losses and not (total and place == last)
        print(red(line, sys.stdout) if is_loss else line)
