"""The settings: one table, four sources, every value with its origin. No I/O."""

from __future__ import annotations

from farthing.config.table import (
    ENVIRONMENT_PREFIX,
    SETTINGS,
    Layer,
    Resolved,
    Setting,
    Settings,
    parse_environment,
    parse_file,
    parse_flags,
    resolve,
)

__all__ = [
    "ENVIRONMENT_PREFIX",
    "SETTINGS",
    "Layer",
    "Resolved",
    "Setting",
    "Settings",
    "parse_environment",
    "parse_file",
    "parse_flags",
    "resolve",
]
