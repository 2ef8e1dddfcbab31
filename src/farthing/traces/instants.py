"""Time stamps of foreign records as seconds since the epoch."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final

__all__ = ["dump_instant", "parse_instant", "utc_day"]

#: the year 5138; what lies beyond is no time stamp
_LATEST: Final = 1e11


def parse_instant(text: str | float | None) -> float | None:
    """Seconds since the epoch of an ISO 8601 string or a number of seconds; None if it is neither.

    A string without an offset is read as UTC: spend logs write it that way.
    """
    if isinstance(text, int | float):
        return float(text) if 0 <= text < _LATEST else None
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = moment.timestamp()
    return seconds if 0 <= seconds < _LATEST else None


def dump_instant(seconds: float) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def utc_day(seconds: float | None) -> date | None:
    """The day an instant falls on; None for no instant, or one out of range."""
    if seconds is None or not 0 <= seconds < _LATEST:
        return None
    return datetime.fromtimestamp(seconds, UTC).date()
