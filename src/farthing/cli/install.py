"""``farthing install claude``: Claude Code calls the gateway from now on, until uninstalled."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Final

from farthing.cli.claude_files import SettingsFile, claude_settings_path
from farthing.cli.claude_settings import environment_in, with_variables
from farthing.cli.settings import resolve_settings
from farthing.config import Settings

__all__ = [
    "BASE_URL",
    "DESCRIPTION",
    "HELP",
    "TOOL_SEARCH",
    "add_arguments",
    "gateway_url",
    "run",
]

HELP: Final = "Make Claude Code call the gateway from now on, with an exact undo"

DESCRIPTION: Final = """\
Make Claude Code call the gateway from now on, with an exact undo.

  farthing install claude             sets two variables in Claude Code's settings
  farthing install claude --dry-run   says which, changes nothing
  farthing uninstall claude           puts the settings back byte for byte

The settings are ~/.claude/settings.json, or below CLAUDE_CONFIG_DIR. Claude Code then needs the
gateway: start it with `farthing serve` and let it run; `farthing doctor` checks that it does.
For one command without any settings there is `farthing run -- claude`."""

BASE_URL: Final = "ANTHROPIC_BASE_URL"
TOOL_SEARCH: Final = "ENABLE_TOOL_SEARCH"

_WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- read, not bound


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    add = parser.add_argument
    add("client", choices=("claude",), help="whose settings")
    add("--config", type=Path, metavar="FILE", help="TOML file with the gateway's settings")
    add("--host", metavar="TEXT", help="where the gateway listens, if not where the settings say")
    add("--port", metavar="PORT", help="its port, if not the one of the settings")
    add("--dry-run", action="store_true", help="say what would be set; change nothing")
    add("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Set the variables, unless they are set."""
    url = gateway_url(resolve_settings(args).settings)
    file = SettingsFile(claude_settings_path(os.environ))
    planned = file.after_undo()
    now = file.read()
    before = now if planned is None else planned[1]
    known = environment_in(before)
    variables = _missing(known, url)
    after = with_variables(before, variables) if variables else before
    is_changed = after != now
    if is_changed and not args.dry_run:
        file.undo()
        if variables:
            file.install(before, after or b"", variables)
    report = {
        "settings": str(file.path),
        "gateway": url,
        "variables": variables,
        "replaced": {name: known[name] for name in variables if name in known},
        "changed": is_changed,
        "dry_run": args.dry_run,
    }
    print(json.dumps(report) if args.json else "\n".join(_lines(report, known, url)))
    return 0


def gateway_url(settings: Settings) -> str:
    """Where `farthing serve` with these settings is reached from this machine."""
    host = _WILDCARDS.get(settings.host, settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _missing(known: dict[str, str | None], url: str) -> dict[str, str]:
    """What has to be set; whoever has said something about tool search has decided."""
    variables = {} if known.get(BASE_URL) == url else {BASE_URL: url}
    return variables if TOOL_SEARCH in known else {**variables, TOOL_SEARCH: "true"}


def _lines(report: dict[str, object], known: dict[str, str | None], url: str) -> list[str]:
    variables = report["variables"]
    assert isinstance(variables, dict)  # made above
    where = f"the settings of Claude Code, {report['settings']}"
    if not report["changed"]:
        lines = [f"already set in {where}: nothing changed"]
    else:
        verb = "would set" if report["dry_run"] else "set"
        lines = [f"{verb} in {where}:", *(f"  {name}={text}" for name, text in variables.items())]
    former = known.get(BASE_URL)
    if former and former != url:
        lines.append(
            f"it called {former} before; to go on through that: farthing serve --upstream {former}"
        )
    if known.get(TOOL_SEARCH, "true") != "true":
        lines.append(f"{TOOL_SEARCH} is {known[TOOL_SEARCH]!r} there and stays so")
    return [
        *lines,
        "Claude Code now needs the gateway: start `farthing serve` and let it run;",
        "`farthing doctor` checks that it does, `farthing uninstall claude` undoes this.",
    ]
