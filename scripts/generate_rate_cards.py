"""Writes the shipped rate cards: the installed genai-prices joined with ``supplement.toml``.

    python -m scripts.generate_rate_cards            # append what is new, rewrite the model table
    python -m scripts.generate_rate_cards --check    # change nothing; exit 1 if files are stale

Append-only. A released card is never edited: a run that would change one stops and names it. A
price that moved upstream becomes a new card dated ``--on`` (today), unless upstream or the
supplement dates it. ``tests/golden/pricing/rate_cards.json`` pins each card and the whole set.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from dataclasses import replace
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

from farthing.cli.genai import UpstreamPrice, genai_version, read_genai_prices, upstream_digest
from farthing.pricing import (
    Band,
    RateCard,
    Rates,
    card_digest,
    cards_from_rows,
    dump_usd,
    set_digest,
)
from farthing.pricing import generated_cards as shipped
from farthing.pricing.entries import RATE_KEYS, Row, parse_multiplier, parse_rate
from scripts.rate_card_tables import cards_module, models_module

ROOT = Path(__file__).resolve().parent.parent
SUPPLEMENT = ROOT / "scripts" / "supplement.toml"
CARDS = ROOT / "src" / "farthing" / "pricing" / "generated_cards.py"
MODELS = ROOT / "src" / "farthing" / "pricing" / "generated_models.py"
PINS = ROOT / "tests" / "golden" / "pricing" / "rate_cards.json"

Model = dict[str, Any]


def main(argv: list[str] | None = None) -> int:
    """Generate, and say what changed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 if stale")
    parser.add_argument("--on", type=date.fromisoformat, default=date.today(), metavar="DATE")
    args = parser.parse_args(argv)
    stale = False
    for path, text in outputs(args.on).items():
        if path.exists() and path.read_text() == text:
            continue
        stale = True
        print(f"{'stale' if args.check else 'wrote'} {path.relative_to(ROOT)}")
        if not args.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return int(stale and args.check)


def outputs(on: date) -> dict[Path, str]:
    """Every generated file with the text it should have."""
    supplement = tomllib.loads(SUPPLEMENT.read_text())
    upstream = read_genai_prices()
    sources = {name: (s["url"], s["read"].isoformat()) for name, s in supplement["sources"].items()}
    rows = appended(shipped.CARDS, wanted_rows(supplement["model"], upstream), on)
    ours = {
        name: [ours for ours, m in supplement["model"].items() if m.get("genai", ours) == name]
        for name in upstream
    }
    seen = {name: (upstream_digest(prices), ours[name]) for name, prices in upstream.items()}
    cards = cards_from_rows(rows, sources)
    return {
        CARDS: cards_module(rows, sources, seen, genai_version()),
        MODELS: models_module(supplement["model"], supplement["behaviour"]),
        PINS: pins(cards),
    }


def pins(cards: tuple[RateCard, ...]) -> str:
    """The digests that keep the past as it was; an existing pin is never replaced."""
    known = json.loads(PINS.read_text())["cards"] if PINS.exists() else {}
    found = {card.id: card_digest(card) for card in cards}
    text = {"set": set_digest(cards), "cards": found | known}
    return json.dumps(text, indent=2) + "\n"


# --- what the joined sources say ----------------------------------------------------------------


def wanted_rows(
    models: dict[str, Model], upstream: dict[str, tuple[UpstreamPrice, ...]]
) -> dict[tuple[str, str], list[Row]]:
    """(model, day) → the bands of the card that both sources together ask for."""
    wanted: dict[tuple[str, str], list[Row]] = {}
    for name, model in models.items():
        if "unpriced" in model:
            continue
        prices = upstream[model.get("genai", name)]
        for day, changes in card_days(model, prices).items():
            wanted[name, day.isoformat()] = card_rows(name, day, model | changes, prices)
    return wanted


def card_days(model: Model, prices: tuple[UpstreamPrice, ...]) -> dict[date, Model]:
    """The days on which this model gets a card, with the supplement's changes for each."""
    released: date = model["released"]
    changes = {change["from"]: change for change in model.get("change", [])}
    upstream = {price.valid_from or released for price in prices}
    days = sorted({released, *changes, *(day for day in upstream if day > released)})
    in_force: Model = {}
    found = {}
    for day in days:
        in_force = changes.get(day, in_force)
        found[day] = in_force
    return found


def card_rows(name: str, day: date, model: Model, prices: tuple[UpstreamPrice, ...]) -> list[Row]:
    """One card, band by band."""
    price = [p for p in prices if p.valid_from is None or p.valid_from <= day][-1]
    search = None if price.web_search is None else dump_usd(price.web_search * 1000)
    factors = (model["batch"], model.get("geo"), model.get("fast") or None, search)
    sources = model.get("sources", "pricing genai")
    return [
        (name, day.isoformat(), band.up_to, *dollars(band.rates), *factors, sources)
        for band in changed_bands(price.bands, model)
    ]


def changed_bands(bands: tuple[Band, ...], model: Model) -> tuple[Band, ...]:
    """Upstream's bands with what the supplement knows better."""
    if model.get("flat"):
        bands = (Band(up_to=None, rates=bands[0].rates),)
    given = {key: parse_rate(key, model[key]) for key in RATE_KEYS if key in model}
    bands = tuple(replace(band, rates=replace(band.rates, **given)) for band in bands)
    if "over" not in model:
        return bands
    (flat,) = bands
    above = surcharged(flat.rates, model["input_factor"], model["output_factor"])
    return (Band(up_to=model["over"], rates=flat.rates), Band(up_to=None, rates=above))


def surcharged(rates: Rates, on_input: str, on_output: str) -> Rates:
    """The long-context surcharge: one factor on all that goes in, another on what comes out."""
    dear = rates.scaled(parse_multiplier("input_factor", on_input))
    output = rates.output * Fraction(on_output)
    return replace(dear, output=output.numerator)


def dollars(rates: Rates) -> tuple[str, str, str, str, str]:
    """Rates as a price page prints them, in $/Mtok."""
    a, b, c, d, e = (dump_usd(rate * 10**6) for _, rate in rates.items)
    return a, b, c, d, e


# --- append, never edit -------------------------------------------------------------------------


def appended(
    released: tuple[Row, ...], wanted: dict[tuple[str, str], list[Row]], on: date
) -> list[Row]:
    """The released rows as they are, then what is new; ``SystemExit`` where the past would move."""
    past: dict[tuple[str, str], list[Row]] = {}
    for row in released:
        past.setdefault(row[:2], []).append(row)
    rows = list(released)
    for key, card in wanted.items():
        if key not in past:
            rows.extend(card)
        elif prices_of(card) != prices_of(past[key]):
            last = key == max(other for other in wanted if other[0] == key[0])
            rows.extend(redated(card, past, on=on, last=last))
    return rows


def redated(
    card: list[Row], past: dict[tuple[str, str], list[Row]], *, on: date, last: bool
) -> list[Row]:
    """The moved price as a card of its own from ``on``, unless an earlier run already did that."""
    model, day = card[0][:2]
    newest = max(key for key in past if key[0] == model)
    if last and prices_of(past[newest]) == prices_of(card):
        return []
    if not last or on.isoformat() <= newest[1]:
        raise SystemExit(
            f"{model}@{day} is released and would change. Date the new price: add a change of "
            f"{model!r} to {SUPPLEMENT.name} with a `from` after {newest[1]}, or run with --on DATE"
        )
    return [(row[0], on.isoformat(), *row[2:]) for row in card]


def prices_of(card: list[Row]) -> list[tuple[object, ...]]:
    """What of a card is a price: all but its day and its sources."""
    return [row[2:-1] for row in card]


if __name__ == "__main__":
    sys.exit(main())
