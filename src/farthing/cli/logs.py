"""Log lines on stderr: for eyes, or one JSON object a line. Only commands configure logging."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

__all__ = ["configure_logging"]

#: what every record has; anything else was given as ``extra``
_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_FOREIGN: Final = ("uvicorn", "aiohttp", "asyncio")


def configure_logging(
    level: str, style: Literal["text", "json"], stream: TextIO | None = None
) -> None:
    """Write what farthing logs from a level on; of others, what went wrong. None: stderr."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_JsonLines() if style == "json" else _TextLines())
    root = logging.getLogger("farthing")
    root.handlers = [handler]
    root.setLevel(level.upper())
    root.propagate = False
    for name in _FOREIGN:
        other = logging.getLogger(name)
        # a cut answer is told to the client by a cut connection; uvicorn would call it an error
        other.setLevel(logging.CRITICAL)


class _TextLines(logging.Formatter):
    """``03:12:45 INFO exchange settled  exchange_id=… cost_usd=…``."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        facts = " ".join(f"{name}={value}" for name, value in _facts(record).items())
        line = f"{at} {record.levelname} {record.getMessage()}  {facts}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _JsonLines(logging.Formatter):
    """One object a line: time, level, logger, message, and the facts."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_facts(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _facts(record: logging.LogRecord) -> dict[str, object]:
    return {
        name: value
        for name, value in vars(record).items()
        if name not in _USUAL and value not in (None, ())
    }
