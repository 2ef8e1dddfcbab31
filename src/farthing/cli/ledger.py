"""``farthing ledger``: where it is, its rows, whether it agrees with itself and the provider."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time
from pathlib import Path
from typing import IO, Final

from farthing.cli.arguments import parse_since
from farthing.cli.ledger_options import add_ledger_options
from farthing.cli.ledger_reconcile import add_reconcile_arguments, run_reconcile, run_settle
from farthing.cli.settings import resolve_settings
from farthing.cli.table import render_table
from farthing.compose.place import ledger_path
from farthing.core.records import RowFilter
from farthing.errors import ConfigError, LedgerError
from farthing.ledger.checking import check
from farthing.ledger.database import select_rows
from farthing.ledger.exporting import FORMATS, export

__all__ = ["DESCRIPTION", "HELP", "add_arguments", "run"]

HELP: Final = "Show where the ledger is, check, export and reconcile it"

DESCRIPTION: Final = """\
Show where the ledger is, check it, export its rows, reconcile it with the provider's report.

  farthing ledger path                                   the file in use
  farthing ledger check                                  does it agree with itself?
  farthing ledger export --since 30d -o november.csv     one line per exchange
  farthing ledger export --format parquet -o rows.parquet
  farthing ledger reconcile --since 7d                   compare with the usage report
  farthing ledger settle EXCHANGE --usage '{…}'          what an unsettled exchange cost

All but `settle` and `reconcile --close` only read, also while a gateway writes; these two need the
ledger for themselves. Rows have no prompt text and no keys."""

#: verb → the options that only some verbs take
_OPTIONS: Final = {
    "path": (),
    "check": (),
    "export": ("format", "since", "output"),
    "reconcile": ("since", "by", "close", "api_key_id", "workspace_id"),
    "settle": ("exchange", "usage", "model"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    add = parser.add_argument
    add("verb", choices=tuple(_OPTIONS), help="what to do")
    add_ledger_options(parser)
    add("--format", choices=tuple(FORMATS), help="export: default by the name of FILE, else csv")
    add("--since", type=parse_since, metavar="DAY", help="export, reconcile: from this day on")
    add("-o", "--output", type=Path, metavar="FILE", help="export: write here, not to the terminal")
    add("--json", action="store_true", help="print JSON; export: as --format json")
    add_reconcile_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Do what the verb says; ``check`` returns 1 where something is wrong."""
    settings = resolve_settings(args).settings
    path = ledger_path(settings)
    _refuse_mixtures(args)
    if args.verb == "path":
        print(json.dumps({"path": str(path), "exists": path.is_file()}) if args.json else path)
        return 0
    if args.verb == "check":
        return _check(path, as_json=args.json)
    if args.verb == "reconcile":
        return run_reconcile(path, settings, args)
    if args.verb == "settle":
        return run_settle(path, args)
    return _export(path, args)


def _refuse_mixtures(args: argparse.Namespace) -> None:
    for option in sorted({name for names in _OPTIONS.values() for name in names}):
        if option not in _OPTIONS[args.verb] and getattr(args, option) not in (None, False):
            owner = next(verb for verb, names in _OPTIONS.items() if option in names)
            name = "EXCHANGE" if option == "exchange" else f"--{option.replace('_', '-')}"
            raise ConfigError(f"{name} belongs to `farthing ledger {owner}`")


def _check(path: Path, *, as_json: bool) -> int:
    findings = check(path)
    if as_json:
        found = [{"name": f.name, "level": f.level, "text": f.text} for f in findings]
        print(json.dumps({"path": str(path), "findings": found}))
    else:
        print(f"{path}\n")
        rows = [[f.name, f.level, f.text] for f in findings]
        print(render_table(["what", "", "says"], rows, align="lll", width=110))
    return 1 if any(finding.level == "fault" for finding in findings) else 0


def _export(path: Path, args: argparse.Namespace) -> int:
    form = _format(args)
    since = args.since and datetime.combine(args.since, time(), UTC)
    with _target(args.output, form) as target:
        count = export(select_rows(path, RowFilter(opened_from=since)), form, target)
    if args.output is not None:
        print(f"{count:,} rows written to {args.output}", file=sys.stderr)
    return 0


def _format(args: argparse.Namespace) -> str:
    suffix = args.output.suffix.removeprefix(".") if args.output is not None else ""
    by_name = suffix if suffix in FORMATS else "csv"
    form: str = args.format or ("json" if args.json else by_name)
    if args.json and form != "json":
        raise ConfigError(f"--json and --format {form} contradict each other; leave one out")
    return form


@contextmanager
def _target(path: Path | None, form: str) -> Iterator[IO[bytes]]:
    """The file to write, which appears once it is whole; or standard output."""
    if path is None:
        if form == "parquet":
            raise ConfigError("Parquet is not for a terminal: name a file with -o FILE")
        yield sys.stdout.buffer
        return
    draft = path.with_name(f"{path.name}.part")
    try:
        with draft.open("wb") as file:
            yield file
        draft.replace(path)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise LedgerError(
            f"cannot write {str(path)!r}: {why}; free space, or name another"
        ) from error
    finally:
        draft.unlink(missing_ok=True)
