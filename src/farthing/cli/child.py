"""A command in the foreground, with this process out of its way: terminal, signals, exit code.

Theory of operation. The child is in our process group, so the terminal is its own as much as ours:
what is typed there reaches it directly, and the signals of Ctrl-C and the like are sent by the
kernel to both. We must survive those that end a process (the child decides what they mean) and
stop with it at Ctrl-Z. Signals sent to us alone, as a supervisor does, are passed on; without a
terminal an interrupt is one of those.

Rules of this file: a signal that was ignored when we were started (``nohup``, a job in the
background) stays ignored, here and in the child; handlers of ours never reach the child, because
``exec`` resets them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

from farthing.errors import ConfigError

__all__ = ["CANNOT_RUN", "NOT_FOUND", "CommandNotFound", "run_in_foreground"]

#: as shells have it
NOT_FOUND: Final = 127
CANNOT_RUN: Final = 126
_KILLED_BY: Final = 128

_TYPED: Final = (signal.SIGINT, signal.SIGQUIT)
_SENT: Final = (signal.SIGTERM, signal.SIGHUP)


class CommandNotFound(ConfigError):
    """The command cannot be started; ``exit_code`` says why, as a shell would."""

    code = "config.command_not_found"

    def __init__(self, message: str = "", *, exit_code: int = NOT_FOUND) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def run_in_foreground(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run it to its end; its exit code, or 128 + the signal that ended it."""
    with _signals() as passing:
        try:
            child = subprocess.Popen(command, env=dict(environment))  # noqa: S603 -- the user's own
        except OSError as error:
            raise _not_started(command[0], error) from error
        passing.to(child)
        code = child.wait()
    return _KILLED_BY - code if code < 0 else code


class _Passing:
    """Passes signals on, those included that came before there was a child."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def to(self, child: subprocess.Popen[bytes]) -> None:
        """From now on to this child."""
        self._child = child
        for number in self._early:
            self._send(number)

    def sent(self, number: int, _frame: FrameType | None) -> None:
        """A signal for us alone."""
        if self._child is None:
            self._early.append(number)
        else:
            self._send(number)

    def typed(self, number: int, frame: FrameType | None) -> None:
        """A signal from the terminal, which the child has got too; without one, for us alone."""
        if not _has_terminal():
            self.sent(number, frame)

    def _send(self, number: int) -> None:
        assert self._child is not None  # the callers have looked
        with suppress(ProcessLookupError):
            self._child.send_signal(number)


@contextmanager
def _signals() -> Iterator[_Passing]:
    passing = _Passing()
    wanted = dict.fromkeys(_TYPED, passing.typed) | dict.fromkeys(_SENT, passing.sent)
    before = {number: signal.getsignal(number) for number in wanted}
    for number, handler in wanted.items():
        if before[number] != signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield passing
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def _has_terminal() -> bool:
    """Are we in the foreground of a terminal, whose keys send signals to the child too?"""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _not_started(name: str, error: OSError) -> CommandNotFound:
    if isinstance(error, FileNotFoundError):
        return CommandNotFound(
            f"there is no command {name!r}: install it, or give its whole path", exit_code=NOT_FOUND
        )
    why = error.strerror or type(error).__name__
    hint = "; is it a program, and may you run it?" if sys.platform != "win32" else ""
    return CommandNotFound(f"cannot run {name!r}: {why}{hint}", exit_code=CANNOT_RUN)
