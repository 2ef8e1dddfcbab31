"""Prices from an operator's file: TOML bytes in, cards and aliases out, every fault named.

    [[card]]
    model = "claude-opus-5-5"
    valid_from = 2026-12-01
    batch = "0.5"                  # factors; leave out what the model does not offer
    fast = "2"
    geo = { us = "1.1" }
    web_search = "10"              # $ per 1,000 searches
    [[card.bands]]                 # $ per million tokens; `up_to` on all but the last band
    uncached = "4"
    cache_write_5m = "5"
    cache_write_1h = "8"
    cache_read = "0.2"
    output = "20"

    [aliases]
    "eu.anthropic.claude-opus-5-5" = "claude-opus-5-5"

A card of an operator comes before list prices from its first day on. ``list_price = true`` marks a
card that ``farthing price --refresh`` found; it competes with the shipped ones by date only.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from difflib import get_close_matches
from typing import Final, TypeAlias, cast

from farthing.errors import ConfigError
from farthing.pricing.cards import Band, Multiplier, RateCard, Rates, Source
from farthing.pricing.entries import RATE_KEYS, parse_multiplier, parse_rate, parse_search
from farthing.pricing.money import dump_usd

__all__ = ["Overrides", "dump_overrides", "parse_overrides"]

_CARD_KEYS: Final = (
    "model",
    "valid_from",
    "bands",
    "batch",
    "fast",
    "geo",
    "web_search",
    "source",
    "list_price",
)
_BAND_KEYS: Final = ("up_to", *RATE_KEYS)
_TOP_KEYS: Final = ("card", "aliases")

_Table: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What a price file says."""

    #: the operator's own prices
    operated: tuple[RateCard, ...] = ()
    #: list prices found by a refresh
    listed: tuple[RateCard, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)


def parse_overrides(data: bytes, *, name: str = "prices file") -> Overrides:
    """Read a price file; ``ConfigError`` names the line, the key and what to do."""
    try:
        text = data.decode()
        tables = tomllib.loads(text, parse_float=str)  # the digits as written, not as rounded
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{name} is not TOML: {error}") from error
    _known_keys(tables, _TOP_KEYS, name)
    cards = _tables(tables.get("card", []), f"{name}: card")
    places = _card_places(text, name, len(cards))
    read = [_parse_card(card, place) for card, place in zip(cards, places, strict=True)]
    return Overrides(
        operated=tuple(card for card, listed in read if not listed),
        listed=tuple(card for card, listed in read if listed),
        aliases=_aliases(tables.get("aliases", {}), f"{name}: aliases"),
    )


def dump_overrides(overrides: Overrides) -> str:
    """The file that ``parse_overrides`` reads back as this value."""
    cards = [(card, False) for card in overrides.operated]
    cards += [(card, True) for card in overrides.listed]
    blocks = [_dump_card(card, listed=listed) for card, listed in cards]
    if overrides.aliases:
        names = sorted(overrides.aliases.items())
        blocks.append("\n".join(["[aliases]", *(f'"{a}" = "{model}"' for a, model in names)]))
    return "\n\n".join(blocks) + "\n" if blocks else ""


# --- reading ------------------------------------------------------------------------------------


def _parse_card(table: _Table, place: str) -> tuple[RateCard, bool]:
    _known_keys(table, _CARD_KEYS, place)
    listed = table.get("list_price", False)
    if not isinstance(listed, bool):
        raise ConfigError(f"{place}: list_price = {listed!r} must be true or false")
    try:
        return _card(table, place), listed
    except ValueError as error:
        raise ConfigError(f"{place}: {error}") from error


def _card(table: _Table, place: str) -> RateCard:
    geo = _table(table.get("geo", {}), f"{place}: geo")
    day = _required(table, "valid_from")
    if not isinstance(day, date) or isinstance(day, datetime):
        why = f"valid_from = {day!r} must be a day, unquoted: 2026-12-01"
        raise ValueError(why)  # noqa: TRY004 -- a fault of the file, caught and placed above
    bands = _tables(_required(table, "bands"), f"{place}: bands")
    source = _text("source", table.get("source", ""))
    return RateCard(
        model=_text("model", _required(table, "model")),
        valid_from=day,
        bands=tuple(_band(band, f"{place}: band {n}") for n, band in enumerate(bands, 1)),
        batch=_factor(table, "batch"),
        fast=_factor(table, "fast"),
        geo=tuple((name, parse_multiplier(f"geo.{name}", _text(name, geo[name]))) for name in geo),
        web_search=parse_search(_text("web_search", table["web_search"]))
        if "web_search" in table
        else None,
        sources=(Source(name="override", url=source, read_on=day),) if source else (),
    )


def _band(table: _Table, place: str) -> Band:
    _known_keys(table, _BAND_KEYS, place)
    up_to = table.get("up_to")
    if up_to is not None and (not isinstance(up_to, int) or isinstance(up_to, bool)):
        raise ValueError(f"up_to = {up_to!r} must be a whole number of tokens")
    rates = {key: parse_rate(key, _text(key, _required(table, key))) for key in RATE_KEYS}
    return Band(up_to=up_to, rates=Rates(**rates))


def _factor(table: _Table, key: str) -> Multiplier | None:
    return parse_multiplier(key, _text(key, table[key])) if key in table else None


def _required(table: _Table, key: str) -> object:
    if key not in table:
        raise ValueError(f"{key!r} is missing")
    return table[key]


def _text(key: str, value: object) -> str:
    """A string, or a whole number as one; floats arrive as text already."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"{key} = {value!r} must be a string or a number")


def _aliases(value: object, place: str) -> dict[str, str]:
    names = _table(value, place)
    wrong = [name for name, model in names.items() if not isinstance(model, str)]
    if wrong:
        raise ConfigError(f'{place}: {wrong[0]!r} must name a model: "alias" = "claude-…"')
    return {name: str(model) for name, model in names.items()}


def _known_keys(table: _Table, known: tuple[str, ...], place: str) -> None:
    for key in table:
        if key not in known:
            close = get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
            raise ConfigError(f"{place}: {key!r} is unknown; {hint}")


def _table(value: object, place: str) -> _Table:
    if not isinstance(value, dict):
        raise ConfigError(f"{place} must be a table, not {value!r}")
    return cast("dict[str, object]", value)  # a TOML key is always a string


def _tables(value: object, place: str) -> list[_Table]:
    if not isinstance(value, list):
        raise ConfigError(f"{place} must be an array of tables, not {value!r}")
    return [_table(item, place) for item in value]


def _card_places(text: str, name: str, count: int) -> list[str]:
    """Where each card starts, by line where they are written as ``[[card]]``."""
    heads = [m.start() for m in re.finditer(r"^[ \t]*\[\[[ \t]*card[ \t]*\]\]", text, re.MULTILINE)]
    if len(heads) != count:
        return [f"{name}: card {n}" for n in range(1, count + 1)]
    return [f"{name}, card at line {text.count(chr(10), 0, head) + 1}" for head in heads]


# --- writing ------------------------------------------------------------------------------------


def _dump_card(card: RateCard, *, listed: bool) -> str:
    lines = ["[[card]]", f'model = "{card.model}"', f"valid_from = {card.valid_from.isoformat()}"]
    lines += ["list_price = true"] if listed else []
    lines += [
        f'{key} = "{_decimal(f)}"' for key, f in (("batch", card.batch), ("fast", card.fast)) if f
    ]
    if card.geo:
        geo = ", ".join(f'"{name}" = "{_decimal(factor)}"' for name, factor in card.geo)
        lines += [f"geo = {{ {geo} }}"]
    if card.web_search is not None:
        lines += [f'web_search = "{dump_usd(card.web_search * 1000)}"']
    lines += [f'source = "{source.url}"' for source in card.sources[:1]]
    return "\n".join(
        [*lines, "bands = [", *(f"    {_dump_band(band)}," for band in card.bands), "]"]
    )


def _dump_band(band: Band) -> str:
    up_to = [] if band.up_to is None else [f"up_to = {band.up_to}"]
    rates = [f'{name} = "{dump_usd(rate * 10**6)}"' for name, rate in band.rates.items]
    return f"{{ {', '.join([*up_to, *rates])} }}"


def _decimal(factor: Multiplier) -> str:
    """A factor that was parsed from a decimal string, as one again."""
    return dump_usd((factor * 10**12).numerator)
