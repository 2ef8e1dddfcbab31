"""``farthing doctor prompts``: what breaks the prompt cache, dearest first."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

from farthing.cli.arguments import load_catalog
from farthing.cli.progress import ProgressBar
from farthing.cli.table import render_table
from farthing.cli.transcripts import transcript_paths
from farthing.pricing import show_usd
from farthing.traces.audit import Audit
from farthing.traces.audit.culprits import Culprits
from farthing.traces.audit.tally import Share
from farthing.traces.importing import Import, import_paths

__all__ = ["add_arguments", "diagnose", "run"]

_SHOWN: Final = 12
#: what mends a kind of change, by the lever's name where there is one
_REMEDIES: Final = {
    "shuffled_tools": "repair.tools_order",
    "shuffled_keys": "repair.schema_keys",
    "value": "repair.volatile_system",
}
_VOLATILE: Final = {"timestamp", "date", "uuid", "user_field"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``prompts`` understands beside the options of ``doctor``."""
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="for prompts: traces, transcripts or spend logs; default: Claude Code's",
    )


def run(args: argparse.Namespace) -> int:
    """Print what breaks the prompt cache; 1 if there was no call to look at."""
    document = diagnose(args.paths)
    if args.json:
        print(json.dumps(document, ensure_ascii=False, indent=1))
    else:
        print(_text(document))
    return 0 if document["calls"] else 1


def diagnose(paths: list[Path]) -> dict[str, Any]:
    """Misses by cause and culprits by place, as JSON types; every amount is an estimate."""
    folders = transcript_paths(paths)
    catalog = load_catalog()
    audit, culprits, imported = Audit(catalog), Culprits(catalog), Import()
    with ProgressBar("reading") as bar:
        for conversation in import_paths(folders, imported):
            audit.add(conversation)
            culprits.add(conversation)
            bar.update(imported.bytes_read, imported.bytes_total)
    return {
        "calls": audit.total.calls,
        "prompts_compared": culprits.compared,
        "misses": [{"cause": cause, **_share(share)} for cause, share in audit.misses.top()],
        "culprits": [
            {
                "group": found.group,
                "place": found.name,
                "address": found.address,
                "kind": found.kind,
                "detector": found.detector,
                "remedy": _remedy(found.kind, found.detector),
                **_share(share),
            }
            for found, share in culprits.top()
        ],
    }


def _share(share: Share) -> dict[str, Any]:
    return {
        "times": share.times,
        "tokens": round(share.tokens),
        "estimated_usd": round(share.estimated_pico / 1e12, 6),
    }


def _remedy(kind: str, detector: str | None) -> str | None:
    if kind == "value" and detector not in _VOLATILE:
        return None
    return _REMEDIES.get(kind)


def _text(document: dict[str, Any]) -> str:
    parts = [f"{document['calls']:,} calls"]
    if document["misses"]:
        rows = [[each["cause"], *_cells(each)] for each in document["misses"]]
        parts += ["", "Paid for again, by cause (estimates)", ""]
        parts.append(render_table(["cause", "times", "tokens", "cost"], rows))
    compared = document["prompts_compared"]
    parts += ["", f"Tools and system prompts compared between conversations: {compared:,}", ""]
    shown = document["culprits"][:_SHOWN]
    if shown:
        rows = [
            [f"{each['group']} {each['place']}", *_cells(each), each["remedy"] or "yours to change"]
            for each in shown
        ]
        headers = ["what changes", "times", "tokens", "up to", "remedy"]
        parts.append(render_table(headers, rows, align="lrrrl", width=110))
    else:
        parts.append(
            "Nothing in them changes."
            if compared
            else "None: these sources do not show them. Traces that the gateway records do."
        )
    return "\n".join(parts)


def _cells(row: dict[str, Any]) -> list[str]:
    amount = show_usd(round(row["estimated_usd"] * 1e12), 2)
    return [f"{row['times']:,}", f"{row['tokens']:,}", amount]
