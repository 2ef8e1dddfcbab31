"""Which ledger, and which part of it: options that the commands over ledgers share."""

from __future__ import annotations

import argparse
from datetime import UTC, date, datetime, time
from pathlib import Path

from farthing.cli.arguments import parse_since
from farthing.cli.settings import resolve_settings
from farthing.compose.place import ledger_path
from farthing.errors import ConfigError
from farthing.ledger.reporting import Window

__all__ = [
    "add_ledger_options",
    "add_period_options",
    "ledger_of",
    "midnight",
    "refuse_two_formats",
    "window_of",
]


def add_ledger_options(parser: argparse.ArgumentParser) -> None:
    """Declare ``--ledger`` and ``--config``."""
    add = parser.add_argument
    add("--ledger", metavar="FILE", help="the ledger, where the settings name another or none")
    add("--config", type=Path, metavar="FILE", help="TOML file that may name the ledger")


def add_period_options(parser: argparse.ArgumentParser) -> None:
    """Declare ``--since`` and ``--until``."""
    add = parser.add_argument
    add("--since", type=parse_since, metavar="DAY", help="from this day on: 2026-11-01, 30d")
    add("--until", type=parse_since, metavar="DAY", help="up to this day, which does not count")


def ledger_of(args: argparse.Namespace) -> Path:
    """The ledger that the arguments or the settings name, or the one in its usual place."""
    return ledger_path(resolve_settings(args).settings)


def window_of(args: argparse.Namespace) -> Window:
    """The period; ``ConfigError`` where it ends before it begins."""
    window = Window(midnight(args.since), midnight(args.until))
    if window.since and window.until and window.since >= window.until:
        raise ConfigError(f"--since {args.since} is not before --until {args.until}")
    return window


def midnight(day: date | None) -> datetime | None:
    """The beginning of a day, in UTC."""
    return None if day is None else datetime.combine(day, time(), UTC)


def refuse_two_formats(args: argparse.Namespace) -> None:
    """``--json`` and ``--csv`` are two answers to one question."""
    if args.json and args.csv:
        raise ConfigError("--json and --csv exclude each other; leave one out")
