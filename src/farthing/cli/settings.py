"""Where settings are read: the file, the environment, the flags; for commands that run farthing."""

from __future__ import annotations

import argparse
from pathlib import Path

from farthing.compose.reading import read_settings
from farthing.config import SETTINGS, Resolved, parse_flags

__all__ = ["add_setting_options", "resolve_settings"]


def add_setting_options(parser: argparse.ArgumentParser) -> None:
    """One option per setting; secrets have none, because everybody can list a command line."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML file; default: see `farthing config show`"
    )
    for row in SETTINGS:
        if row.flag is not None:
            shown = row.shown(row.default)
            words = f"{row.help} (default {shown})" if shown else row.help
            parser.add_argument(
                row.flag, dest=row.name, metavar=row.kind.metavar, help=words.replace("%", "%%")
            )


def resolve_settings(args: argparse.Namespace) -> Resolved:
    """The settings in force and where each came from; a command need not offer every flag."""
    flags = {row.name: getattr(args, row.name, None) for row in SETTINGS if row.flag is not None}
    return read_settings(args.config, parse_flags(flags))
