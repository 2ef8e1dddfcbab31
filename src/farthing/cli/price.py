"""``farthing price``: what usage costs on a model, when caching pays, what the prices are."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import date
from pathlib import Path
from typing import Final

from farthing.cli.arguments import (
    default_price_file,
    load_catalog,
    parse_count,
    parse_day,
    require_known,
    today_utc,
)
from farthing.cli.price_bill import Question, ask, bill_as_json, print_bill
from farthing.cli.price_breakeven import break_even_as_json, print_break_even
from farthing.cli.price_list import cards_as_json, print_card, print_cards
from farthing.errors import ConfigError
from farthing.pricing import Catalog, RateCard, break_even

__all__ = ["DESCRIPTION", "HELP", "add_arguments", "run"]

HELP: Final = "Price usage on a model, find when caching pays, list the rate cards"

DESCRIPTION: Final = """\
Price usage on a model, find when caching pays, list the rate cards.

  farthing price claude-opus-5-5 --prompt 50k --cached 40k --write 8k --output 1k
  farthing price claude-opus-5-5 --break-even --prefix 12k
  farthing price claude-opus-5-5            its rate card
  farthing price --list                     every rate card, with dates

PROMPT is all input: tokens read from the prompt cache (--cached), tokens written
to it (--write) and the rest, sent at the plain rate. Numbers may be 200k or 1.5M."""


#: options that describe usage; a TTL alone means that all is written, and needs the prompt
_BILL: Final = (
    *("prompt", "cached", "write", "ttl", "output", "searches"),
    *("batch", "geo", "fast"),
)
_COUNTS_AND_TTL: Final = {f"--{name}" for name in _BILL[:6]}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    add = parser.add_argument
    add("model", nargs="?", metavar="MODEL", help="a Claude model id, as the API takes it")
    _add_usage(parser)
    add("--break-even", action="store_true", help="when a prompt cache pays on this model")
    add("--prefix", type=parse_count, metavar="N", help="--break-even: tokens of the cached prefix")
    add("--list", action="store_true", help="all rate cards with their dates (--json: and sources)")
    add("--refresh", action="store_true", help="add newer prices of an installed genai-prices")
    add("--on", type=parse_day, metavar="DATE", help="the day of the usage; default today (UTC)")
    add("--prices", type=Path, metavar="FILE", help="a TOML file of prices that come before ours")
    add("--json", action="store_true", help="print JSON; money as exact decimal strings")


def _add_usage(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--prompt", type=parse_count, metavar="N", help="all input tokens: read, written and plain")
    add("--cached", type=parse_count, metavar="N", help="of these, tokens read from the cache")
    add("--write", type=parse_count, metavar="N", help="of these, tokens written to the cache")
    add(
        "--ttl",
        choices=("5m", "1h"),
        help="TTL of the written tokens; without --write, all that is not read is written",
    )
    add("--output", type=parse_count, metavar="N", help="output tokens, thinking included")
    add("--searches", type=parse_count, metavar="N", help="web searches the server ran")
    add("--batch", action="store_true", help="as an item of a Message Batch")
    add("--geo", choices=("global", "us"), help="inference_geo the answer was served in")
    add("--fast", action="store_true", help="served with speed: fast")


def run(args: argparse.Namespace) -> int:
    """Answer the question that the arguments ask."""
    today = args.on or today_utc()
    _refuse_mixtures(args)
    if args.refresh:
        from farthing.cli.price_refresh import refresh  # noqa: PLC0415 -- needs an optional extra

        return refresh(args.prices or default_price_file(), today=today, as_json=args.json)
    catalog = load_catalog(args.prices)
    if args.list:
        print(cards_as_json(catalog) if args.json else print_cards(catalog, on=today))
        return 0
    card = require_known(catalog, args.model, on=today)
    for notice in catalog.warnings(args.model, on=today, fast=args.fast):
        if not args.json:
            print(f"warning: {notice.text}", file=sys.stderr)
    if args.break_even:
        return _break_even(args, catalog, card)
    if _options_of_a_bill(args):
        return _bill(args, catalog, card, today)
    print(cards_as_json(catalog, model=card.model) if args.json else print_card(card, catalog))
    return 0


def _refuse_mixtures(args: argparse.Namespace) -> None:
    if args.model is None and not (args.list or args.refresh):
        raise ConfigError(
            "which model? `farthing price claude-opus-5-5 --prompt 50k --output 1k`, "
            "or --list for all"
        )
    if args.model is not None and (args.list or args.refresh):
        option = "--list" if args.list else "--refresh"
        raise ConfigError(f"{option} is about all models; leave out {args.model!r}")
    if args.prefix is not None and not args.break_even:
        raise ConfigError("--prefix belongs to --break-even; tokens of a bill are --prompt")
    _refuse_stray(args, _options_of_a_bill(args))


def _refuse_stray(args: argparse.Namespace, given: list[str]) -> None:
    """Refuse options of a bill where none is asked for, or that alone do not ask for one."""
    if args.list or args.refresh:
        option, others = ("--list", [args.refresh]) if args.list else ("--refresh", [])
        if given or args.break_even or any(others):
            stray = [*given, *(["--break-even"] if args.break_even else [])] or ["--refresh"]
            raise ConfigError(f"{option} goes alone; leave out {', '.join(stray)}")
    elif args.break_even:
        stray = [option for option in given if option != "--prompt" or args.prefix is not None]
        if stray:
            raise ConfigError(f"--break-even needs --prefix only; leave out {', '.join(stray)}")
    elif given and not _COUNTS_AND_TTL & set(given):
        raise ConfigError(
            f"{', '.join(given)} says how tokens were served, but not how many; "
            "add --prompt or --output"
        )


def _options_of_a_bill(args: argparse.Namespace) -> list[str]:
    values = {f"--{name}": getattr(args, name) for name in _BILL}
    return [name for name, value in values.items() if value is not None and value is not False]


def _bill(args: argparse.Namespace, catalog: Catalog, card: RateCard, on: date) -> int:
    question = Question(
        prompt=args.prompt,
        cached=args.cached or 0,
        write=args.write,
        ttl=args.ttl,
        output=args.output or 0,
        searches=args.searches or 0,
        batch=args.batch,
        geo=args.geo,
        fast=args.fast,
    )
    answer = ask(question, card, catalog.traits(card.model))
    if args.json:
        warnings = [n.text for n in catalog.warnings(args.model, on=on, fast=args.fast)]
        print(json.dumps(bill_as_json(answer, asked=args.model, on=on, warnings=warnings)))
    else:
        print_bill(answer, on=on)
    return 0


def _break_even(args: argparse.Namespace, catalog: Catalog, card: RateCard) -> int:
    traits = catalog.traits(card.model)
    prefix = args.prefix if args.prefix is not None else args.prompt
    found = break_even(
        card,
        prefix_tokens=prefix,
        min_tokens=traits.min_cacheable_tokens if traits else None,
    )
    if found is None:
        raise ConfigError(f"on {card.id} a cache read is not cheaper than sending again")
    if args.json:
        print(json.dumps(break_even_as_json(found, card)))
    else:
        print_break_even(found, card)
    return 0
