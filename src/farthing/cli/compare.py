"""``farthing compare A B``: is B dearer, slower or longer than A, per task and per passed task?"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from farthing.cli.compare_document import comparison_as_json
from farthing.cli.compare_selecting import Selection, parse_selection, select_values
from farthing.cli.ledger_options import ledger_of, midnight, refuse_two_formats
from farthing.cli.table import render_table
from farthing.core.comparison import TaskValue, compare
from farthing.ledger.reporting import Window
from farthing.reports.compare_csv import render_comparison_csv
from farthing.reports.compare_text import comparison_rows, comparison_summary, comparison_tail

__all__ = ["DESCRIPTION", "HELP", "add_arguments", "run"]

HELP: Final = "Compare the tasks of two periods, tags or ledgers, with intervals"

DESCRIPTION: Final = """\
Compare the tasks of two periods, tags or ledgers, with intervals.

  farthing compare 2026-11-01..2026-11-07 2026-11-08..2026-11-14
  farthing compare task-type=triage-v1 task-type=triage-v2
  farthing compare model=claude-opus-5-5,30d.. model=claude-haiku-5-5,30d..
  farthing compare before.db after.db

Cost, tokens, seconds and turns per task and per passed task, and the pass rate. A side is days, the
last one included; task-type=, key= (the beginning of its digest), model= (the one that answered
most of a task's turns); a ledger's file; or several, joined by commas. The same tasks always give
the same verdicts. The exit code is 0 whatever they are; --exit-code makes it 1 on a regression."""

_WIDTH: Final = 110


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    add = parser.add_argument
    add("a", metavar="A", help="what to compare with: before")
    add("b", metavar="B", help="what is compared: after")
    add("--ledger", metavar="FILE", help="the ledger of sides that name none")
    add("--config", type=Path, metavar="FILE", help="TOML file that may name the ledger")
    add("--exit-code", action="store_true", help="exit with 1 where there is a regression")
    add("--json", action="store_true", help="print everything as one JSON document")
    add("--csv", action="store_true", help="print one line per measure, comma-separated")


def run(args: argparse.Namespace) -> int:
    """Compare; 1 where a regression was to be told by the exit code."""
    refuse_two_formats(args)
    sides = [parse_selection(text) for text in (args.a, args.b)]
    default = ledger_of(args)
    a, b = (_values(side, default) for side in sides)
    is_by_type = not any(side.task_type for side in sides)
    found = compare(a, b, is_by_type=is_by_type)
    document = comparison_as_json(found, names=(args.a, args.b))
    if args.json:
        print(json.dumps(document, ensure_ascii=False, indent=1))
    elif args.csv:
        sys.stdout.write(render_comparison_csv(document))
    else:
        headers, rows = comparison_rows(document)
        print(comparison_summary(document))
        print()
        if rows:
            print(f"{render_table(headers, rows, align='lrrrrl', width=_WIDTH)}\n")
        print(comparison_tail(document))
    is_worse = any(each.verdict == "regression" for each in found.compared)
    return 1 if args.exit_code and is_worse else 0


def _values(side: Selection, default: Path) -> list[TaskValue]:
    window = Window(midnight(side.since), midnight(side.until))
    return select_values(side, default=default, window=window)
