"""Where settings are read from: the file in its usual place, and the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from farthing.config import Layer, Resolved, parse_environment, parse_file, resolve
from farthing.errors import ConfigError

__all__ = ["config_file", "read_settings"]

_CONFIG_VARIABLE: Final = "FARTHING_CONFIG"


def read_settings(given: Path | None = None, *more: Layer) -> Resolved:
    """The settings in force and where each came from; ``more`` wins over what is read."""
    layers = [parse_environment(os.environ), *more]
    path = config_file(given)
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
