"""Closes an ``unsettled`` row once it is known what the provider counted; pure.

The step is ``unsettled → settled`` of the state table, so a ledger takes it once. What is known of
the answer otherwise (its status, its times, the model that began to answer) stays.
"""

from __future__ import annotations

from msgspec.structs import replace

from farthing.core.records import ExchangeRow, Settlement
from farthing.errors import RequestError, UnpricedModelError
from farthing.pricing.billing import price
from farthing.pricing.catalog import Catalog
from farthing.wire.usage import Usage

__all__ = ["closed", "model_of"]


def model_of(row: ExchangeRow) -> str | None:
    """The model that answered, else the one that was asked."""
    served = row.settlement.model_served if row.settlement is not None else None
    return served or row.opened.model_asked


def closed(
    row: ExchangeRow, usage: Usage, *, prices: Catalog, note: str, model: str | None = None
) -> Settlement:
    """The settlement of an unsettled row by its usage; its price is that of the day it was made."""
    before = row.settlement
    if before is None or before.state != "unsettled":
        raise RequestError(
            f"exchange {row.opened.exchange_id!r} is {row.state!r}: only an 'unsettled' one can be "
            "settled later"
        )
    name = model or model_of(row)
    day = row.opened.opened_at
    card = prices.find(name, on=day) if name else None
    if card is None:
        raise UnpricedModelError(f"no price is known for {name!r}: name one with --model")
    cost = price(usage, card, cards=prices.on(day))
    is_untouched = not any(reason.startswith("+") for reason in before.plan)
    return replace(
        before,
        state="settled",
        model_served=name,
        usage=usage,
        cost=cost,
        low_pico=None,
        high_pico=None,
        rate_card_id=card.id,
        baseline_pico=cost.total if is_untouched else None,
        notes=(*before.notes, note),
    )
