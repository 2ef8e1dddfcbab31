"""``farthing budget``: set, list, show, raise and remove budgets."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, get_args

from farthing.cli.arguments import parse_gap
from farthing.cli.ledger_options import add_ledger_options, ledger_of
from farthing.cli.table import render_table
from farthing.compose.budgets import budget_desk
from farthing.core.budgets import Budget, BudgetRaise, Mode, OnOverrun, OnTrouble, ScopeKind, Step
from farthing.core.budgets_file import budget_document, parse_budget
from farthing.core.budgets_windows import WindowKind
from farthing.errors import ConfigError
from farthing.gateway.budget_pages import standing_document
from farthing.ledger.budgets_desk import BudgetDesk
from farthing.ledger.budgets_file import zone_of
from farthing.ledger.budgets_reading import BudgetStanding, standings
from farthing.pricing.money import parse_usd, show_exact_usd, show_usd

__all__ = ["DESCRIPTION", "HELP", "add_arguments", "run"]

HELP: Final = "Set, list, show, raise and remove budgets"

DESCRIPTION: Final = """\
Set, list, show, raise and remove budgets.

  farthing budget set team --limit 20 --window day --zone Europe/Berlin
  farthing budget set each-task --scope task --limit 0.50 --ladder max_tokens,note
  farthing budget set ci --scope key --selector ci-nightly --limit 5 --window day --mode strict
  farthing budget show team
  farthing budget raise team --by 10 --for 6h --reason "release"
  farthing budget rm team

A budget without a selector is one for each value of its scope. `set` writes a budget whole: what is
left out is at its default, whatever it was before; only raises stay. Budgets are kept in a TOML
file beside the ledger, which may be edited by hand; a running gateway takes a change over within a
second. docs/budgets.md says what the words mean."""

_VERBS: Final = ("set", "list", "show", "raise", "rm")
#: option → the only verb that takes it
_OWNERS: Final = {
    "limit": "set",
    "scope": "set",
    "selector": "set",
    "window": "set",
    "zone": "set",
    "mode": "set",
    "thresholds": "set",
    "ladder": "set",
    "min_tokens": "set",
    "passes": "set",
    "on_overrun": "set",
    "on_unpriced": "set",
    "on_fault": "set",
    "by": "raise",
    "lasting": "raise",
    "reason": "raise",
}
_ACTOR: Final = "operator"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    add = parser.add_argument
    add("verb", choices=_VERBS, help="what to do")
    add("name", nargs="?", metavar="NAME", help="all but list: the budget's name, such as team")
    add("--limit", metavar="USD", help="set: dollars")
    add("--scope", choices=get_args(ScopeKind), help="set: whose spending (default everything)")
    add("--selector", metavar="VALUE", help="set: the one value of the scope; default: each")
    add("--window", choices=get_args(WindowKind), help="set: over which time (default total)")
    add("--zone", metavar="ZONE", help="set: where its days begin (default UTC)")
    add("--mode", choices=get_args(Mode), help="set: default ample")
    add("--thresholds", metavar="%,…", help="set: percentages that are told, such as 50,80")
    add("--ladder", metavar="STEP,…", help="set: before a refusal: effort,model,max_tokens,note")
    add("--min-tokens", type=int, metavar="N", help="set: the least max_tokens of that ladder")
    add("--passes", type=int, metavar="N", help="set: passes held for an answer with server tools")
    add("--on-overrun", choices=get_args(OnOverrun), help="set: a stream that costs more than held")
    add("--on-unpriced", choices=get_args(OnTrouble), help="set: a call without a price")
    add("--on-fault", choices=get_args(OnTrouble), help="set: a ledger that cannot be asked")
    add("--by", metavar="USD", help="raise: dollars on top")
    add("--for", dest="lasting", type=parse_gap, metavar="SPAN", help="raise: 30m, 6h, 2d")
    add("--reason", metavar="TEXT", help="raise: why; it is kept in the journal")
    add_ledger_options(parser)
    add("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Do what the verb says."""
    _refuse_mixtures(args)
    path = ledger_of(args)
    desk = budget_desk(path)
    if args.verb == "list":
        return _list(desk, path, as_json=args.json)
    budget = _changed(desk, args)
    if args.verb == "rm":
        print(json.dumps({"removed": budget.name}) if args.json else f"{budget.name} is removed")
        return 0
    return _show(budget, path, as_json=args.json)


def _changed(desk: BudgetDesk, args: argparse.Namespace) -> Budget:
    """The budget that the verb is about, as it is afterwards."""
    if args.verb == "set":
        return desk.set(parse_budget(_document(args), zone_of=zone_of), actor=_ACTOR)
    if args.verb == "rm":
        return desk.remove(args.name, actor=_ACTOR)
    if args.verb == "raise":
        return desk.lift(args.name, _raise(args), actor=_ACTOR)
    return desk.one(args.name)


def _refuse_mixtures(args: argparse.Namespace) -> None:
    for option, verb in _OWNERS.items():
        if getattr(args, option) is not None and args.verb != verb:
            flag = "for" if option == "lasting" else option.replace("_", "-")
            raise ConfigError(f"--{flag} belongs to `farthing budget {verb}`")
    if (args.name is None) != (args.verb == "list"):
        raise ConfigError("list takes no name, every other verb takes one: `farthing budget list`")
    if args.verb == "set" and args.limit is None:
        raise ConfigError(f"say how much: `farthing budget set {args.name} --limit 20`")
    if args.verb == "raise" and None in {args.by, args.lasting, args.reason}:
        raise ConfigError("a raise takes --by, --for and --reason, because it ends and is recorded")


def _document(args: argparse.Namespace) -> dict[str, Any]:
    said: dict[str, Any] = {
        "name": args.name,
        "scope": args.scope or "everything",
        "limit_usd": args.limit,
    }
    for option in ("selector", "window", "zone", "mode", "min_tokens", "passes"):
        said[option] = getattr(args, option)
    for option in ("on_overrun", "on_unpriced", "on_fault"):
        said[option] = getattr(args, option)
    if args.thresholds is not None:
        said["thresholds"] = [_percent(text) for text in args.thresholds.split(",")]
    if args.ladder is not None:
        said["ladder"] = [_step(text.strip()) for text in args.ladder.split(",") if text.strip()]
    return {name: value for name, value in said.items() if value is not None}


def _percent(text: str) -> int:
    try:
        return int(text.strip().removesuffix("%"))
    except ValueError:
        raise ConfigError(
            f"--thresholds has {text!r}; it takes percentages such as 50,80"
        ) from None


def _step(text: str) -> str:
    if text not in get_args(Step):
        raise ConfigError(f"--ladder has {text!r}; its steps are {', '.join(get_args(Step))}")
    return text


def _raise(args: argparse.Namespace) -> BudgetRaise:
    try:
        by = parse_usd(args.by.strip())
    except ValueError:
        raise ConfigError(f"--by is {args.by!r}; it takes dollars, such as 10") from None
    return BudgetRaise(by_pico=by, until=datetime.now(UTC) + args.lasting, reason=args.reason)


# -- what is printed ------------------------------------------------------------------------------


def _list(desk: BudgetDesk, ledger: Path, *, as_json: bool) -> int:
    budgets, now = desk.all(), datetime.now(UTC)
    if as_json:
        print(json.dumps([_as_json(each, ledger, now) for each in budgets]))
        return 0
    if not budgets:
        print("There is no budget; `farthing budget set NAME --limit USD` makes one.")
        return 0
    rows = [
        (
            each.name,
            _whose(each),
            each.window,
            show_exact_usd(each.limit_at(now)),
            _dearest(standings(ledger, each, now, most=1)),
        )
        for each in budgets
    ]
    print(render_table(("budget", "over", "window", "limit", "spent"), rows, align="lllrr"))
    return 0


def _show(budget: Budget, ledger: Path, *, as_json: bool) -> int:
    now = datetime.now(UTC)
    if as_json:
        print(json.dumps(_as_json(budget, ledger, now)))
        return 0
    print(f"{budget.name}: {show_exact_usd(budget.limit_at(now))} over {_whose(budget)}", end="")
    print(f", window {budget.window} ({budget.zone}), {budget.mode}")
    for each in budget.raises:
        if now < each.until:
            until = f"{each.until:%Y-%m-%d %H:%M} UTC"
            print(f"  {show_exact_usd(each.by_pico)} of it until {until}: {each.reason}")
    span = budget.span_at(now)
    if span is not None:
        local = span.end.astimezone(budget.zone)
        print(f"  begins anew {local:%A, %Y-%m-%d %H:%M} {budget.zone}")
    found = standings(ledger, budget, now)
    if not found:
        print("  nothing has been spent under it in this window")
        return 0
    rows = [
        (each.key, show_usd(each.spent_pico), show_usd(each.held_pico), _when(each, budget))
        for each in found
    ]
    print(render_table(("key", "spent", "held", "at this rate spent"), rows, align="lrrl"))
    return 0


def _as_json(budget: Budget, ledger: Path, now: datetime) -> dict[str, Any]:
    stands = [standing_document(each) for each in standings(ledger, budget, now)]
    return budget_document(budget) | {"stands": stands}


def _whose(budget: Budget) -> str:
    if budget.scope in {"everything", "call"}:
        return "everything" if budget.scope == "everything" else "each call"
    return f"{budget.scope} {budget.selector}" if budget.selector else f"each {budget.scope}"


def _dearest(found: list[BudgetStanding]) -> str:
    return show_usd(found[0].spent_pico) if found else show_usd(0)


def _when(standing: BudgetStanding, budget: Budget) -> str:
    if standing.spent_at is None:
        return "" if standing.resets_at is None else "not in this window"
    return f"{standing.spent_at.astimezone(budget.zone):%A, %H:%M}"
