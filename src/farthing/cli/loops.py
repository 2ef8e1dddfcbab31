"""``farthing loops``: which recorded sessions went round in circles, and what that cost."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from farthing.cli.arguments import load_catalog
from farthing.cli.progress import ProgressBar
from farthing.cli.table import render_table
from farthing.cli.transcripts import transcript_paths
from farthing.core.loop_ladder import LoopLadder
from farthing.core.loop_values import LoopPolicy
from farthing.errors import ConfigError
from farthing.pricing import dump_usd, show_usd
from farthing.pricing.money import PicoUsd
from farthing.traces.audit.counted import PriceList
from farthing.traces.importing import Import, import_paths
from farthing.traces.loops import PastLoop, find_loops
from farthing.traces.problems import CAUSES

__all__ = ["DESCRIPTION", "HELP", "add_arguments", "run"]

HELP: Final = "Find loops in recorded sessions, and what they wasted"

DESCRIPTION: Final = """\
Find loops in recorded sessions, and what they wasted.

  farthing loops scan                              the transcripts of Claude Code on this machine
  farthing loops scan trace.jsonl.gz spend.jsonl   anything that `farthing import` reads
  farthing loops scan trace.jsonl.gz --repeats 4 --poll-tool get_build

Shows each session's calls to the guard as they were made. Wasted is what the calls behind the first
copy of a repetition cost, by their recorded usage at list prices of the day; refused are those of
them that the guard would have stopped. Reads files only, and prints no texts of prompts."""

_WIDTH: Final = 110


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    default = LoopPolicy()
    add = parser.add_argument
    add("verb", choices=("scan",), metavar="VERB", help="scan")
    add(
        "paths", nargs="*", type=Path, metavar="PATH", help="files or folders; default: Claude Code"
    )
    add(
        "--repeats",
        type=int,
        default=default.repeats,
        metavar="N",
        help=f"equal copies in a row that are a loop (default {default.repeats})",
    )
    add(
        "--max-cycle",
        type=int,
        default=default.max_cycle_len,
        metavar="N",
        help=f"the longest cycle, in turns (default {default.max_cycle_len})",
    )
    add(
        "--no-progress",
        type=int,
        default=default.no_progress_turns,
        metavar="N",
        help=f"turns without anything new (default {default.no_progress_turns})",
    )
    add(
        "--poll-tool",
        action="append",
        default=[],
        metavar="NAME",
        help="a tool that waits by contract; may be given several times",
    )
    add("--prices", type=Path, metavar="FILE", help="a TOML file of prices that come before ours")
    add("--json", action="store_true", help="print everything as one JSON document")


def run(args: argparse.Namespace) -> int:
    """Scan the paths; 1 if there was no conversation."""
    policy, prices = _policy(args), PriceList(load_catalog(args.prices))
    imported, found, conversations = Import(), list[PastLoop](), 0
    with ProgressBar("reading") as bar:
        for conversation in import_paths(transcript_paths(args.paths), imported):
            conversations += 1
            found += find_loops(conversation, prices, policy=policy, ladder=LoopLadder())
            bar.update(imported.bytes_read, imported.bytes_total)
    problems = imported.problems.by_cause
    document = _document(found, conversations)
    document["problems"] = {cause: problem.count for cause, problem in sorted(problems.items())}
    print(
        json.dumps(document, ensure_ascii=False, indent=1) if args.json else _text(found, document)
    )
    return 0 if conversations else 1


def _policy(args: argparse.Namespace) -> LoopPolicy:
    try:
        return LoopPolicy(
            repeats=args.repeats,
            max_cycle_len=args.max_cycle,
            no_progress_turns=args.no_progress,
            poll_tools=frozenset(args.poll_tool),
        )
    except ValueError as error:
        raise ConfigError(f"{error}; see `farthing loops --help`") from None


def _document(found: list[PastLoop], conversations: int) -> dict[str, Any]:
    return {
        "totals": {
            "conversations": conversations,
            "looping_conversations": len({loop.conversation_id for loop in found}),
            "loops": len(found),
            "wasted_calls": sum(loop.wasted_calls for loop in found),
            "wasted_usd": dump_usd(_sum([loop.wasted for loop in found])),
            "refused_calls": sum(loop.avoidable_calls for loop in found),
            "refused_usd": dump_usd(_sum([loop.avoidable for loop in found])),
            "unpriced_calls": sum(loop.unpriced_calls for loop in found),
        },
        "loops": [_row(loop) for loop in found],
    }


def _row(loop: PastLoop) -> dict[str, Any]:
    return {
        "conversation_id": loop.conversation_id,
        "action": loop.action,
        "calls": loop.calls,
        "wasted_calls": loop.wasted_calls,
        "wasted_usd": dump_usd(loop.wasted),
        "refused_calls": loop.avoidable_calls,
        "refused_usd": dump_usd(loop.avoidable),
        "unpriced_calls": loop.unpriced_calls,
        "finding": asdict(loop.finding),
    }


def _text(found: list[PastLoop], document: dict[str, Any]) -> str:
    totals = document["totals"]
    loops = "1 loop" if len(found) == 1 else f"{len(found)} loops"
    summary = (
        f"{loops} in {totals['looping_conversations']} of {totals['conversations']} conversations: "
        f"{_sums(found, totals)}"
    )
    lines = [summary]
    if totals["unpriced_calls"]:
        lines.append(f"{totals['unpriced_calls']} wasted calls have no usage or no price.")
    lines += [f"{count} × {CAUSES[cause]}" for cause, count in document["problems"].items()]
    if found:
        rows = [
            [
                loop.finding.kind.replace("_", " "),
                f"×{loop.finding.repeats}",
                ", ".join(loop.finding.tools) or "-",
                loop.action,
                f"{loop.wasted_calls} of {loop.calls}",
                show_usd(loop.wasted, 4) if loop.unpriced_calls < loop.wasted_calls else "-",
                loop.conversation_id,
            ]
            for loop in sorted(found, key=lambda loop: (-loop.wasted, -loop.wasted_calls))
        ]
        headers = ["kind", "seen", "tools", "guard", "calls", "wasted", "conversation"]
        lines += ["", render_table(headers, rows, align="lrllrrl", width=_WIDTH)]
    return "\n".join(lines)


def _sums(found: list[PastLoop], totals: dict[str, Any]) -> str:
    """How many calls, and what they cost as far as anybody knows."""
    calls, refused = totals["wasted_calls"], totals["refused_calls"]
    if calls and totals["unpriced_calls"] >= calls:
        return (
            f"{calls} wasted calls of unknown cost; the guard would have refused {refused} of them."
        )
    least = "at least " if totals["unpriced_calls"] else ""
    wasted = show_usd(_sum([loop.wasted for loop in found]), 4)
    avoidable = show_usd(_sum([loop.avoidable for loop in found]), 4)
    return (
        f"{calls} wasted calls cost {least}{wasted}; the guard would have refused {refused} of "
        f"them, {least}{avoidable}."
    )


def _sum(amounts: list[PicoUsd]) -> PicoUsd:
    return PicoUsd(sum(amounts))
