"""``farthing audit``: what recorded calls cost, why, and what to change first."""

from __future__ import annotations

import argparse
import json
from datetime import date
from pathlib import Path
from typing import Any, Final

from farthing.cli.arguments import load_catalog, parse_since
from farthing.cli.progress import ProgressBar
from farthing.cli.transcripts import transcript_paths
from farthing.errors import TraceError
from farthing.pricing import Catalog, parse_usd
from farthing.reports.audit_text import render_audit
from farthing.traces.audit import DIMENSIONS, Audit, PolicyOutcome, build_document
from farthing.traces.format import Conversation
from farthing.traces.importing import Import, import_paths
from farthing.traces.instants import parse_instant, utc_day

__all__ = ["DESCRIPTION", "HELP", "add_arguments", "run"]

HELP: Final = "Report what recorded sessions cost, why, and what to change first"

DESCRIPTION: Final = """\
Report what recorded sessions cost, why, and what to change first.

  farthing audit                            the transcripts of Claude Code on this machine
  farthing audit spend.jsonl trace.jsonl.gz LiteLLM spend logs, traces, folders, in any mix
  farthing audit --since 30d --by project   one dimension in full
  farthing audit --policies                 also what other cache policies would have cost
  farthing audit --html report.html         a page with charts, for people who were not there

Reads files only; nothing is sent anywhere. Token counts are those of the files; dollars are
list prices of the day of each call. What a part of a prompt cost is an estimate and says so."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    add = parser.add_argument
    add(
        "paths", nargs="*", type=Path, metavar="PATH", help="files or folders; default: Claude Code"
    )
    add("--since", type=parse_since, metavar="DAY", help="calls from this day on: 2026-11-01, 30d")
    add("--by", choices=DIMENSIONS, help="list one dimension in full")
    add("--prices", type=Path, metavar="FILE", help="a TOML file of prices that come before ours")
    add(
        "--policies",
        action="store_true",
        help="also replay the calls under other prompt-cache policies; keeps them in memory",
    )
    add("--json", action="store_true", help="print everything as one JSON document")
    add("--html", type=Path, metavar="FILE", help="also write a self-contained page with charts")


def run(args: argparse.Namespace) -> int:
    """Audit the paths; 1 if there was no call to report on."""
    document = _audit(transcript_paths(args.paths), args)
    if args.html is not None:
        _write_html(args.html, document)
    if args.json:
        print(json.dumps(document, ensure_ascii=False, indent=1))
    else:
        print(render_audit(document, by=args.by))
        if args.html is not None:
            print(f"\nPage written to {args.html}")
    return 0 if document["totals"]["calls"] else 1


def _audit(paths: list[Path], args: argparse.Namespace) -> dict[str, Any]:
    catalog = load_catalog(args.prices)
    audit = Audit(catalog, since=args.since)
    imported = Import()
    kept: list[Conversation] = []
    with ProgressBar("reading") as bar:
        for conversation in import_paths(paths, imported):
            audit.add(conversation)
            if args.policies and _is_since(conversation, args.since):
                kept.append(conversation)
            bar.update(imported.bytes_read, imported.bytes_total)
    return build_document(audit, imported, _outcomes(kept, catalog) if kept else ())


def _is_since(conversation: Conversation, since: date | None) -> bool:
    """A conversation is replayed whole: its first call decides."""
    started = utc_day(parse_instant(conversation.started_at))
    return since is None or (started is not None and started >= since)


def _outcomes(conversations: list[Conversation], catalog: Catalog) -> list[PolicyOutcome]:
    from farthing.lab.replay import (  # noqa: PLC0415 -- the lab is loaded only where asked for
        BASELINE,
        POLICIES,
        Options,
        find_policy,
        replay,
    )

    policies = [find_policy(name) for name in POLICIES]
    with ProgressBar("replaying") as bar:
        document = replay(conversations, policies, catalog, options=Options(), progress=bar.update)
    cost = {
        bill["policy"]: parse_usd(bill["cost_usd"]["total"])
        for bill in document["policies"]
        if bill["cost_usd"]
    }
    return [
        PolicyOutcome(policy=name, estimated_pico=amount, recorded_pico=cost[BASELINE])
        for name, amount in cost.items()
        if name != BASELINE and BASELINE in cost
    ]


def _write_html(path: Path, document: dict[str, Any]) -> None:
    from farthing.reports.audit_html import render_page  # noqa: PLC0415 -- only this option needs it

    try:
        path.write_text(render_page(document), encoding="utf-8")
    except OSError as error:
        raise TraceError(f"cannot write the page {str(path)!r}: {error.strerror}") from error
