"""Sums of what was saved: one value for any number of exchanges, whoever they are grouped by.

Rules of this file: ``saved`` is measured and ``predicted`` was expected; nothing here adds the two.
Own costs are subtracted once, from the whole, because a ping serves an exchange and no single
lever's column.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SavingSums"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SavingSums:
    """What some exchanges cost, would have cost, and saved; in 10⁻¹² USD."""

    exchanges: int = 0
    held_out: int = 0
    #: exchanges for which a price was predicted
    foretold: int = 0
    baseline_pico: int = 0
    cost_pico: int = 0
    saved_pico: int = 0
    own_cost_pico: int = 0
    predicted_pico: int = 0

    @property
    def net_pico(self) -> int:
        """Saved, own costs subtracted; negative is a loss."""
        return self.saved_pico - self.own_cost_pico

    @property
    def net_ratio(self) -> float | None:
        """The same as a share of the baseline; None where there is none."""
        return self.net_pico / self.baseline_pico if self.baseline_pico else None
