"""``farthing import``: transcripts and logs into one trace file, redacted if asked."""

from __future__ import annotations

import argparse
import json
import secrets
from pathlib import Path
from typing import Any, Final

from farthing.cli.progress import ProgressBar
from farthing.errors import TraceError
from farthing.traces.codec import TraceWriter
from farthing.traces.format import is_billed
from farthing.traces.importing import Import, import_paths
from farthing.traces.problems import CAUSES
from farthing.traces.redact import Redactor
from farthing.version import VERSION

__all__ = ["DESCRIPTION", "HELP", "add_arguments", "run"]

HELP: Final = "Turn transcripts and logs into one trace file"

DESCRIPTION: Final = """\
Turn transcripts and logs into one trace file.

  farthing import ~/.claude/projects -o mine.jsonl.gz
  farthing import spend.jsonl more.jsonl.gz -o mine.jsonl.gz
  farthing import mine.jsonl.gz -o to-share.jsonl.gz --redact filler

Formats are told by content: Claude Code transcripts, LiteLLM logs, research rows, traces.
A call that occurs in several files is billed in one of them only."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    add = parser.add_argument
    add("paths", nargs="+", type=Path, metavar="SRC", help="files or folders")
    add("-o", "--output", type=Path, required=True, metavar="FILE", help=".jsonl, or .jsonl.gz")
    add(
        "--redact",
        choices=("filler", "digest"),
        help="replace all text: by filler of the same length, or by digests",
    )
    add("--json", action="store_true", help="print the counts as JSON")


def run(args: argparse.Namespace) -> int:
    """Write the trace; 1 if there was nothing to write."""
    imported = Import(output=args.output)
    _refuse_overwriting(args.output, args.paths)
    redactor = Redactor(secrets.token_bytes(32), args.redact) if args.redact else None
    counts = {"conversations": 0, "calls": 0, "replayed_calls": 0}
    redaction = args.redact or "none"
    writer = TraceWriter(args.output, redaction=redaction, writer=f"farthing {VERSION}")
    with writer, ProgressBar("importing") as bar:
        for conversation in import_paths(args.paths, imported):
            writer.write(redactor.redact(conversation) if redactor else conversation)
            counts["conversations"] += 1
            counts["calls"] += sum(map(is_billed, conversation.calls))
            counts["replayed_calls"] += sum(call.replayed for call in conversation.calls)
            bar.update(imported.bytes_read, imported.bytes_total)
    _report(args, counts, imported)
    return 0 if counts["conversations"] else 1


def _refuse_overwriting(output: Path, paths: list[Path]) -> None:
    if any(path.exists() and output.exists() and path.samefile(output) for path in paths):
        raise TraceError(f"{str(output)!r} is one of the sources; write to another file")


def _report(args: argparse.Namespace, counts: dict[str, int], imported: Import) -> None:
    problems = {cause: found.count for cause, found in sorted(imported.problems.by_cause.items())}
    if args.json:
        result: dict[str, Any] = {"trace": str(args.output), "files": len(imported.files), **counts}
        print(json.dumps(result | {"kinds": imported.kinds, "problems": problems}))
        return
    print(
        f"{counts['conversations']:,} conversations with {counts['calls']:,} calls from "
        f"{len(imported.files):,} files written to {args.output}"
    )
    if counts["replayed_calls"]:
        print(f"  {counts['replayed_calls']:,} calls occur in several places; each is billed once")
    for cause, count in problems.items():
        print(f"  {count:,} × {CAUSES[cause]}")
