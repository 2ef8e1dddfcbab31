"""Dated rate cards and what usage costs on them; pure: no files, no clock, no network."""

from __future__ import annotations

from farthing.pricing.billing import effective_rates, is_refusal_billed, price
from farthing.pricing.breakeven import PINGS_PER_HOUR, BreakEven, break_even
from farthing.pricing.cards import (
    Band,
    Multiplier,
    RateCard,
    RateCardId,
    Rates,
    Source,
    card_digest,
    set_digest,
)
from farthing.pricing.catalog import (
    CardLookup,
    Catalog,
    catalog,
    find_card,
    require_card,
    traits,
    warnings,
)
from farthing.pricing.entries import RATE_KEYS, cards_from_rows
from farthing.pricing.lifecycle import Lifecycle, Notice
from farthing.pricing.money import Cost, PicoUsd, dump_usd, parse_usd, show_usd
from farthing.pricing.overrides import Overrides, dump_overrides, parse_overrides

__all__ = [
    "PINGS_PER_HOUR",
    "RATE_KEYS",
    "Band",
    "BreakEven",
    "CardLookup",
    "Catalog",
    "Cost",
    "Lifecycle",
    "Multiplier",
    "Notice",
    "Overrides",
    "PicoUsd",
    "RateCard",
    "RateCardId",
    "Rates",
    "Source",
    "break_even",
    "card_digest",
    "cards_from_rows",
    "catalog",
    "dump_overrides",
    "dump_usd",
    "effective_rates",
    "find_card",
    "is_refusal_billed",
    "parse_overrides",
    "parse_usd",
    "price",
    "require_card",
    "set_digest",
    "show_usd",
    "traits",
    "warnings",
]
