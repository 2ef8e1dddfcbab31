"""``farthing keys``: virtual keys made, listed, rotated and revoked in the ledger's file."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

from farthing.cli.arguments import parse_gap
from farthing.cli.ledger_options import add_ledger_options, ledger_of
from farthing.cli.settings import resolve_settings
from farthing.cli.table import render_table
from farthing.compose.budgets import budget_desk
from farthing.compose.key_budgets import budgets_of_key, create_with_budgets, key_budget
from farthing.core.budgets import Budget
from farthing.core.budgets_file import budget_document
from farthing.core.keys import ROLES, VirtualKey
from farthing.driver.keys import Issued, KeyDesk, NewKey
from farthing.errors import ConfigError
from farthing.pricing.money import show_exact_usd

__all__ = ["DESCRIPTION", "HELP", "add_arguments", "run"]

HELP: Final = "Make, list, rotate and revoke virtual keys"

DESCRIPTION: Final = """\
Make, list, rotate and revoke virtual keys: sk-farthing-…, one per program or person.

  farthing keys create ci-nightly --budget 5/day --expires 90d --model claude-haiku-4-5
  farthing keys create ops --role admin        for the gateway's own pages, not for Claude
  farthing keys list
  farthing keys rotate ci-nightly --keep 1h    a new secret; the old one works for an hour more
  farthing keys revoke ci-nightly              at once and for good

From the first key on every call needs one, and the gateway puts its own provider key in its place
(FARTHING_API_KEY or --api-key-file of `farthing serve`). A key is shown once; the ledger has only a
salted digest of it. Works while a gateway runs, which takes a change over within a second. --budget
sets a budget with `scope = "key"` and the key's name as its selector; `farthing budget` shows,
raises and changes it. A name is used once, for ever: rows know the key by it."""

_VERBS: Final = ("create", "list", "rotate", "revoke")
#: option → the only verb that takes it
_OWNERS: Final = {
    "role": "create",
    "model": "create",
    "lever": "create",
    "expires": "create",
    "budget": "create",
    "keep": "rotate",
}
#: options of calls to Claude, which a key of another role does not make
_OF_CLIENTS: Final = ("model", "lever", "budget")
_ACTOR: Final = "operator"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    add = parser.add_argument
    add("verb", choices=_VERBS, help="what to do")
    add("name", nargs="?", metavar="NAME", help="all but list: the key's name, such as ci-nightly")
    add(
        "--role",
        choices=ROLES,
        help="create: client (default) calls Claude, viewer reads the pages, admin changes things",
    )
    add(
        "--model",
        action="append",
        metavar="ID",
        help="create: only this model, or claude-haiku-*; may be repeated",
    )
    add(
        "--lever",
        action="append",
        metavar="ID",
        help="create: only this lever may act, or cache.*, or none; may be repeated",
    )
    add(
        "--expires", type=_parse_expiry, metavar="WHEN", help="create: a day, or a span such as 90d"
    )
    add(
        "--budget",
        action="append",
        metavar="USD/WINDOW",
        help="create: what it may spend, such as 5/day; may be repeated",
    )
    add("--keep", type=parse_gap, metavar="SPAN", help="rotate: the old secret works on this long")
    add_ledger_options(parser)
    add("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Do what the verb says."""
    _refuse_mixtures(args)
    try:
        # Late: composing loads the server, which `pip install farthing` lacks.
        from farthing.compose.access import key_desk  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"virtual keys need {error.name!r}: pip install 'farthing[gateway]'"
        ) from error
    with key_desk(ledger_of(args)) as (desk, _):
        _VERB[args.verb](desk, args)
    return 0


def _refuse_mixtures(args: argparse.Namespace) -> None:
    for option, owner in _OWNERS.items():
        if getattr(args, option) is not None and args.verb != owner:
            raise ConfigError(f"--{option} belongs to `farthing keys {owner}`")
    if (args.name is None) != (args.verb == "list"):
        raise ConfigError(
            "`farthing keys list` takes no name"
            if args.verb == "list"
            else f"name the key: farthing keys {args.verb} NAME"
        )
    for option in _OF_CLIENTS:
        if args.role not in {None, "client"} and getattr(args, option) is not None:
            raise ConfigError(
                f"--{option} limits calls to Claude, and a key of the role {args.role} makes none"
            )


def _create(desk: KeyDesk, args: argparse.Namespace) -> None:
    is_first = not desk.keys()
    levers = None if args.lever is None else [one for one in args.lever if one != "none"]
    wanted = NewKey(
        name=args.name,
        role=args.role or "client",
        models=args.model,
        levers=levers,
        expires_at=args.expires,
    )
    budgets = [key_budget(args.name, said) for said in args.budget or ()]
    path = ledger_of(args)
    issued = create_with_budgets(desk, wanted, budgets, budget_desk(path), actor=_ACTOR)
    _show(issued, _document(issued.key, path), as_json=args.json)
    settings = resolve_settings(args).settings
    if is_first and settings.api_key is None and settings.api_key_file is None:
        print(
            "From now on every call needs a virtual key. The settings here name no provider key: "
            "give the gateway one with FARTHING_API_KEY or --api-key-file, or it will not start.",
            file=sys.stderr,
        )


def _list(desk: KeyDesk, args: argparse.Namespace) -> None:
    now, path = datetime.now(UTC), ledger_of(args)
    keys = desk.keys()
    if args.json:
        print(json.dumps({"keys": [_document(key, path) for key in keys]}))
        return
    if not keys:
        print("There are no virtual keys: calls pass with the clients' own.")
        return
    caps = budget_desk(path).all()
    rows = [
        [
            key.name,
            key.role,
            key.state_at(now),
            f"{key.created_at.astimezone(UTC):%Y-%m-%d}",
            "never"
            if key.expires_at is None
            else f"{key.expires_at.astimezone(UTC):%Y-%m-%d %H:%M}",
            "all" if key.models is None else ", ".join(key.models),
            "all" if key.levers is None else ", ".join(key.levers) or "none",
            ", ".join(_cap(each, now) for each in budgets_of_key(key.name, caps)) or "none",
        ]
        for key in keys
    ]
    headers = ["name", "role", "state", "created", "expires", "models", "levers", "budget"]
    print(render_table(headers, rows, align="llllllll", width=120))


def _cap(budget: Budget, now: datetime) -> str:
    return f"{show_exact_usd(budget.limit_at(now))}/{budget.window}"


def _rotate(desk: KeyDesk, args: argparse.Namespace) -> None:
    keep = args.keep or timedelta()
    issued = desk.rotate(args.name, actor=_ACTOR, keep=keep)
    _show(issued, _document(issued.key, ledger_of(args)), as_json=args.json)


def _revoke(desk: KeyDesk, args: argparse.Namespace) -> None:
    key = desk.revoke(args.name, actor=_ACTOR)
    if args.json:
        print(json.dumps(_document(key, ledger_of(args))))
    else:
        print(f"{key.name} is revoked; a running gateway refuses it within a second")


def _show(issued: Issued, document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"key": issued.text, **document}))
        return
    print(issued.text)
    print(f"This is {issued.key.name}; it is shown once. Keep it now.", file=sys.stderr)


def _document(key: VirtualKey, ledger: Path) -> dict[str, Any]:
    from farthing.gateway.key_pages import key_document  # noqa: PLC0415  late, as ``key_desk``

    found = budgets_of_key(key.name, budget_desk(ledger).all())
    budgets = [budget_document(each) for each in found]
    return key_document(key, datetime.now(UTC)) | {"budgets": budgets}


def _parse_expiry(text: str) -> datetime:
    """A day, at whose beginning (UTC) the key ends, or a span from now."""
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        pass
    try:
        return datetime.now(UTC) + parse_gap(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an end; write a day as 2027-01-31, or a span as 90d or 12h"
        ) from None


_Verb = Callable[[KeyDesk, argparse.Namespace], None]
_VERB: Final[dict[str, _Verb]] = {
    "create": _create,
    "list": _list,
    "rotate": _rotate,
    "revoke": _revoke,
}
