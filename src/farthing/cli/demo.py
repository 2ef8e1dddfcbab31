"""``farthing demo``: one agent conversation, priced as sent and as the prompt cache bills it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Final

from farthing.cli.arguments import load_catalog, parse_day
from farthing.cli.conversation import Caching, Conversation, bill, parse_conversation
from farthing.cli.table import bold, render_table
from farthing.errors import ConfigError, UnpricedModelError
from farthing.pricing import Catalog, Cost, RateCard, dump_usd, show_usd

__all__ = ["HELP", "add_arguments", "run"]

HELP: Final = "Price one agent conversation as sent and cached, side by side"

_COLUMNS: Final[dict[Caching, str]] = {"none": "as sent", "5m": "marked, 5 m", "1h": "marked, 1 h"}
#: the same counts on other models; the price is all that changes
_OTHERS: Final = ("claude-haiku-5-5", "claude-sonnet-5-5", "claude-fable-5-2", "claude-sonnet-4-6")


_FIVE_MINUTES: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bills:
    talk: Conversation
    card: RateCard
    costs: dict[Caching, Cost]

    @property
    def best(self) -> Caching:
        return min(("5m", "1h"), key=lambda caching: self.costs[caching].total)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    add = parser.add_argument
    add("file", nargs="?", type=Path, metavar="FILE", help="a conversation of your own, as JSON")
    add("--model", metavar="MODEL", help="price it on this model")
    add("--on", type=parse_day, metavar="DATE", help="at the prices of this day; default today")
    add("--json", action="store_true", help="print JSON; money as exact decimal strings")


def run(args: argparse.Namespace) -> int:
    """Print the bills."""
    talk = _conversation(args.file)
    on = args.on or date.today()
    catalog = load_catalog()
    bills = _bills(talk, args.model or talk.model, catalog, on)
    if args.json:
        print(json.dumps(_as_json(bills)))
        return 0
    print("\n".join(_page(bills, catalog, on)))
    return 0


def _conversation(path: Path | None) -> Conversation:
    if path is None:
        data = files("farthing.cli").joinpath("conversation.json").read_bytes()
        return parse_conversation(data, name="conversation.json")
    try:
        return parse_conversation(path.read_bytes(), name=str(path))
    except OSError as error:
        raise ConfigError(f"cannot read {str(path)!r}: {error.strerror}") from error


def _bills(talk: Conversation, model: str, catalog: Catalog, on: date) -> _Bills:
    card = catalog.require(model, on=on)
    traits = catalog.traits(model)
    least = traits.min_cacheable_tokens if traits else 0
    costs = {caching: bill(talk, caching, card, min_tokens=least) for caching in _COLUMNS}
    return _Bills(talk=talk, card=card, costs=costs)


def _page(bills: _Bills, catalog: Catalog, on: date) -> Iterator[str]:
    talk = bills.talk
    yield f"{talk.title}: {len(talk.turns)} turns on {bills.card.model}, prices of {on}\n"
    yield _table(bills)
    yield ""
    yield _finding(bills)
    yield ""
    yield "The same token counts on other models:\n"
    yield _others(bills, catalog, on)
    yield ""
    yield "The token counts are written for this demo; `farthing price --list` has the prices."
    yield "The discount is the provider's too: any client gets it by marking its prompt."


def _table(bills: _Bills) -> str:
    named = [dict(cost.components) for cost in bills.costs.values()]
    rows = [
        [
            name.replace("_", " "),
            *(show_usd(parts[name], 4) if parts[name] else "-" for parts in named),
        ]
        for name in named[0]
        if any(parts[name] for parts in named)
    ]
    totals = [show_usd(cost.total, 4) for cost in bills.costs.values()]
    rows.append(["total", *totals])
    table = render_table(["", *_COLUMNS.values()], rows, total=True)
    body, _, last = table.rpartition("\n")
    return f"{body}\n{bold(last, sys.stdout)}"


def _finding(bills: _Bills) -> str:
    """What the table shows, in figures computed from it."""
    talk = bills.talk
    sent = sum(prompt for _, prompt in talk.prompts())
    first_seen = talk.tools + talk.system + sum(t.new + t.output for t in talk.turns[:-1])
    first_seen += talk.turns[-1].new
    before, after = bills.costs["none"].total, bills.costs[bills.best].total
    again = 1 - first_seen / sent
    best = _COLUMNS[bills.best].partition(", ")[2]
    text = (
        f"{sent:,} prompt tokens were sent, {again:.0%} of them not for the first time.\n"
        f"Marked for the prompt cache ({best}), the bill is {_change(before, after)} "
        f"of what it was: {show_usd(after, 4)} for {show_usd(before, 4)}."
    )
    pauses = sum(b.at - a.at >= _FIVE_MINUTES for a, b in pairwise(talk.turns))
    if pauses:
        often = "once" if pauses == 1 else f"{pauses} times"
        text += (
            f"\nThe conversation paused for five minutes or more {often}: with 5 m marks all of it "
            "was\nthen written again; 1 h marks cost more to write and outlive that."
        )
    return text


def _others(bills: _Bills, catalog: Catalog, on: date) -> str:
    rows = []
    for model in (bills.card.model, *(m for m in _OTHERS if m != bills.card.model)):
        try:
            other = _bills(bills.talk, model, catalog, on)
        except UnpricedModelError:  # not yet released on that day
            continue
        before, after = other.costs["none"].total, other.costs[other.best].total
        rows.append([model, show_usd(before, 4), show_usd(after, 4), _change(before, after)])
    return render_table(["", "as sent", "marked, the better TTL", "of the bill"], rows)


def _change(before: int, after: int) -> str:
    return f"{after / before:.0%}" if before else "100%"


def _as_json(bills: _Bills) -> dict[str, object]:
    before, after = bills.costs["none"].total, bills.costs[bills.best].total
    return {
        "title": bills.talk.title,
        "model": bills.card.model,
        "rate_card": bills.card.id,
        "turns": len(bills.talk.turns),
        "currency": "USD",
        "costs": {caching: cost.dump() for caching, cost in bills.costs.items()},
        "best": bills.best,
        "ratio": after / before if before else 1.0,
        "saved_usd": dump_usd(before - after),
    }
