"""``farthing config``: the settings in force, and where each came from."""

from __future__ import annotations

import argparse
import json
from typing import Final

from farthing.cli.settings import add_setting_options, resolve_settings
from farthing.cli.table import render_table
from farthing.compose.reading import config_file
from farthing.config import SETTINGS, Resolved

__all__ = ["DESCRIPTION", "HELP", "add_arguments", "run"]

HELP: Final = "Show the settings in force and where each came from"

DESCRIPTION: Final = """\
Show the settings in force and where each came from.

  farthing config show                what `farthing serve` would run with
  farthing config show --origin       and where each value stands
  farthing config show --json         the same for programs; secrets are masked

A flag wins over the environment, the environment over the file, the file over the default."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    parser.add_argument("verb", choices=("show",), help="what to do")
    parser.add_argument("--origin", action="store_true", help="say where each value stands")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_setting_options(parser)


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    resolved = resolve_settings(args)
    if args.json:
        path = config_file(args.config)
        shown = {"file": None if path is None else str(path), "settings": _document(resolved)}
        print(json.dumps(shown, indent=2))
        return 0
    headers = ["setting", "value", "origin"] if args.origin else ["setting", "value"]
    rows = [row[: len(headers)] for row in _rows(resolved)]
    print(render_table(headers, rows, align="l" * len(headers)))
    return 0


def _rows(resolved: Resolved) -> list[list[str]]:
    return [
        [row.key, row.shown(row.value_in(resolved.settings)), resolved.origins[row.name]]
        for row in SETTINGS
    ]


def _document(resolved: Resolved) -> dict[str, dict[str, str | None]]:
    document = dict[str, dict[str, str | None]]()
    for row in SETTINGS:
        value = row.value_in(resolved.settings)
        document[row.key] = {
            "value": None if value is None else row.shown(value),
            "origin": resolved.origins[row.name],
            "flag": row.flag,
            "environment": row.environment,
            "help": row.help,
        }
    return document
