"""What a model's dates mean on a given day: released, deprecated, retired.

The day is an argument: this floor has no clock. Dates come from the provider's deprecation page
(API facts section 1.2); partner clouds keep their own schedules.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

__all__ = ["Lifecycle", "Notice", "NoticeCode", "notices_for"]

NoticeCode = Literal["not_released", "deprecated", "retired", "fast_deprecated", "fast_removed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """The dates of one model; None: not announced."""

    released: date
    deprecated: date | None = None
    retires: date | None = None
    #: the provider's promise: retirement not sooner than this
    not_before: date | None = None
    fast_deprecated: date | None = None
    fast_removed: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to know about a model on a day."""

    code: NoticeCode
    text: str


def notices_for(model: str, life: Lifecycle, *, on: date, fast: bool = False) -> tuple[Notice, ...]:
    """What a user of this model, perhaps in fast mode, should be told on this day."""
    found = _model_notices(life, on) + (_fast_notices(life, on) if fast else [])
    return tuple(Notice(code=code, text=f"{model} {text}") for code, text in found)


def _model_notices(life: Lifecycle, on: date) -> list[tuple[NoticeCode, str]]:
    if on < life.released:
        return [("not_released", f"was released on {life.released}, after {on}")]
    if life.retires is not None and on >= life.retires:
        gone = f"was retired on {life.retires}: the Claude API refuses it"
        return [("retired", f"{gone}; its price is for past usage only")]
    if life.deprecated is None or on < life.deprecated:
        return []
    when = f"and retires on {life.retires}" if life.retires else "with no retirement date yet"
    return [("deprecated", f"is deprecated since {life.deprecated} {when}: plan its successor")]


def _fast_notices(life: Lifecycle, on: date) -> list[tuple[NoticeCode, str]]:
    if life.fast_removed is not None and on >= life.fast_removed:
        return [("fast_removed", f"has no fast mode since {life.fast_removed}")]
    if life.fast_deprecated is None or on < life.fast_deprecated:
        return []
    return [
        (
            "fast_deprecated",
            f"loses fast mode on {life.fast_removed} (deprecated since {life.fast_deprecated})",
        )
    ]
