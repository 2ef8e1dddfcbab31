"""The HTTP door: a client's request in, the driver's exchange, Claude's answer out."""

from __future__ import annotations

__all__: list[str] = []
