"""``farthing doctor``: does it work here, and if not, what to do."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

from farthing.cli import doctor_prompts
from farthing.cli.doctor_checks import findings
from farthing.cli.doctor_findings import Finding
from farthing.cli.settings import add_setting_options, resolve_settings
from farthing.config import Settings
from farthing.errors import ConfigError

__all__ = ["DESCRIPTION", "HELP", "add_arguments", "run"]

HELP: Final = "Check that calls flow and are priced, and say what to do where not"

DESCRIPTION: Final = """\
Check that calls flow and are priced, and say what to do where not.

  farthing doctor             everything, with one call to Claude's list of models, which is free
  farthing doctor --offline   asks nobody beyond this machine
  farthing doctor --json      the same for programs
  farthing doctor prompts     what breaks the prompt cache, dearest first; reads files only

It looks at Python and the extras, the gateway, who calls it (this shell, Claude Code), tool search,
the way to Claude and its clock, the disk, the ledger and the prices. It changes nothing.
Exit code 1 if something fails; a warning alone is 0. Settings are those of `farthing serve`."""

_INDENT: Final = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    add = parser.add_argument
    add("topic", nargs="?", choices=("setup", "prompts"), default="setup", help="what to check")
    add("--offline", action="store_true", help="ask nobody beyond this machine")
    add("--json", action="store_true", help="print JSON")
    doctor_prompts.add_arguments(parser)
    add_setting_options(parser)


def run(args: argparse.Namespace) -> int:
    """Print the findings; 1 if any of them is a failure."""
    if args.topic == "prompts":
        return doctor_prompts.run(args)
    if args.paths:
        raise ConfigError("paths belong to `farthing doctor prompts`")
    found = list(_found(args))
    failed = any(finding.level == "fail" for finding in found)
    if args.json:
        print(json.dumps({"ok": not failed, "findings": [asdict(finding) for finding in found]}))
    else:
        print("\n".join(_lines(found)))
    return 1 if failed else 0


def _found(args: argparse.Namespace) -> Iterator[Finding]:
    settings = Settings()
    try:
        settings = resolve_settings(args).settings
    except ConfigError as error:
        do = "correct it; the rest is checked with the defaults"
        yield Finding(name="settings", level="fail", says=str(error), do=do)
    else:
        yield Finding(name="settings", level="ok", says="read; see `farthing config show`")
    yield from findings(settings, os.environ, now=datetime.now(UTC), offline=args.offline)


def _lines(found: Sequence[Finding]) -> Iterator[str]:
    for finding in found:
        yield f"{finding.level:<6}{finding.name:<{_INDENT - 6}}{finding.says}"
        if finding.do:
            yield f"{'':<{_INDENT}}→ {finding.do}"
    worst = [sum(finding.level == level for finding in found) for level in ("fail", "warn")]
    yield ""
    yield f"{worst[0]} to mend, {worst[1]} to know" if any(worst) else "all is well"
