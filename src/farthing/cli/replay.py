"""``farthing replay``: what a trace or scenario would have cost under other policies."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

from farthing.cli.arguments import load_catalog, parse_day, require_known
from farthing.cli.progress import ProgressBar
from farthing.cli.table import render_table
from farthing.errors import TraceError
from farthing.lab.optimum import add_optimum, optimum
from farthing.lab.replay import POLICIES, Options, find_policy, read_turns, replay_turns
from farthing.lab.replay.bills import Prices
from farthing.lab.scenarios import PREFIX, SCENARIOS, generate
from farthing.reports.replay_text import render_replay
from farthing.traces.codec import TraceWriter
from farthing.traces.format import Conversation
from farthing.traces.importing import Import, import_paths

__all__ = ["DESCRIPTION", "HELP", "add_arguments", "read_conversations", "run", "table"]

HELP: Final = "Replay a trace or a scenario under other prompt-cache policies"

_SCENARIO_LINES: Final = "\n".join(
    f"  scenario:{scenario.name:<18} {scenario.summary}" for scenario in SCENARIOS.values()
)

DESCRIPTION: Final = f"""\
Replay recorded calls, at their times and with their sizes, under other policies.

  farthing replay mine.jsonl.gz                       as recorded, uncached, automatic
  farthing replay scenario:coding-agent --seed 7      a generated workload
  farthing replay TRACE --as no-cache --as auto-cache --html bills.html
  farthing replay TRACE --optimum                     and how far each is from the best possible
  farthing replay scenario:rag-qa --through emulator  the real SDK over HTTP, on this machine

Anything that `farthing import` reads can be replayed. Nothing is sent anywhere.

scenarios:
{_SCENARIO_LINES}

policies: {", ".join(POLICIES)}"""

_WIDTH: Final = 100

#: `--price-as` names a model that exists at some time; which day prices it is decided per call
_FAR: Final = date.max


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    add = parser.add_argument
    add("paths", nargs="+", metavar="TRACE", help="traces, transcripts, or one scenario:NAME")
    add("--as", "--policy", action="append", dest="policies", metavar="POLICY",
        help="may be repeated")  # fmt: skip
    add("--optimum", action="store_true",
        help="also the least the input could have cost, and each policy's ratio to it")  # fmt: skip
    add("--through", choices=("simulation", "emulator"), default="simulation",
        help="how: by the model (fast), or the real SDK against the emulator (true)")  # fmt: skip
    add("--breaks", choices=("inject", "remove"), default="inject",
        help="recorded breaks inside the TTL: in every policy (default) or in none")  # fmt: skip
    add("--price-as", metavar="MODEL", help="replay and price every call as this model")
    add("--on", type=parse_day, metavar="DATE", help="prices of this day, not of the recorded one")
    add("--prices", type=Path, metavar="FILE", help="a TOML file of prices that come before ours")
    add("--seed", type=int, default=0, metavar="N", help="of a scenario; default 0")
    add("--count", type=int, metavar="N", help="conversations of a scenario")
    add("--save", type=Path, metavar="FILE", help="also write the scenario as a trace")
    add("--all", action="store_true", help="list every conversation")
    add("--json", action="store_true", help="print JSON; money as exact decimal strings")
    add("--html", type=Path, metavar="FILE", help="also write a self-contained page")


def run(args: argparse.Namespace) -> int:
    """Replay and print."""
    policies = [find_policy(name) for name in dict.fromkeys(args.policies or POLICIES)]
    catalog = load_catalog(args.prices)
    model = None
    if args.price_as is not None:
        model = catalog.canonical(args.price_as) or args.price_as
        require_known(catalog, model, on=args.on or _FAR)
    options = Options(through=args.through, breaks=args.breaks, model=model, on=args.on)
    conversations = read_conversations(args.paths, seed=args.seed, count=args.count)
    if args.save is not None:
        _save(args.save, conversations)
    turns = read_turns(conversations, breaks=options.breaks, model=options.model)
    with ProgressBar(f"replaying by {args.through}") as bar:
        document = replay_turns(turns, policies, catalog, options=options, progress=bar.update)
    if args.optimum:
        add_optimum(document, optimum(turns, Prices(catalog, on=args.on)))
    _print(document, args)
    return 0


def read_conversations(
    paths: Sequence[str], *, seed: int = 0, count: int | None = None
) -> list[Conversation]:
    """The conversations of files, folders and scenarios, in the order given."""
    found: list[Conversation] = []
    imported = Import()
    with ProgressBar("reading") as bar:
        for path in paths:
            if path.startswith(PREFIX):
                found += generate(path, seed=seed, count=count)
                continue
            for conversation in import_paths([Path(path)], imported):
                found.append(conversation)
                bar.update(imported.bytes_read, imported.bytes_total)
    if not any(conversation.calls for conversation in found):
        causes = ", ".join(sorted(imported.problems.by_cause)) or "no calls in it"
        raise TraceError(f"nothing to replay in {' '.join(paths)!r} ({causes})")
    return found


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, total: bool = False) -> str:
    """A table as wide as bills of several policies need."""
    align = "ll" + "r" * (len(headers) - 2) if headers[:2] == ["misses by cause", ""] else ""
    return render_table(headers, rows, align=align, total=total, width=_WIDTH)


def _print(document: dict[str, Any], args: argparse.Namespace) -> None:
    if args.html is not None:
        _write_page(args.html, document, " ".join(args.paths))
    if args.json:
        print(json.dumps(document, ensure_ascii=False))
        return
    print(render_replay(document, table, everything=args.all))
    if args.html is not None:
        print(f"\nPage written to {args.html}")


def _save(path: Path, conversations: Sequence[Conversation]) -> None:
    with TraceWriter(path) as writer:
        for conversation in conversations:
            writer.write(conversation)


def _write_page(path: Path, document: dict[str, Any], title: str) -> None:
    from farthing.reports.replay_html import (  # noqa: PLC0415 -- only this option needs it
        render_replay_page,
    )

    try:
        path.write_text(render_replay_page(document, title), encoding="utf-8")
    except OSError as error:
        raise TraceError(f"cannot write the page {str(path)!r}: {error.strerror}") from error
