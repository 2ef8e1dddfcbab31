"""``farthing explain EXCHANGE``: everything that is on record about one exchange, in words."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Final

from farthing.cli.arguments import load_catalog
from farthing.cli.ledger_options import add_ledger_options, ledger_of
from farthing.cli.main import did_you_mean
from farthing.cli.table import render_table
from farthing.core.records import ExchangeRow
from farthing.errors import ConfigError
from farthing.ledger.following import latest_ids, rows_beginning
from farthing.ledger.place import ledger_files
from farthing.pricing import RateCard
from farthing.reports.explain_document import explain
from farthing.reports.explain_text import bill_rows, explanation_head, explanation_tail

__all__ = ["DESCRIPTION", "HELP", "add_arguments", "run"]

HELP: Final = "Explain one exchange: whose, what it cost and why, what the levers did"

DESCRIPTION: Final = """\
Explain one exchange: whose, what it cost and why, what the levers did.

  farthing explain 0198f3a2        an id, or the beginning of one that only it has
  farthing explain 0198f3a2 --json

Ids are in the answer's header x-farthing-exchange-id, and in `farthing tail --json`. Reads only."""

_SHOWN: Final = 4
_RECENT: Final = 2_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    add = parser.add_argument
    add("exchange", metavar="EXCHANGE", help="an exchange's id, or the beginning of it")
    add_ledger_options(parser)
    add("--prices", type=Path, metavar="FILE", help="a TOML file of prices that come before ours")
    add("--json", action="store_true", help="print everything as one JSON document")


def run(args: argparse.Namespace) -> int:
    """Explain it."""
    row = _row(ledger_of(args), args.exchange)
    document = explain(row, _card(row, args.prices))
    if args.json:
        print(json.dumps(document, ensure_ascii=False, indent=1))
        return 0
    print(explanation_head(document))
    print()
    if rows := bill_rows(document):
        print(f"{render_table(['', 'tokens', '$/Mtok', 'cost'], rows, total=True)}\n")
    print(explanation_tail(document))
    return 0


def _row(path: Path, prefix: str) -> ExchangeRow:
    if not prefix:
        raise ConfigError("an empty id explains nothing; `farthing tail` lists exchanges")
    found = rows_beginning(path, prefix, limit=_SHOWN)
    for other in () if found else ledger_files(path):
        found = found or rows_beginning(other, prefix, limit=_SHOWN)
    if not found:
        hint = did_you_mean(prefix, latest_ids(path, limit=_RECENT))
        raise ConfigError(
            f"no exchange {prefix!r} in {str(path)!r}{hint}\n"
            "`farthing tail --no-follow --json` prints the latest with their ids"
        )
    if len(found) > 1:
        named = ", ".join(repr(row.opened.exchange_id) for row in found[: _SHOWN - 1])
        more = ", …" if len(found) == _SHOWN else ""
        raise ConfigError(f"several exchanges begin with {prefix!r}: {named}{more}; say more of it")
    return found[0]


def _card(row: ExchangeRow, prices: Path | None) -> RateCard | None:
    """The card it was priced with, from the prices of today: cards are never edited."""
    card_id = None if row.settlement is None else row.settlement.rate_card_id
    if card_id is None:
        return None
    return next((card for card in load_catalog(prices).cards if card.id == card_id), None)
