"""What usage cost: usage × rate card → ``Cost``, exact.

Theory of operation (API facts sections 1.3, 1.4, 1.6 and 6.2; provider's pricing page, read
2026-10-10). One sampling pass costs its five token counts at the rates of its band, times a factor
for how it was *served*: batch, region, speed. Usage says how it was served, so usage is trusted and
the request is not: ``speed: fast`` on Opus 4.6 is accepted and served as standard.

* The band is chosen by the total prompt and prices the output too.
* Fees of server tools are added once, never scaled.
* If ``usage.iterations`` is present it replaces the top-level counts, which leave out compaction,
  advisor and declined attempts; each entry is a pass with a band and a model of its own. Another
  model that has no fast mode was not served fast, whatever the top level says.
* What cannot be priced raises ``UnpricedModelError``; nothing is ever priced at 0 for want of data.

Factors stack by multiplication in exact fractions. Cards refuse rates that would leave a remainder
(``RateCard``), so there is no rounding here at all.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final

import msgspec

from farthing.errors import UnpricedModelError
from farthing.pricing.cards import ONE, Multiplier, RateCard, Rates
from farthing.pricing.money import Cost

if TYPE_CHECKING:
    from farthing.pricing.catalog import CardLookup
    from farthing.wire.usage import Iteration, Usage

__all__ = ["effective_rates", "is_refusal_billed", "price"]

#: served without a surcharge; "not_available" is what older models report
_PLAIN_GEOS: Final = frozenset({None, "", "global", "not_available"})
_PLAIN_SPEEDS: Final = frozenset({None, "standard"})
#: Priority Tier burns commitments down at the weights of the price list, so the list prices it
_PLAIN_TIERS: Final = frozenset({None, "standard", "priority"})
_KNOWN_TIERS: Final = _PLAIN_TIERS | {"batch"}

#: refusals before any output are free, except these since that day (provider's pricing notes)
_BILLED_REFUSALS: Final = frozenset({"bio", "frontier_llm", "reasoning_extraction"})
_BILLED_REFUSALS_SINCE: Final = date(2026, 9, 24)


def price(
    usage: Usage,
    card: RateCard,
    *,
    cards: CardLookup | None = None,
    batch: bool | None = None,
    declined_billed: bool = False,
) -> Cost:
    """What this usage cost on this card.

    Args:
        usage: what the provider counted.
        card: the card of the model that answered, on the day it answered.
        cards: finds the cards of other models that ``usage.iterations`` names
            (``catalog().on(day)``).
        batch: whether this was a batch item; None: as ``usage.service_tier`` says.
        declined_billed: whether attempts that were declined before any output are billed
            (``is_refusal_billed``).
    """
    if not batch and _is_plain(usage):
        return _pass_cost(usage, card, ONE)
    served_batch = usage.service_tier == "batch" if batch is None else batch
    fees = _search_fees(usage, card)
    if not usage.iterations:
        return _pass_cost(usage, card, _factor(usage, card, batch=served_batch), fees)
    bill = Cost(server_tools=fees)
    # Entries carry counts only: how they were served stands at the top level.
    for index, entry in enumerate(usage.iterations):
        if _is_declined(usage.iterations, index) and not declined_billed:
            continue
        own = _card_of(entry, card, cards)
        served = usage if own is card or own.fast else msgspec.structs.replace(usage, speed=None)
        bill += _pass_cost(entry.usage, own, _factor(served, own, batch=served_batch))
    return bill


def effective_rates(card: RateCard, *, prompt_tokens: int, factor: Multiplier = ONE) -> Rates:
    """The rates per token a request of this size meets, all multipliers applied."""
    return card.rates_for(prompt_tokens).scaled(factor)


def is_refusal_billed(category: str | None, *, output_tokens: int, on: date) -> bool:
    """Whether an answer that stopped with ``refusal`` costs anything.

    Refused in mid-stream, it is billed as usual. Refused before any output it is free, except for
    three categories since 2026-09-24.
    """
    if output_tokens:
        return True
    return category in _BILLED_REFUSALS and on >= _BILLED_REFUSALS_SINCE


def _is_plain(usage: Usage) -> bool:
    """One pass at the listed rates: nearly every answer, found out by a few looks."""
    return (
        not usage.iterations
        and not usage.web_search_requests
        and usage.speed in _PLAIN_SPEEDS
        and usage.service_tier in _PLAIN_TIERS
        and usage.inference_geo in _PLAIN_GEOS
    )


def _pass_cost(usage: Usage, card: RateCard, factor: Multiplier, fees: int = 0) -> Cost:
    rates = card.rates_for(usage.prompt)
    if factor is not ONE:
        rates = rates.scaled(factor)
    return Cost(
        uncached=usage.uncached * rates.uncached,
        cache_write_5m=usage.cache_write_5m * rates.cache_write_5m,
        cache_write_1h=usage.cache_write_1h * rates.cache_write_1h,
        cache_read=usage.cache_read * rates.cache_read,
        output=usage.output * rates.output,
        server_tools=fees,
    )


def _search_fees(usage: Usage, card: RateCard) -> int:
    if not usage.web_search_requests:
        return 0
    if card.web_search is None:
        raise _unpriced(card, f"{usage.web_search_requests} web searches")
    return usage.web_search_requests * card.web_search


def _factor(usage: Usage, card: RateCard, *, batch: bool) -> Multiplier:
    """How the answer was served, as one exact factor on this card's rates."""
    factor = _geo_factor(usage.inference_geo, card)
    if usage.speed not in _PLAIN_SPEEDS:
        fast = card.fast if usage.speed == "fast" else None
        if fast is None:
            raise _unpriced(card, f"speed {usage.speed!r}")
        factor *= fast
    if batch:
        if card.batch is None:
            raise _unpriced(card, "batches")
        factor *= card.batch
    elif usage.service_tier not in _KNOWN_TIERS:
        raise _unpriced(card, f"service tier {usage.service_tier!r}")
    return factor


def _geo_factor(geo: str | None, card: RateCard) -> Multiplier:
    """The surcharge of a region; a card without any is of a model that has no regions."""
    if geo in _PLAIN_GEOS or not card.geo:
        return ONE
    factor = dict(card.geo).get(geo or "")
    if factor is None:
        raise _unpriced(card, f"inference_geo {geo!r}")
    return factor


def _card_of(entry: Iteration, card: RateCard, cards: CardLookup | None) -> RateCard:
    if entry.model is None or entry.model == card.model:
        return card
    found = cards(entry.model) if cards else None
    if found is None:
        raise UnpricedModelError(
            f"an iteration of type {entry.type!r} ran on {entry.model!r}, which has no price here; "
            "pass cards=catalog().on(day), or give the model a card",
            model=entry.model,
        )
    return found


def _is_declined(entries: tuple[Iteration, ...], index: int) -> bool:
    """Whether this attempt stopped before any output and another model took over.

    Facts section 6.2: the SDK gives a declined hop the type ``message``; only the pass that
    completes a fallback is a ``fallback_message``.
    """
    entry = entries[index]
    later = (other.type for other in entries[index + 1 :])
    return entry.type == "message" and entry.usage.output == 0 and "fallback_message" in later


def _unpriced(card: RateCard, what: str) -> UnpricedModelError:
    return UnpricedModelError(
        f"rate card {card.id} has no price for {what}; give one with an override file",
        model=card.model,
    )
