"""What runs beside the calls: machines that say what is due next, and never look at a clock."""

from __future__ import annotations

__all__: list[str] = []
