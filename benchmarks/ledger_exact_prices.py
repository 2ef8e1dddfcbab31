"""A second opinion on what a bill costs: prices and arithmetic that share nothing with farthing.

Transcribed by hand from the provider's price list (API facts, sections 1.1 to 1.6, as of
2026-11-16); ``farthing.pricing`` is not imported here, so that a mistake there shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

__all__ = ["PRICES", "cost_pico"]


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens."""

    input: str
    output: str
    write_5m: str
    write_1h: str
    read: str


PRICES: Final[Mapping[str, Price]] = {
    "claude-fable-5-2": Price("8", "40", "10", "16", "0.20"),
    "claude-opus-5-5": Price("4", "20", "5", "8", "0.20"),
    "claude-opus-5": Price("5", "25", "6.25", "10", "0.50"),
    "claude-opus-4-8": Price("5", "25", "6.25", "10", "0.50"),
    "claude-sonnet-5-5": Price("2", "10", "2.50", "4", "0.10"),
    "claude-sonnet-5": Price("2", "10", "2.50", "4", "0.20"),
    "claude-sonnet-4-6": Price("3", "15", "3.75", "6", "0.30"),
    "claude-haiku-5-5": Price("0.10", "0.50", "0.125", "0.20", "0.01"),
    "claude-haiku-4-5-20251001": Price("1", "5", "1.25", "2", "0.10"),
}
_HAIKU_LONG: Final = Price("0.50", "2.50", "0.625", "1.00", "0.05")
_HAIKU_BAND: Final = 100_000

_PICO_PER_USD: Final = 10**12
_SEARCH_PICO: Final = _PICO_PER_USD // 100  # $10 per 1,000, and never multiplied


def cost_pico(billed: Mapping[str, Any]) -> int:
    """What one billed request costs, in 10⁻¹² USD; ``billed`` is a line of the emulator's books."""
    factor = Fraction(1)
    if billed["tier"] == "batch":
        factor *= Fraction(1, 2)
    if billed["geo"] == "us":
        factor *= Fraction(11, 10)
    if billed["speed"] == "fast":
        factor *= 2
    tokens = sum((_tokens_pico(billed["model"], one) for one in billed["passes"]), Fraction(0))
    total = factor * tokens + _SEARCH_PICO * billed["searches"]
    if total.denominator != 1:
        raise ValueError(f"a bill of {total} x 10^-12 USD is no whole number: {billed!r}")
    return int(total)


def _tokens_pico(model: str, one: Mapping[str, int]) -> Fraction:
    price = PRICES[model]
    prompt = one["uncached"] + one["write_5m"] + one["write_1h"] + one["read"]
    if model == "claude-haiku-5-5" and prompt > _HAIKU_BAND:
        price = _HAIKU_LONG
    per_million = (
        one["uncached"] * Fraction(price.input)
        + one["write_5m"] * Fraction(price.write_5m)
        + one["write_1h"] * Fraction(price.write_1h)
        + one["read"] * Fraction(price.read)
        + one["output"] * Fraction(price.output)
    )
    return per_million * _PICO_PER_USD / 1_000_000
