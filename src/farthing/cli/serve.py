"""``farthing serve``: the gateway in the foreground, until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from farthing.cli.arguments import load_catalog
from farthing.cli.logs import configure_logging
from farthing.cli.settings import add_setting_options, resolve_settings
from farthing.config import Settings
from farthing.errors import ConfigError

__all__ = ["DESCRIPTION", "HELP", "add_arguments", "run"]

HELP: Final = "Serve the gateway: every call to Claude metered, attributed and recorded"

DESCRIPTION: Final = """\
Serve the gateway between your agents and the Claude API, in the foreground.

  farthing serve                          on 127.0.0.1, to https://api.anthropic.com
  farthing serve --profile observe        plans and records what levers would save; acts on nothing
  farthing serve --cache off              no levers at all: bytes pass as they come
  farthing serve --upstream URL           to another endpoint, `farthing emulate` for one
  farthing serve --record DIR             keep bodies as a trace that can be replayed

Point a client at it with ANTHROPIC_BASE_URL; its key passes through and is stored nowhere."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    add_setting_options(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop."""
    settings = resolve_settings(args).settings
    try:
        # Late: these load the server and the client library, which `pip install farthing` lacks.
        from farthing.compose import ledger_path, serve  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"the gateway needs {error.name!r}: pip install 'farthing[gateway]'"
        ) from error
    configure_logging(settings.log_level, settings.log_format)

    def announce(url: str) -> None:
        print(f"export ANTHROPIC_BASE_URL={url}", flush=True)
        print(_summary(settings, str(ledger_path(settings))), file=sys.stderr, flush=True)

    serve(settings, prices=load_catalog(), announce=announce)
    return 0


def _summary(settings: Settings, ledger: str) -> str:
    key = "its own key" if settings.api_key or settings.api_key_file else "the clients' keys"
    lines = [
        f"farthing serves {settings.upstream} with {key}; ledger {ledger}",
        f"levers: {_levers(settings)}",
    ]
    if settings.record is not None:
        lines.append(f"bodies are RECORDED in {settings.record} ({settings.record_redaction})")
    return "\n".join(lines)


def _levers(settings: Settings) -> str:
    """What may be done to a request."""
    if settings.cache == "off":
        return "off"
    if settings.cache == "auto":
        return "the provider's automatic prompt caching"
    return settings.profile
