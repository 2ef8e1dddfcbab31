"""What is told when: urgent at once, the rest in a digest, and never more than an hour may hold.

Theory of operation. Alerts that wait are gathered into messages:

- an ``error`` or ``critical`` one goes at once, together with all that wait of its rule, and so
  does what ends it;
- the others wait until the oldest of them is ``digest_seconds`` old, then go as one message;
- at most ``hourly`` messages per hour: beyond that everything waits, nothing is dropped, and the
  first message after it carries what has come together.

A message has at most ``most`` alerts; what is over follows in the next one.

Rules of this file: a function of what waits, what was told and the time; so after a restart it
decides as it would have before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from farthing.core.alerts import Alert

__all__ = ["FlowLimits", "Gathered", "Pending", "gather"]

_HOUR: Final = timedelta(hours=1)
_URGENT: Final = frozenset({"error", "critical"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowLimits:
    """How much may be said."""

    digest_seconds: float = 300.0
    #: messages; at least one
    hourly: int = 20
    #: alerts in one message
    most: int = 40


@dataclass(frozen=True, slots=True)
class Pending:
    """An alert that was raised and not told yet."""

    number: int
    alert: Alert


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """The messages to tell now, and when to look again; None: when something is raised."""

    groups: tuple[tuple[Pending, ...], ...] = ()
    due_at: datetime | None = None


def gather(
    pending: Sequence[Pending], told: Sequence[datetime], now: datetime, limits: FlowLimits
) -> Gathered:
    """Decide; ``told`` is when the messages of the last hour went."""
    recent = sorted(at for at in told if now - at < _HOUR)
    room = limits.hourly - len(recent)
    if not pending:
        return Gathered()
    if room <= 0:
        return Gathered(due_at=recent[-limits.hourly] + _HOUR)
    groups, rest = _grouped(pending, now, limits)
    held = [one for group in groups[room:] for one in group]
    due: list[datetime] = []
    if held:
        frees = recent[0] if recent else now
        due.append(frees + _HOUR)
    if rest:
        due.append(_digest_at(rest, now, limits))
    return Gathered(groups=tuple(groups[:room]), due_at=min(due, default=None))


def _grouped(
    pending: Sequence[Pending], now: datetime, limits: FlowLimits
) -> tuple[list[tuple[Pending, ...]], list[Pending]]:
    """What goes now, message by message, and what goes on waiting."""
    urgent = dict.fromkeys(one.alert.rule for one in pending if one.alert.severity in _URGENT)
    rest = [one for one in pending if one.alert.rule not in urgent]
    groups = [[one for one in pending if one.alert.rule == rule] for rule in urgent]
    if rest and _digest_at(rest, now, limits) <= now:
        groups.append(rest)
        rest = []
    most = limits.most
    pieces = [tuple(group[at : at + most]) for group in groups for at in range(0, len(group), most)]
    return pieces, rest


def _digest_at(rest: Sequence[Pending], now: datetime, limits: FlowLimits) -> datetime:
    """The end of the oldest one's wait; at once where the clock went back behind it."""
    oldest = min(one.alert.at for one in rest)
    return now if oldest > now else oldest + timedelta(seconds=limits.digest_seconds)
