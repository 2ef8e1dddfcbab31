"""The rate cards themselves: all as a table, one in full, either as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date

from farthing.cli.table import render_table
from farthing.pricing import Band, Catalog, RateCard, Rates, card_digest, dump_usd

__all__ = ["cards_as_json", "print_card", "print_cards"]

_HEADERS = ["model", "from", "in", "write 5m", "1h", "read", "out"]


def print_cards(catalog: Catalog, *, on: date) -> str:
    """One line per band of every card, in $/Mtok, with a mark where a model has gone."""
    cards = sorted(catalog.cards, key=lambda card: (card.model, card.valid_from))
    rows = [row for card in cards for row in _rows(card, catalog, on)]
    sources = {s.name: f"{s.url} ({s.read_on})" for card in cards for s in card.sources}
    return "\n".join(
        [
            render_table(_HEADERS, rows, align="llrrrrr"),
            "",
            "$ per million tokens; `<=N`, `>N`: requests whose whole prompt has so many tokens.",
            "* deprecated  † retired  (`farthing price MODEL` says when)",
            "sources: " + "\n         ".join(sources[name] for name in sorted(sources)),
        ]
    )


def _rows(card: RateCard, catalog: Catalog, on: date) -> Iterator[list[str]]:
    codes = {notice.code for notice in catalog.warnings(card.model, on=on)}
    mark = "†" if "retired" in codes else "*" if "deprecated" in codes else ""
    for band, name in zip(card.bands, _band_names(card.bands), strict=True):
        first = band is card.bands[0]
        label = f"{card.model}{mark}" if first else ""
        label = f"{label} {name}".strip() if first else f"  {name}"
        yield [label, card.valid_from.isoformat() if first else "", *_dollars(band.rates)]


def _band_names(bands: tuple[Band, ...]) -> list[str]:
    ends = [band.up_to for band in bands if band.up_to is not None]
    if not ends:
        return [""]
    return [*(f"<={_thousands(end)}" for end in ends), f">{_thousands(ends[-1])}"]


def _thousands(tokens: int) -> str:
    return f"{tokens:,}" if tokens % 1000 else f"{tokens // 1000}k"


def _dollars(rates: Rates) -> list[str]:
    return [dump_usd(rate * 10**6) for _, rate in rates.items]


def print_card(card: RateCard, catalog: Catalog) -> str:
    """One card in full, with what is known of the model."""
    rows = [
        [name or "any prompt", *_dollars(band.rates)]
        for band, name in zip(card.bands, _band_names(card.bands), strict=True)
    ]
    lines = [f"{card.id}  ($ per million tokens)", ""]
    lines += [render_table(["prompt", *_HEADERS[2:]], rows), ""]
    lines += [f"{name:<18}{value}" for name, value in _facts(card, catalog)]
    return "\n".join(lines)


def _facts(card: RateCard, catalog: Catalog) -> Iterator[tuple[str, str]]:
    factors = (
        ("batch", card.batch),
        *((f"geo {name}", f) for name, f in card.geo),
        ("fast", card.fast),
    )
    for name, factor in factors:
        yield name, "no" if factor is None else f"× {float(factor):g}"
    if card.web_search is not None:
        yield "web search", f"${dump_usd(card.web_search * 1000)} per 1,000"
    traits, life = catalog.traits(card.model), catalog.lifecycle(card.model)
    if traits:
        yield "shortest cached", f"{traits.min_cacheable_tokens:,} tokens"
        yield "context", f"{traits.context_tokens:,} tokens, output {traits.max_output_tokens:,}"
        yield "tokenizer", f"{traits.tokenizer} (new: about 30 % more tokens for the same text)"
    if life:
        yield "released", f"{life.released}" + (f", retires {life.retires}" if life.retires else "")
    for source in card.sources:
        yield "source", f"{source.url} ({source.read_on})"


def cards_as_json(catalog: Catalog, *, model: str | None = None) -> str:
    """Every card as JSON, prices as exact decimal strings in $/Mtok."""
    cards = [card for card in catalog.cards if model in {None, card.model}]
    return json.dumps([_card_as_json(card, catalog) for card in cards], indent=1)


def _card_as_json(card: RateCard, catalog: Catalog) -> dict[str, object]:
    life = catalog.lifecycle(card.model)
    return {
        "id": card.id,
        "model": card.model,
        "valid_from": card.valid_from.isoformat(),
        "digest": card_digest(card),
        "currency": "USD",
        "bands": [
            {"up_to": band.up_to}
            | {name: dump_usd(rate * 10**6) for name, rate in band.rates.items}
            for band in card.bands
        ],
        "batch": None if card.batch is None else str(float(card.batch)),
        "geo": {name: str(float(factor)) for name, factor in card.geo},
        "fast": None if card.fast is None else str(float(card.fast)),
        "web_search_per_1000": None
        if card.web_search is None
        else dump_usd(card.web_search * 1000),
        "deprecated": life.deprecated.isoformat() if life and life.deprecated else None,
        "retires": life.retires.isoformat() if life and life.retires else None,
        "sources": [{"url": s.url, "read_on": s.read_on.isoformat()} for s in card.sources],
    }
