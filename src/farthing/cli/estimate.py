"""``farthing estimate``: my numbers as a table, with and without a prompt cache."""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from farthing.cli.arguments import load_catalog, parse_count, parse_day, parse_gap
from farthing.cli.main import did_you_mean
from farthing.cli.table import bold, render_table
from farthing.core.workload import CachePolicy, Workload, simulate
from farthing.errors import ConfigError, UnpricedModelError
from farthing.pricing import Catalog, Cost, RateCard, dump_usd, price, show_usd
from farthing.wire.models import ModelTraits
from farthing.wire.usage import Usage

__all__ = ["DESCRIPTION", "HELP", "Row", "add_arguments", "run"]

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
_LABELS: Final[dict[CachePolicy, str]] = {
    "none": "no cache",
    "prefix_5m": "mark on the prefix, 5m",
    "rolling_5m": "rolling mark, 5m",
    "rolling_1h": "rolling mark, 1h",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way to run the conversation, and its bill."""

    label: str
    model: str
    usage: Usage
    cost: Cost

    @property
    def input_cost(self) -> int:
        """What the prompts cost, in 10⁻¹² USD."""
        return self.cost.total - self.cost.output


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
    on = args.on or date.today()
    catalog = load_catalog(args.prices)
    card, traits = _model(catalog, args.model, on)
    workload = _workload(args)
    rows = _rows(workload, (card, traits), _cheaper(catalog, card.model, on), batch=args.batch)
    notes = _notes(workload, traits, rows)
    if args.json:
        print(json.dumps(_as_json(rows, notes)))
        return 0
    for notice in catalog.warnings(args.model, on=on):
        print(f"warning: {notice.text}", file=sys.stderr)
    _print(workload, rows, notes, batch=args.batch)
    return 0


def _model(catalog: Catalog, name: str, on: date) -> tuple[RateCard, ModelTraits]:
    traits = catalog.traits(name)
    if traits is None:
        raise UnpricedModelError(
            f"unknown model {name!r}{did_you_mean(name, catalog.names)} "
            "`farthing price --list` shows all",
            model=name,
        )
    return catalog.require(name, on=on), traits


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


def _cheaper(catalog: Catalog, model: str, on: date) -> tuple[RateCard, ModelTraits] | None:
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


# -- bills ----------------------------------------------------------------------------------------


def _rows(
    workload: Workload,
    own: tuple[RateCard, ModelTraits],
    cheaper: tuple[RateCard, ModelTraits] | None,
    *,
    batch: bool,
) -> list[Row]:
    rows = [_row(workload, label, policy, own, batch) for policy, label in _LABELS.items()]
    if not batch and own[0].batch is not None:
        rows.append(_row(workload, "batch, no cache", "none", own, batch=True))
    if cheaper is not None:
        label = f"rolling, 5m, {_short(cheaper[0].model)}"
        rows.append(_row(workload, label, "rolling_5m", cheaper, batch))
    return rows


def _row(
    workload: Workload,
    label: str,
    policy: CachePolicy,
    model: tuple[RateCard, ModelTraits],
    batch: bool,  # noqa: FBT001 -- the last of what a row depends on
) -> Row:
    card, traits = model
    usage, cost = Usage(), Cost()
    minimum = traits.min_cacheable_tokens
    for turn in simulate(workload, policy, model=card.model, min_cacheable_tokens=minimum):
        cost += price(turn, card, batch=batch)
        usage = _sum(usage, turn)
    return Row(label=label, model=card.model, usage=usage, cost=cost)


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        uncached=one.uncached + other.uncached,
        cache_write_5m=one.cache_write_5m + other.cache_write_5m,
        cache_write_1h=one.cache_write_1h + other.cache_write_1h,
        cache_read=one.cache_read + other.cache_read,
        output=one.output + other.output,
    )


def _notes(workload: Workload, traits: ModelTraits, rows: list[Row]) -> list[str]:
    """What to know before reading the figures; what hurts most comes first."""
    minimum, name = traits.min_cacheable_tokens, _short(traits.id)
    longest = workload.prefix_tokens + (workload.turns - 1) * workload.grow_tokens
    notes = []
    if longest < minimum:
        notes.append(
            f"too short to cache: {name} caches nothing below {minimum:,} tokens, "
            f"the longest prompt here has {longest:,}"
        )
    elif workload.prefix_tokens < minimum:
        notes.append(
            f"prefix too short to cache: {name} caches nothing below {minimum:,} tokens; "
            "only later turns are long enough"
        )
    if longest > traits.context_tokens:
        notes.append(
            f"the last prompt, {longest:,} tokens, does not fit {name}'s context of "
            f"{traits.context_tokens:,}: the API would refuse it"
        )
    naive, rolling = rows[0], rows[2]
    if rolling.cost.total > naive.cost.total:
        notes.append("every 5m entry expires before the next turn: each write is paid for nothing")
    return notes


# -- printing -------------------------------------------------------------------------------------


def _print(workload: Workload, rows: list[Row], notes: list[str], *, batch: bool) -> None:
    for note in notes:
        print(bold(note, sys.stdout))
    shape = (
        f"{_short(rows[0].model)}: {workload.turns:,} turns, one every {_span(workload.gap)}, "
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
    ratio = cost / naive - 1
    return "–" if cost == naive else f"{ratio:+.1%}".replace("-", "−")


def _short(model: str) -> str:
    """The id without the date that older ids carry."""
    return re.sub(r"-\d{8}$", "", model)


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
                "ratio_to_no_cache": row.cost.total / naive,
            }
            for row in rows
        ],
    }
