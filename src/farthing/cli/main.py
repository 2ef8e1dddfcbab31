"""The ``farthing`` command: finds the command asked for, runs it, turns errors into exit codes.

Importing this module loads no command; a command is imported when it is called or listed.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType
from typing import Final, NoReturn

from farthing.errors import ConfigError, FarthingError, RequestError
from farthing.version import VERSION

__all__ = ["COMMANDS", "CommandParser", "did_you_mean", "main"]

#: name → module with ``HELP``, ``add_arguments(parser)`` and ``run(args) -> int``
COMMANDS: Final[dict[str, str]] = {
    "alerts": "farthing.cli.alerts",
    "audit": "farthing.cli.audit",
    "budget": "farthing.cli.budget",
    "compare": "farthing.cli.compare",
    "config": "farthing.cli.config",
    "demo": "farthing.cli.demo",
    "doctor": "farthing.cli.doctor",
    "emulate": "farthing.cli.emulate",
    "estimate": "farthing.cli.estimate",
    "explain": "farthing.cli.explain",
    "import": "farthing.cli.import_",
    "install": "farthing.cli.install",
    "journal": "farthing.cli.journal",
    "keys": "farthing.cli.keys",
    "ledger": "farthing.cli.ledger",
    "loops": "farthing.cli.loops",
    "predict": "farthing.cli.predict",
    "price": "farthing.cli.price",
    "replay": "farthing.cli.replay",
    "report": "farthing.cli.report",
    "run": "farthing.cli.run",
    "savings": "farthing.cli.savings",
    "serve": "farthing.cli.serve",
    "tail": "farthing.cli.tail",
    "trace": "farthing.cli.trace",
    "uninstall": "farthing.cli.uninstall",
}

#: who must act is the caller or the operator; anything else exits with 1
_USAGE_ERRORS: Final = (ConfigError, RequestError)


class CommandParser(argparse.ArgumentParser):
    """An argument parser that takes no abbreviations and suggests what was meant."""

    def __init__(self, *, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)

    def parse_all(self, argv: Sequence[str]) -> argparse.Namespace:
        """The arguments; exits with 2 and a suggestion where one is not known."""
        # words of a list may stand behind an option: argparse by itself would end it there
        is_list = any(action.nargs == "*" for action in self._actions)
        parse = self.parse_known_intermixed_args if is_list else self.parse_known_args
        args, unknown = parse(argv)
        if unknown:
            self._refuse(unknown[0])
        return args

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, not after the whole usage; exit with 2."""
        self.exit(2, f"{self.prog}: {message}\nTry `{self.prog} --help`.\n")

    def _refuse(self, word: str) -> NoReturn:
        known = [option for action in self._actions for option in action.option_strings]
        name = word.partition("=")[0]
        if word.startswith("-"):
            self.error(f"unknown option {name!r}{did_you_mean(name, known)}")
        self.error(f"unexpected argument {word!r}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean …?`` for what is close, else nothing: the end of an error message."""
    close = get_close_matches(word, list(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(name) for name in close)}?" if close else ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 2 for usage and configuration, 1 for other errors."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _dispatch(words)
        sys.stdout.flush()
    except FarthingError as error:
        print(f"farthing: {error}", file=sys.stderr)
        return 2 if isinstance(error, _USAGE_ERRORS) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, `head` for one, has seen enough
        _write_no_more()
        return 0
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _write_no_more()
        print(f"farthing: the output is incomplete: {error.strerror}", file=sys.stderr)
        return 1
    return code


def _write_no_more() -> None:
    """Or the interpreter would fail once more on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _dispatch(words: list[str]) -> int:
    if not words or words[0].startswith("-"):
        return _top_level(words)
    name, *rest = words
    if name == "help":
        return _dispatch([*rest[:1], "--help"])
    if name not in COMMANDS:
        raise ConfigError(
            f"unknown command {name!r}{did_you_mean(name, COMMANDS)}\n`farthing --help` lists them"
        )
    module = _module(name)
    parser = CommandParser(
        prog=f"farthing {name}", description=getattr(module, "DESCRIPTION", module.HELP)
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    module.add_arguments(parser)
    code: int = module.run(parser.parse_all(rest))
    return code


def _top_level(words: list[str]) -> int:
    parser = CommandParser(prog="farthing", description=_summary())
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.usage = "farthing COMMAND [OPTIONS]"
    parser.add_argument("--version", action="version", version=f"farthing {VERSION}")
    parser.parse_all(words)
    parser.print_help()
    return 0


def _summary() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name.ljust(width)}  {_module(name).HELP}" for name in sorted(COMMANDS)]
    return "\n".join(
        [
            "Smaller, bounded and explained bills for Claude API agents.",
            "",
            "commands:",
            *lines,
            "",
            "`farthing COMMAND --help` says more.",
        ]
    )


def _module(name: str) -> ModuleType:
    return import_module(COMMANDS[name].partition(":")[0])
