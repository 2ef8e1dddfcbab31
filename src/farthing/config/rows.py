"""How a row of the table of settings is declared."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from farthing.config.kinds import Kind

__all__ = ["setting"]


def setting(key: str, kind: Kind, default: object, help_: str, *, secret: bool = False) -> Any:
    """One row of the table; ``default`` is the parsed value."""
    metadata = {"key": key, "kind": kind, "help": help_, "is_secret": secret}
    return field(default=default, metadata=metadata)
