"""The version of the package; a module of its own, so that every floor may name it."""

from __future__ import annotations

from typing import Final

__all__ = ["VERSION"]

VERSION: Final = "0.1.0"
