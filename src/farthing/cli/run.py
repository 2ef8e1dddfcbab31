"""``farthing run -- COMMAND``: one command behind a gateway of its own, and its bill at the end."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from farthing.cli.arguments import load_catalog
from farthing.cli.child import CommandNotFound, run_in_foreground
from farthing.cli.claude_files import SettingsFile, claude_settings_path
from farthing.cli.claude_settings import environment_in
from farthing.cli.install import BASE_URL, TOOL_SEARCH
from farthing.cli.quiet import quiet_terminal
from farthing.cli.run_bill import bill_lines, bill_of
from farthing.cli.settings import add_setting_options, resolve_settings
from farthing.config import Settings
from farthing.core.records import RowFilter
from farthing.errors import ConfigError, FarthingError

__all__ = ["DESCRIPTION", "HELP", "add_arguments", "run"]

HELP: Final = "Run a command with a gateway of its own, and print its bill at the end"

DESCRIPTION: Final = """\
Run a command with a gateway of its own, and print its bill at the end.

  farthing run -- claude                  Claude Code, in its own terminal as ever
  farthing run -- aider --model opus      whatever reads ANTHROPIC_BASE_URL or ANTHROPIC_API_BASE
  farthing run --cache off -- python agent.py      no levers: metered and nothing else

The gateway listens on a free port of 127.0.0.1 and ends with the command, whose exit code is
passed on. Nothing is written to the terminal but the bill, on standard error. Options of the
gateway come before `--`. If ANTHROPIC_BASE_URL is set already, it is where the gateway sends to.
If another gateway has the ledger, the rows go into one beside it, and a line says which."""

#: what a run decides otherwise than a gateway that serves many
_OWN: Final = {"host": "127.0.0.1", "port": "0", "drain_seconds": "5"}
#: Anthropic's SDKs and Claude Code, then LiteLLM and what is built on it, aider for one
_URL_VARIABLES: Final = (BASE_URL, "ANTHROPIC_API_BASE")
_PROXIES: Final = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_LOCAL: Final = ("127.0.0.1", "localhost")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    add_setting_options(parser)
    parser.add_argument(
        "--log", type=Path, metavar="FILE", help="append the gateway's log lines to this file"
    )
    parser.add_argument(
        "command",
        nargs=argparse.REMAINDER,
        metavar="-- COMMAND …",
        help="what to run, with its own options",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command behind a gateway; its exit code, or 127 where there is no such command."""
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise ConfigError("run needs a command: farthing run -- claude")
    pinned = _pinned_port(command[0]) if args.port is None else None
    for name, value in _OWN.items():
        if getattr(args, name) is None:
            setattr(args, name, value if name != "port" or pinned is None else str(pinned))
    resolved = resolve_settings(args)
    settings = resolved.settings
    before = os.environ.get(BASE_URL)
    if before and resolved.origins["upstream"] == "default":
        settings = replace(settings, upstream=before.rstrip("/"))
        _say(f"calls go on to {before}, as {BASE_URL} says")
    try:
        return _run(command, settings, args.log)
    except CommandNotFound as error:
        _say(str(error))
        return error.exit_code


def _run(command: list[str], settings: Settings, log: Path | None) -> int:
    try:
        # Late: these load the server and the client library, which `pip install farthing` lacks.
        from farthing.compose import ledger_path, running_gateway  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"the gateway needs {error.name!r}: pip install 'farthing[gateway]'"
        ) from error
    ledger = _free_ledger(ledger_path(settings))
    settings = replace(settings, ledger=str(ledger))
    started_at = datetime.now(UTC)
    with (
        quiet_terminal(settings, log),
        running_gateway(settings, prices=load_catalog()) as gateway,
    ):
        code = run_in_foreground(command, _environment(os.environ, gateway.url))
    _print_bill(ledger, started_at)
    return code


def _pinned_port(command: str) -> int | None:
    """The port that Claude Code's own settings name: they win over the environment it is given."""
    if Path(command).stem != "claude":
        return None
    file = SettingsFile(claude_settings_path(os.environ))
    url = environment_in(file.read()).get(BASE_URL)
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname in _LOCAL and parts.port:
        _refuse_taken(parts.port, str(file.path))
        return parts.port
    raise ConfigError(
        f"{str(file.path)!r} sets {BASE_URL} to {url!r}, which wins over what this run would set: "
        "take it out there and give it as --upstream"
    )


def _refuse_taken(port: int, settings: str) -> None:
    try:
        socket.create_server((_LOCAL[0], port)).close()
    except OSError as error:
        raise ConfigError(
            f"{settings!r} sends Claude Code to port {port}, which wins over what this run would "
            "set, and something listens there: if it is your gateway, start `claude` itself; "
            "else `farthing uninstall claude` first"
        ) from error


def _free_ledger(usual: Path) -> Path:
    """The usual ledger, or where another gateway has it, the first beside it that is free."""
    from farthing.ledger.lock import owner  # noqa: PLC0415  late: loads SQLite
    from farthing.ledger.place import ledger_places  # noqa: PLC0415  likewise

    for path in ledger_places(usual):
        if owner(path.with_name(f"{path.name}.lock")) is None:
            if path != usual:
                _say(f"another gateway has the ledger {usual}: this run's rows go to {path}")
            return path
    raise ConfigError(f"all ledgers beside {str(usual)!r} are in use: name another with --ledger")


def _environment(environment: Mapping[str, str], url: str) -> dict[str, str]:
    """What the command is given: ours, and what a proxy of the machine must leave alone."""
    changed = {**environment, **dict.fromkeys(_URL_VARIABLES, url)}
    changed.setdefault(TOOL_SEARCH, "true")
    if any(environment.get(name) for name in _PROXIES):
        for name in ("NO_PROXY", "no_proxy"):
            known = [part for part in environment.get(name, "").split(",") if part.strip()]
            changed[name] = ",".join([*known, *_LOCAL])
    return changed


def _print_bill(ledger: Path, started_at: datetime) -> None:
    """What the calls of this run cost: it alone has written the ledger since it began."""
    from farthing.ledger.database import select_rows  # noqa: PLC0415  late: loads SQLite

    try:
        bill = bill_of(select_rows(ledger, RowFilter(opened_from=started_at)))
    except FarthingError as error:  # the command's exit code counts more than its bill
        _say(f"no bill: {error}")
        return
    print("\n".join(bill_lines(bill, ledger=str(ledger))), file=sys.stderr)


def _say(text: str) -> None:
    print(f"farthing: {text}", file=sys.stderr, flush=True)
