"""``farthing journal``: what was decided and refused, and whether its record was touched."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Final

from farthing.cli.arguments import parse_since
from farthing.cli.ledger_options import add_ledger_options, ledger_of
from farthing.compose.place import existing_key
from farthing.core.journal_chain import Head, Verification, dump_event, journal_key
from farthing.errors import ConfigError, LedgerError
from farthing.ledger.audit_log import read_events, verify_file

__all__ = ["DESCRIPTION", "HELP", "add_arguments", "run"]

HELP: Final = "Verify or export the journal of decisions"

DESCRIPTION: Final = """\
Verify or export the journal: policy and budget changes, raises, key actions, refusals, stopped
loops, circuits, levers switched by evidence, classes of requests made smaller or rewritten, alerts
that could not be delivered.

  farthing journal verify                      is every entry as it was written, and none missing?
  farthing journal verify --noted COUNT:DIGEST and is this earlier head still part of it?
  farthing journal export --since 7d           one JSON object per line, oldest first

Reads only, also while a gateway writes. `verify` prints the head; noted outside this machine, it
shows later that the ledger was not put back to an older copy. Exits with 1 where something is
wrong. Entries have no prompt text and no keys; docs/journal.md says what the seals cannot show."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    add = parser.add_argument
    add("verb", choices=("verify", "export"), help="what to do")
    add("--noted", metavar="HEAD", help="verify: a head that was printed earlier, COUNT:DIGEST")
    add("--since", type=parse_since, metavar="DAY", help="export: from this day on")
    add_ledger_options(parser)
    add("--json", action="store_true", help="verify: print JSON")


def run(args: argparse.Namespace) -> int:
    """Do what the verb says; ``verify`` returns 1 where something is wrong."""
    path = ledger_of(args)
    if args.verb == "export":
        _refuse(args, "noted", "verify")
        return _export(path, args)
    _refuse(args, "since", "export")
    try:
        noted = None if args.noted is None else Head.parse(args.noted)
    except ValueError as error:
        raise ConfigError(f"--noted {args.noted!r}: {error}") from None
    if not path.is_file():
        raise LedgerError(f"there is no ledger at {str(path)!r}: name another with --ledger")
    found = verify_file(path, journal_key(existing_key(path)), noted=noted)
    print(json.dumps(_document(found)) if args.json else _text(found))
    return 0 if found.is_sound else 1


def _refuse(args: argparse.Namespace, option: str, owner: str) -> None:
    if getattr(args, option) is not None:
        raise ConfigError(f"--{option} belongs to `farthing journal {owner}`")


def _export(path: Path, args: argparse.Namespace) -> int:
    since = args.since and datetime.combine(args.since, time(), UTC)
    for event in read_events(path, since):
        sys.stdout.write(f"{dump_event(event).decode()}\n")
    return 0


def _document(found: Verification) -> dict[str, object]:
    return {
        "sound": found.is_sound,
        "entries": found.head.count,
        "head": str(found.head),
        "findings": [{"number": each.number, "text": each.text} for each in found.findings],
    }


def _text(found: Verification) -> str:
    if not found.is_sound:
        lines = (f"entry {each.number}: {each.text}" for each in found.findings)
        return "\n".join(["The journal was touched.", *lines])
    if not found.head.count:
        return "Nothing has been recorded; a journal that was erased looks the same."
    count = f"{found.head.count:,} entries, all" if found.head.count > 1 else "One entry,"
    return f"{count} as written.\nhead {found.head}"
