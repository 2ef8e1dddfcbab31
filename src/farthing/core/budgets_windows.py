"""Windows of time: when the hour, day, week or month of an instant began, and when it ends.

A window belongs to a time zone: a day begins at that zone's midnight, so it has 23 or 25 hours
where clocks change. It is named by its kind and the UTC instant of its beginning, which is the same
in every process and does not depend on what the zone is called.

An instant before the last one (a clock that was set back) lies in the window that it says; nothing
here remembers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Literal

__all__ = ["Span", "WindowKind", "window_at"]

WindowKind = Literal["call", "task", "hour", "day", "week", "month", "total"]

_HOUR: Final = timedelta(hours=1)
_DECEMBER: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One window, in UTC; ``end`` is the instant of the reset."""

    kind: WindowKind
    start: datetime
    end: datetime

    @property
    def name(self) -> str:
        """What a key says of it."""
        return f"{self.kind}:{self.start:%Y-%m-%dT%H:%MZ}"


def window_at(kind: WindowKind, zone: tzinfo, now: datetime) -> Span | None:
    """The window of an instant; None for kinds that no clock ends."""
    local = now.astimezone(zone)
    if kind == "hour":
        # In real time: where clocks change by half an hour, the wall clock is no help.
        gone = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        start = now.astimezone(UTC) - gone
        return Span(kind=kind, start=start, end=start + _HOUR)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if kind == "day":
        first, last = midnight, _later(midnight, 1)
    elif kind == "week":
        first = _later(midnight, -midnight.weekday())
        last = _later(first, 7)
    elif kind == "month":
        first = midnight.replace(day=1)
        last = _next_month(first)
    else:
        return None
    return Span(kind=kind, start=first.astimezone(UTC), end=last.astimezone(UTC))


def _later(midnight: datetime, days: int) -> datetime:
    """The midnight some days on, by the calendar: adding 24 hours would miss it twice a year."""
    return midnight + timedelta(
        days=days
    )  # wall-clock arithmetic: an aware datetime keeps its zone


def _next_month(first: datetime) -> datetime:
    if first.month == _DECEMBER:
        return first.replace(year=first.year + 1, month=1)
    return first.replace(month=first.month + 1)
