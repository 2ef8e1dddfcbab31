"""Numbers as people read them: dollars, tokens, shares, bars of blocks."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

__all__ = ["blocks", "share", "shorten", "sparkline", "tokens", "usd"]

_CENT: Final = Decimal("0.01")
_SPARKS: Final = "▁▂▃▄▅▆▇█"
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"


def usd(amount: str | None) -> str:
    """Dollars to the cent; "–" where there is no price, never $0 for something unknown."""
    if amount is None:
        return "–"
    value = Decimal(amount)
    rounded = value.quantize(_CENT, rounding=ROUND_HALF_EVEN)
    if value and not rounded:
        return "<$0.01" if value > 0 else "-<$0.01"
    return f"-${-rounded:,}" if rounded < 0 else f"${rounded:,}"


def tokens(count: float) -> str:
    """Three significant digits and a unit: 39.7M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= limit * 0.9995:
            scaled = count / limit
            digits = max(0, 2 - (scaled >= 9.995) - (scaled >= 99.95))
            return f"{scaled:.{digits}f}{unit}"
    return f"{count:.0f}"


def share(part: float, whole: float) -> str:
    """A percentage, one decimal below ten."""
    if whole <= 0:
        return "–"
    percent = 100 * part / whole
    return f"{percent:.1f} %" if percent < 9.95 else f"{percent:.0f} %"


def sparkline(values: Sequence[float]) -> str:
    """One character per value, the tallest for the largest."""
    peak = max(values, default=0.0)
    if peak <= 0:
        return _SPARKS[0] * len(values)
    last = len(_SPARKS) - 1
    return "".join(_SPARKS[min(last, int(value / peak * last + 0.5))] for value in values)


def blocks(part: float, whole: float, width: int) -> str:
    """A horizontal bar of ``width`` characters for the whole."""
    eighths = round(8 * width * part / whole) if whole > 0 else 0
    full, rest = divmod(max(0, eighths), 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else ""))[:width]


def shorten(text: str, width: int) -> str:
    """The text in at most ``width`` characters: its end tells more than its start."""
    return text if len(text) <= width else "…" + text[len(text) - width + 1 :]
