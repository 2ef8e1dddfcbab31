"""``farthing price --refresh``: newer list prices of an installed genai-prices, appended to a file.

The past is never edited: a card that exists stays, here as in the package. A price that moved
upstream becomes a card of its own, dated as upstream dates it or, where it does not, today.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Final

from farthing.cli.arguments import load_catalog
from farthing.cli.genai import (
    UpstreamPrice,
    genai_version,
    read_genai_prices,
    upstream_digest,
)
from farthing.pricing import (
    Catalog,
    Overrides,
    RateCard,
    Source,
    dump_overrides,
    generated_cards,
)

__all__ = ["append_cards", "new_cards", "refresh"]

#: the surcharge of every model since 4.6, so also of one that is newer than this farthing
_GEO: Final = (("us", Fraction(11, 10)),)
_ADDRESS: Final = "https://github.com/pydantic/genai-prices"


def refresh(path: Path, *, today: date, as_json: bool) -> int:
    """Append what is new to the price file, and say what that was."""
    upstream = read_genai_prices()
    known = load_catalog(path if path.is_file() else None)
    found = tuple(new_cards(upstream, known, seen=_digests(), today=today))
    if found:
        append_cards(path, found, today)
    _report(path, found, as_json=as_json)
    return 0


def new_cards(
    upstream: Mapping[str, tuple[UpstreamPrice, ...]],
    known: Catalog,
    *,
    seen: Mapping[str, tuple[str, tuple[str, ...]]],
    today: date,
) -> Iterator[RateCard]:
    """A card for each price that moved since the shipped cards were generated.

    Only what *changed* upstream counts: where upstream and we have always differed, the difference
    is declared in the supplement and stays.
    """
    for name, prices in upstream.items():
        digest, models = seen.get(name, ("", (name,)))
        if upstream_digest(prices) != digest:
            for model in models:
                yield from _moved(model, prices, known, today)


def _moved(
    model: str, prices: tuple[UpstreamPrice, ...], known: Catalog, today: date
) -> Iterator[RateCard]:
    in_force = [p for p in prices if p.valid_from is None or p.valid_from <= today][-1:]
    announced = [p for p in prices if p.valid_from is not None and p.valid_from > today]
    for price in in_force + announced:
        card = known.find(model, on=price.valid_from or today)
        card = card if card is None or price in announced else known.find(model, on=today)
        if card is not None and card.bands == price.bands:
            continue
        day = price.valid_from or today
        if card is not None and day <= card.valid_from:
            day = today
        yield _card(model, day, price, card)


def _card(model: str, day: date, price: UpstreamPrice, before: RateCard | None) -> RateCard:
    return RateCard(
        model=model,
        valid_from=day,
        bands=price.bands,
        batch=price.batch or (before.batch if before else None),
        geo=before.geo if before else _GEO,
        fast=price.fast or (before.fast if before else None),
        web_search=price.web_search,
        sources=(Source(name="genai", url=_ADDRESS, read_on=day),),
    )


def _digests() -> Mapping[str, tuple[str, tuple[str, ...]]]:
    return generated_cards.UPSTREAM


def append_cards(path: Path, cards: tuple[RateCard, ...], today: date) -> None:
    """Add cards at the end of a price file; nothing that stands there is touched."""
    text = dump_overrides(Overrides(listed=cards))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"\n# from genai-prices {genai_version()}, {today}\n{text}")


def _report(path: Path, found: tuple[RateCard, ...], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"file": str(path), "added": [card.id for card in found]}))
    elif found:
        print(f"{len(found)} new rate cards in {path}:")
        print("\n".join(f"  {card.id}" for card in found))
    else:
        print(f"nothing new: genai-prices {genai_version()} says what the shipped cards say")
        print("`pip install -U genai-prices` first, to see newer ones")
