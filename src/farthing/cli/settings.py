"""Where settings are read: the file, the environment, the flags; for commands that run farthing."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Final

from farthing.config import (
    SETTINGS,
    Layer,
    Resolved,
    parse_environment,
    parse_file,
    parse_flags,
    resolve,
)
from farthing.errors import ConfigError

__all__ = ["add_setting_options", "config_file", "resolve_settings"]

_CONFIG_VARIABLE: Final = "FARTHING_CONFIG"


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
    layers = [parse_environment(os.environ), parse_flags(flags)]
    path = config_file(args.config)
    if path is not None:
        layers.insert(0, _read(path))
    return resolve(*layers)


def config_file(given: Path | None) -> Path | None:
    """The file that is read: the one given, else the one in its usual place, if it is there."""
    named = given or os.environ.get(_CONFIG_VARIABLE)
    if named:
        return Path(named)
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    usual = Path(home) / "farthing" / "farthing.toml"
    return usual if usual.is_file() else None


def _read(path: Path) -> Layer:
    try:
        raw = path.read_bytes()
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ConfigError(f"cannot read the settings in {str(path)!r}: {why}") from error
    return parse_file(raw, str(path))
