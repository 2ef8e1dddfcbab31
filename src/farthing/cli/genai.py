"""Reads the Anthropic prices of an installed ``genai-prices`` as dated bands.

The only module that knows that package. It is imported by ``farthing price --refresh`` and by the
script that generates the shipped cards, never by a pure floor: importing it loads an HTTP client.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from farthing.errors import ConfigError
from farthing.pricing import RATE_KEYS, Band, Multiplier, Rates

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from genai_prices.types import ModelInfo, ModelPrice

__all__ = ["UpstreamPrice", "genai_version", "read_genai_prices", "upstream_digest"]

_INSTALL_HINT: Final = "genai-prices is not installed: pip install 'farthing[prices]'"

#: our rate → its name there, in the order of RATE_KEYS
_PRICE_KEYS: Final = dict(
    zip(
        RATE_KEYS,
        (
            "input_mtok",
            "cache_write_mtok",
            "cache_write_1h_mtok",
            "cache_read_mtok",
            "output_mtok",
        ),
        strict=True,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamPrice:
    """What genai-prices says of one model from one day on."""

    #: None: since ever
    valid_from: date | None
    bands: tuple[Band, ...]
    batch: Multiplier | None
    fast: Multiplier | None
    web_search: int | None


def genai_version() -> str:
    """The installed version, for messages and sources."""
    return version("genai-prices")


def read_genai_prices() -> dict[str, tuple[UpstreamPrice, ...]]:
    """Model id → its dated prices, oldest first; models without cache prices are left out."""
    try:
        from genai_prices.data import providers  # noqa: PLC0415 -- the optional extra
    except ImportError as error:
        raise ConfigError(_INSTALL_HINT) from error
    models = next(provider.models for provider in providers if provider.id == "anthropic")
    read = {model.id: _dated_prices(model) for model in models}
    return {name: prices for name, prices in read.items() if prices}


def upstream_digest(prices: Sequence[UpstreamPrice]) -> str:
    """Changes when upstream changes its mind about a model."""
    return hashlib.sha256(repr(tuple(prices)).encode()).hexdigest()[:16]


def _dated_prices(model: ModelInfo) -> tuple[UpstreamPrice, ...]:
    if not isinstance(model.prices, list):
        price = _upstream_price(model, model.prices, None)
        return (price,) if price else ()
    dated = (
        _upstream_price(model, entry.prices, getattr(entry.constraint, "start_date", None))
        for entry in model.prices
    )
    return tuple(price for price in dated if price)


def _upstream_price(
    model: ModelInfo, price: ModelPrice, valid_from: date | None
) -> UpstreamPrice | None:
    if any(getattr(price, key) is None for key in _PRICE_KEYS.values()):
        return None
    search = getattr(price, "web_searches_kcount", None)
    return UpstreamPrice(
        valid_from=valid_from,
        bands=_bands(price),
        batch=_variant_factor(model, price, {"processing": "batch"}),
        fast=_variant_factor(model, price, {"speed": "fast"}),
        web_search=None if search is None else _whole(Fraction(search) * 10**9),
    )


def _bands(price: ModelPrice) -> tuple[Band, ...]:
    starts: set[int] = set()
    for key in _PRICE_KEYS.values():
        starts.update(tier.start for tier in getattr(getattr(price, key), "tiers", ()))
    ends = [*sorted(starts), None]
    return tuple(Band(up_to=end, rates=_rates_up_to(price, end)) for end in ends)


def _rates_up_to(price: ModelPrice, end: int | None) -> Rates:
    return Rates(**{name: _rate(getattr(price, key), end) for name, key in _PRICE_KEYS.items()})


def _rate(price: object, end: int | None) -> int:
    """10⁻¹² USD per token where the prompt has exactly ``end`` tokens, or more than all tiers."""
    if not isinstance(price, Decimal):
        tiers = getattr(price, "tiers", ())
        reached = [tier.price for tier in tiers if end is None or end > tier.start]
        price = reached[-1] if reached else getattr(price, "base", None)
    return _whole(Fraction(str(price)) * 10**6)


def _whole(amount: Fraction) -> int:
    if amount.denominator != 1:
        raise ConfigError(f"genai-prices has a price finer than 10⁻¹² USD: {amount}; report it")
    return amount.numerator


def _variant_factor(model: ModelInfo, price: ModelPrice, when: dict[str, str]) -> Multiplier | None:
    """The one factor between a variant and the plain price; None if there is no such variant."""
    variant = next((v for v in model.price_variants or () if dict(v.when) == when), None)
    if variant is None:
        return None
    pairs = zip(_bands(variant.prices)[0].rates.items, _bands(price)[0].rates.items, strict=True)
    factors = {Fraction(there, here) for (_, there), (_, here) in pairs if here}
    return factors.pop() if len(factors) == 1 else None
