"""The emulator's own price list, for its cost report only: integers of 10^-12 USD per token.

Kept apart from farthing's rate cards on purpose. Source: API facts, section 1.1 and 1.3 (2026-11).
Each row: input, output, 5-minute write, 1-hour write, read, in USD per million tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from farthing.lab.emulator.records import Line

__all__ = ["cost_items"]

_SEARCH = 10_000_000_000  # $10 per 1,000 searches
_HAIKU_BAND_TOKENS = 100_000
_SONNET_55_CHEAPER_READS = datetime(2026, 10, 7, tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class _Row:
    uncached_input: str
    output: str
    write_5m: str
    write_1h: str
    read: str


_ROWS: Mapping[str, _Row] = {
    "claude-fable-5-2": _Row("8", "40", "10", "16", "0.20"),
    "claude-mythos-5-2": _Row("8", "40", "10", "16", "0.20"),
    "claude-fable-5-1": _Row("10", "50", "12.50", "20", "0.25"),
    "claude-mythos-5-1": _Row("10", "50", "12.50", "20", "0.25"),
    "claude-fable-5": _Row("10", "50", "12.50", "20", "1"),
    "claude-mythos-5": _Row("10", "50", "12.50", "20", "1"),
    "claude-opus-5-5": _Row("4", "20", "5", "8", "0.20"),
    "claude-opus-5": _Row("5", "25", "6.25", "10", "0.50"),
    "claude-opus-4-8": _Row("5", "25", "6.25", "10", "0.50"),
    "claude-opus-4-7": _Row("5", "25", "6.25", "10", "0.50"),
    "claude-opus-4-6": _Row("5", "25", "6.25", "10", "0.50"),
    "claude-opus-4-5-20251101": _Row("5", "25", "6.25", "10", "0.50"),
    "claude-opus-4-1-20250805": _Row("15", "75", "18.75", "30", "1.50"),
    "claude-sonnet-5-5": _Row("2", "10", "2.50", "4", "0.10"),
    "claude-sonnet-5": _Row("2", "10", "2.50", "4", "0.20"),
    "claude-sonnet-4-6": _Row("3", "15", "3.75", "6", "0.30"),
    "claude-sonnet-4-5-20250929": _Row("3", "15", "3.75", "6", "0.30"),
    "claude-sonnet-4-20250514": _Row("3", "15", "3.75", "6", "0.30"),
    "claude-haiku-5-5": _Row("0.10", "0.50", "0.125", "0.20", "0.01"),
    "claude-haiku-4-5-20251001": _Row("1", "5", "1.25", "2", "0.10"),
    "claude-3-5-haiku-20241022": _Row("0.80", "4", "1", "1.60", "0.08"),
}


def _unit(usd_per_million: str) -> int:
    return int(Decimal(usd_per_million) * 1_000_000)


def _factor(line: Line, prompt_tokens: int) -> tuple[int, int]:
    """What multiplies every token category, as numerator and denominator."""
    over, under = 1, 1
    if line.bill.tier == "batch":
        under *= 2
    if line.bill.geo == "us":
        over, under = over * 11, under * 10
    if line.bill.speed == "fast":
        over *= 2
    if line.model.id == "claude-haiku-5-5" and prompt_tokens > _HAIKU_BAND_TOKENS:
        over *= 5  # the upper band is exactly five times the lower one in every category
    return over, under


def cost_items(line: Line) -> dict[str, int]:
    """What a line costs, by token type, in 10^-12 USD."""
    row = _ROWS[line.model.id]
    read = row.read
    if line.model.id == "claude-sonnet-5-5" and line.at < _SONNET_55_CHEAPER_READS:
        read = "0.20"
    accounting, output = line.bill.everything
    over, under = _factor(line, accounting.total)
    tokens = {
        "uncached_input_tokens": accounting.uncached * _unit(row.uncached_input),
        "output_tokens": output * _unit(row.output),
        "cache_read_input_tokens": accounting.read * _unit(read),
        "cache_creation.ephemeral_1h_input_tokens": accounting.write_1h * _unit(row.write_1h),
        "cache_creation.ephemeral_5m_input_tokens": accounting.write_5m * _unit(row.write_5m),
    }
    items = {name: amount * over // under for name, amount in tokens.items()}
    return {**items, "web_search": line.bill.searches * _SEARCH}
