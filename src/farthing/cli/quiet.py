"""A gateway that leaves the terminal to another program: its log lines go into a file, or nowhere.

Rules of this file: all of it ends with the ``with`` block; only commands use it, because loggers
are the process's.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from farthing.cli.logs import configure_logging
from farthing.config import Settings
from farthing.errors import ConfigError

__all__ = ["quiet_terminal"]

_logger: Final = logging.getLogger("farthing.run")


@contextmanager
def quiet_terminal(settings: Settings, log: Path | None) -> Iterator[None]:
    """Whatever this process would say of itself goes to ``log``; None: nowhere."""
    hook, nowhere = threading.excepthook, logging.NullHandler()
    with _opened(log) as stream:
        configure_logging(settings.log_level, settings.log_format, stream)
        # Without a handler at the root, warnings of other libraries would be printed.
        logging.getLogger().addHandler(nowhere)
        threading.excepthook = _log_thread
        try:
            yield
        finally:
            threading.excepthook = hook
            logging.getLogger().removeHandler(nowhere)
            logging.getLogger("farthing").handlers = []


def _log_thread(args: threading.ExceptHookArgs) -> None:
    kind, value, trace = args.exc_type, args.exc_value, args.exc_traceback
    _logger.critical(
        "a thread ended by an error",
        exc_info=(kind, value, trace) if value is not None else None,
        extra={"action": "run.thread_failed"},
    )


@contextmanager
def _opened(log: Path | None) -> Iterator[TextIO]:
    path = Path(os.devnull) if log is None else log
    try:
        stream = path.open("a", encoding="utf-8")
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ConfigError(f"cannot write log lines to {str(path)!r}: {why}") from error
    with stream:
        yield stream
