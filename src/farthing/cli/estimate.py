"""``farthing estimate``: my numbers as a table, with and without a prompt cache."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from farthing.cli.arguments import (
    load_catalog,
    parse_count,
    parse_day,
    parse_gap,
    require_known,
    today_utc,
)
from farthing.cli.estimate_rows import (
    PricedModel,
    Row,
    notes_on,
    notes_on_cheaper,
    rows_of,
    short_name,
)
from farthing.cli.table import bold, render_table
from farthing.core.workload import Workload
from farthing.errors import ConfigError
from farthing.pricing import Catalog, RateCard, dump_usd, show_usd
from farthing.wire.models import ModelTraits

__all__ = ["DESCRIPTION", "HELP", "add_arguments", "run"]

HELP: Final = "Estimate what a conversation of your shape costs, cached and not"

DESCRIPTION: Final = """\
What a conversation of your shape costs, with and without a prompt cache.

  farthing estimate --prefix 4000 --turns 100 --model claude-sonnet-4-6
  farthing estimate --prefix 4000 --turns 100 --grow 500 --output 200 --gap 30s \\
                    --model claude-sonnet-4-6

PREFIX is what every turn sends unchanged (tools and system prompt). GROW is what
each turn adds to the history: answer, tool results, the next question. The first
turn sends the prefix alone. Costs are predicted by farthing's model of the
provider's prompt cache; no call is made."""

_MOST_TURNS: Final = 10_000
_TIERS: Final = ("haiku", "sonnet", "opus", "fable")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    add = parser.add_argument
    add("--model", required=True, metavar="MODEL", help="a Claude model id, as the API takes it")
    add("--prefix", required=True, type=parse_count, metavar="N", help="tokens every turn repeats")
    add("--turns", required=True, type=parse_count, metavar="N", help="requests in a conversation")
    add("--grow", type=parse_count, default=0, metavar="N", help="tokens each turn adds; default 0")
    add("--output", type=parse_count, default=0, metavar="N", help="output tokens per turn")
    add(
        "--gap",
        type=parse_gap,
        default=timedelta(seconds=30),
        metavar="T",
        help="time from request to request, such as 30s, 7m or 2h; default 30s",
    )
    add("--batch", action="store_true", help="price every row as items of a Message Batch")
    add("--on", type=parse_day, metavar="DATE", help="the day of the prices; default today (UTC)")
    add("--prices", type=Path, metavar="FILE", help="a TOML file of prices that come before ours")
    add("--json", action="store_true", help="print JSON; money as exact decimal strings")


def run(args: argparse.Namespace) -> int:
    """Simulate the conversation under each policy and print the bills."""
    on = args.on or today_utc()
    catalog = load_catalog(args.prices)
    card, traits = _model(catalog, args.model, on)
    workload = _workload(args)
    cheaper = _cheaper(catalog, card.model, on)
    rows = rows_of(workload, (card, traits), cheaper, batch=args.batch)
    notes = notes_on(workload, traits, rows)
    if cheaper is not None:
        notes += notes_on_cheaper(workload, cheaper[1])
    if args.json:
        print(json.dumps(_as_json(rows, notes)))
        return 0
    for notice in catalog.warnings(args.model, on=on):
        print(f"warning: {notice.text}", file=sys.stderr)
    _print(workload, rows, notes, batch=args.batch)
    return 0


def _model(catalog: Catalog, name: str, on: date) -> PricedModel:
    card = require_known(catalog, name, on=on)
    return card, catalog.traits(name) or ModelTraits(id=card.model)


def _workload(args: argparse.Namespace) -> Workload:
    if not args.prefix:
        raise ConfigError("--prefix is 0: say how many tokens every turn repeats")
    if not 1 <= args.turns <= _MOST_TURNS:
        raise ConfigError(f"--turns is {args.turns}; give 1 to {_MOST_TURNS:,}")
    return Workload(
        prefix_tokens=args.prefix,
        turns=args.turns,
        grow_tokens=args.grow,
        output_tokens=args.output,
        gap=args.gap,
    )


def _cheaper(catalog: Catalog, model: str, on: date) -> PricedModel | None:
    """The newest model one tier down that counts tokens alike and is still sold."""
    tier = next((index for index, name in enumerate(_TIERS) if name in model), 0)
    own = catalog.traits(model)
    found: list[tuple[date, RateCard, ModelTraits]] = []
    for card in catalog.cards:
        life, traits = catalog.lifecycle(card.model), catalog.traits(card.model)
        if life is None or traits is None or own is None or tier == 0:
            continue
        fits = _TIERS[tier - 1] in card.model and traits.tokenizer == own.tokenizer
        if fits and not catalog.warnings(card.model, on=on):
            found.append((life.released, catalog.require(card.model, on=on), traits))
    return max(found, key=lambda each: each[0])[1:] if found else None


# -- printing -------------------------------------------------------------------------------------


def _print(workload: Workload, rows: list[Row], notes: list[str], *, batch: bool) -> None:
    for note in notes:
        print(bold(note, sys.stdout))
    shape = (
        f"{short_name(rows[0].model)}: {workload.turns:,} turns, one every {_span(workload.gap)}, "
        f"prefix {workload.prefix_tokens:,} + {workload.grow_tokens:,} a turn, "
        f"{workload.output_tokens:,} out{', as a batch' if batch else ''}"
    )
    print(shape + "\n")
    naive = rows[0].cost.total
    table = [
        [
            row.label,
            f"{row.usage.cache_read:,}",
            f"{row.usage.cache_write_5m + row.usage.cache_write_1h:,}",
            show_usd(row.input_cost, 4),
            show_usd(row.cost.total, 4),
            _change(row.cost.total, naive),
        ]
        for row in rows
    ]
    print(render_table(["predicted", "read", "written", "input", "total", "change"], table))


def _change(cost: int, naive: int) -> str:
    if cost == naive or not naive:
        return "–"
    return f"{cost / naive - 1:+.1%}".replace("-", "−")


def _span(gap: timedelta) -> str:
    seconds = gap.total_seconds()
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size and not seconds % size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _as_json(rows: list[Row], notes: list[str]) -> dict[str, object]:
    naive = rows[0].cost.total
    return {
        "predicted": True,
        "notes": notes,
        "rows": [
            {
                "label": row.label,
                "model": row.model,
                "prompt_tokens": row.usage.prompt,
                "cache_read_tokens": row.usage.cache_read,
                "cache_write_tokens": row.usage.cache_write_5m + row.usage.cache_write_1h,
                "output_tokens": row.usage.output,
                "input_usd": dump_usd(row.input_cost),
                "total_usd": dump_usd(row.cost.total),
                "ratio_to_no_cache": row.cost.total / naive if naive else None,
            }
            for row in rows
        ],
    }
