"""``farthing uninstall claude``: Claude Code's settings as they were, byte for byte."""

from __future__ import annotations

import argparse
import json
import os
from typing import Final

from farthing.cli.claude_files import SettingsFile, Undone, claude_settings_path

__all__ = ["DESCRIPTION", "HELP", "add_arguments", "run"]

HELP: Final = "Put Claude Code's settings back as they were"

DESCRIPTION: Final = """\
Put Claude Code's settings back as they were.

  farthing uninstall claude             byte for byte, if nobody changed them since
  farthing uninstall claude --dry-run   says what would happen, changes nothing

Of settings that were edited since, only what `farthing install claude` set is taken out; the edits
and their formatting stay. After an interrupted install or uninstall, run it again."""

_WORDS: Final = {
    "restored": "is as it was, byte for byte",
    "spliced": "was edited since: what farthing had set is out, the edits stay",
    "clean": "has nothing of farthing's: the interrupted change is cleared away",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    add = parser.add_argument
    add("client", choices=("claude",), help="whose settings")
    add("--dry-run", action="store_true", help="say what would happen; change nothing")
    add("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Undo the installation, if there is one."""
    file = SettingsFile(claude_settings_path(os.environ))
    undone = _planned(file) if args.dry_run else file.undo()
    if args.json:
        report = {
            "settings": str(file.path),
            "undone": None if undone is None else undone.how,
            "kept": [] if undone is None else list(undone.kept),
            "dry_run": args.dry_run,
        }
        print(json.dumps(report))
        return 0
    if undone is None:
        print(f"nothing of farthing is installed in {file.path}")
        return 0
    would = "would do this: " if args.dry_run else ""
    print(f"{would}{file.path} {_WORDS[undone.how]}")
    for name in undone.kept:
        print(f"{name} has another value than farthing set, so it stays")
    return 0


def _planned(file: SettingsFile) -> Undone | None:
    planned = file.after_undo()
    return None if planned is None else planned[0]
