"""The command line: commands parse, call, print; nothing here is imported by other packages."""

from __future__ import annotations

__all__: list[str] = []
