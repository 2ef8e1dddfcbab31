"""From price lists as people write them, in decimal $/Mtok, to rate cards in integers.

One reader for the shipped table and for operators' files, so that both obey the same rules. Every
``ValueError`` names the key and the value; who calls adds where it stood.
"""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from typing import TYPE_CHECKING, Final, TypeAlias

from farthing.pricing.cards import Band, Multiplier, RateCard, Rates, Source
from farthing.pricing.money import parse_usd

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["RATE_KEYS", "Row", "cards_from_rows", "parse_multiplier", "parse_rate", "parse_search"]

RATE_KEYS: Final = ("uncached", "cache_write_5m", "cache_write_1h", "cache_read", "output")

#: one band of one card: model, valid_from, up_to, the five rates in $/Mtok, batch, geo us, fast,
#: $ per 1,000 searches, names of sources
Row: TypeAlias = tuple[
    str, str, int | None,
    str, str, str, str, str,
    str | None, str | None, str | None, str | None, str,
]  # fmt: skip

_TOKENS_PER_MTOK: Final = 10**6
_SEARCHES_PER_PRICE: Final = 1000


def parse_rate(key: str, text: str) -> int:
    """10⁻¹² USD per token from a decimal price in $/Mtok."""
    return _per(key, text, _TOKENS_PER_MTOK)


def parse_search(text: str) -> int:
    """10⁻¹² USD per search from a decimal price in $ per 1,000."""
    return _per("web_search", text, _SEARCHES_PER_PRICE)


def _per(key: str, text: str, unit: int) -> int:
    try:
        amount = parse_usd(text)
    except ValueError as error:
        raise ValueError(f"{key} = {error}") from None
    rate, rest = divmod(amount, unit)
    if rest or rate < 0:
        raise ValueError(f"{key} = {text!r} is negative, or finer than 10⁻¹² USD each")
    return rate


def parse_multiplier(key: str, text: str) -> Multiplier:
    """An exact factor from a decimal string: ``"1.1"`` is 11/10."""
    try:
        parse_usd(text)
    except ValueError as error:
        raise ValueError(f"{key} = {error}") from None
    return Fraction(text)


def cards_from_rows(
    rows: Iterable[Row], sources: Mapping[str, tuple[str, str]]
) -> tuple[RateCard, ...]:
    """The cards of a table; neighbouring rows of one model and day are the bands of one card."""
    grouped: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        grouped.setdefault(row[:2], []).append(row)
    return tuple(_card(group, sources) for group in grouped.values())


def _card(rows: list[Row], sources: Mapping[str, tuple[str, str]]) -> RateCard:
    model, valid_from, *_ = rows[-1]
    batch, geo, fast, search, names = rows[-1][8:]
    return RateCard(
        model=model,
        valid_from=date.fromisoformat(valid_from),
        bands=tuple(_band(row) for row in rows),
        batch=None if batch is None else parse_multiplier("batch", batch),
        geo=() if geo is None else (("us", parse_multiplier("geo.us", geo)),),
        fast=None if fast is None else parse_multiplier("fast", fast),
        web_search=None if search is None else parse_search(search),
        sources=tuple(_source(name, sources[name]) for name in names.split()),
    )


def _band(row: Row) -> Band:
    rates = {key: parse_rate(key, text) for key, text in zip(RATE_KEYS, row[3:8], strict=True)}
    return Band(up_to=row[2], rates=Rates(**rates))


def _source(name: str, where: tuple[str, str]) -> Source:
    url, read_on = where
    return Source(name=name, url=url, read_on=date.fromisoformat(read_on))
