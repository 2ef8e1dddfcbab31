"""``farthing tail``: a line for each exchange as it ends, from the ledger a gateway writes."""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from farthing.cli.arguments import parse_gap
from farthing.cli.ledger_options import add_ledger_options, ledger_of
from farthing.core.records import ExchangeRow
from farthing.errors import LedgerError
from farthing.ledger.following import Follower
from farthing.reports.ledger_lines import HEADER, line_as_json, render_line

__all__ = ["DESCRIPTION", "HELP", "add_arguments", "run"]

HELP: Final = "Print exchanges as they end"

DESCRIPTION: Final = """\
Print exchanges as they end.

  farthing tail                   the last ten, then each one as it ends; Ctrl-C stops
  farthing tail -n 50 --no-follow the last fifty, and no more
  farthing tail --since 2h --json one JSON object per line, for a program

Reads only. A line appears within a second of an exchange's end. Times are UTC; tokens are read from
the prompt cache, written to it, uncached, and output; ≤ marks a cost that is only known to be less.
Stopped by Ctrl-C it exits with 0."""

_PAUSE_SECONDS: Final = 0.25
_MOST: Final = 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    add = parser.add_argument
    add("-n", dest="count", type=_parse_lines, metavar="LINES", help="how many of the past first")
    add("--since", type=parse_gap, metavar="SPAN", help="only what was opened within: 30m, 2h, 1d")
    add("--no-follow", action="store_true", help="print what is there and stop")
    add_ledger_options(parser)
    add("--json", action="store_true", help="print one JSON object per line")


def run(args: argparse.Namespace) -> int:
    """Print until stopped."""
    path = ledger_of(args)
    since = None if args.since is None else datetime.now(UTC) - args.since
    default = 10 if since is None else _MOST
    count = default if args.count is None else args.count
    if not args.json and sys.stdout.isatty():
        print(HEADER)
    with closing(Follower(path)) as follower:
        _print(follower.latest(count, since), as_json=args.json)
        if args.no_follow:
            return 0
        with suppress(KeyboardInterrupt):
            _follow(follower, path, as_json=args.json)
    return 0


def _follow(follower: Follower, path: Path, *, as_json: bool) -> None:
    while True:
        time.sleep(_PAUSE_SECONDS)
        if not path.is_file():
            raise LedgerError(f"the ledger {str(path)!r} is gone; start again once there is one")
        _print(follower.news(), as_json=as_json)


def _print(rows: list[ExchangeRow], *, as_json: bool) -> None:
    for row in rows:
        text = json.dumps(line_as_json(row), ensure_ascii=False) if as_json else render_line(row)
        print(text, flush=True)


def _parse_lines(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= _MOST:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of lines; write 10")
