"""A budget: whose spending it caps, over which window, and what happens near its end.

Theory of operation. A budget names a *scope* (a call, a task, a tree of tasks, a session, a key, a
model, a type of task, everything) and a *window* (this call, this task, an hour, a day, a week, a
month, all time). For one call each budget that applies becomes a ``Claim``: a key that stands for
scope × window, a limit, and what the call asks for. All claims must be admitted, and are asked for
in one step, the widest scope first.

Spending is counted per key, not per budget: two budgets over the same scope and window share their
count, and a changed limit forgets nothing. A budget without a selector is one budget for each value
of its scope: ``scope = "task"`` caps every task on its own.

A raise lifts the limit until an instant, with a reason; afterwards the limit is what it was.

Rules of this file: values only. A time zone is a ``tzinfo`` that somebody else has looked up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Literal, get_args

from farthing.core.budgets_windows import Span, WindowKind, window_at
from farthing.core.records import Attribution
from farthing.errors import ConfigError

__all__ = [
    "Budget",
    "BudgetRaise",
    "Mode",
    "OnOverrun",
    "OnTrouble",
    "ScopeKind",
    "Step",
    "forecast",
    "key_of",
    "key_pieces",
    "root_first",
]

ScopeKind = Literal["everything", "key", "model", "task_type", "session", "tree", "task", "call"]
Mode = Literal["strict", "ample"]
#: what a budget does that cannot price a call, or cannot be asked
OnTrouble = Literal["refuse", "allow"]
#: what becomes of a stream that has cost more than was held for it
OnOverrun = Literal["finish", "cut"]
#: what is tried, in order, before a call is refused; ``effort`` and ``model`` are ports
Step = Literal["effort", "model", "max_tokens", "note"]

_ORDER: Final[tuple[str, ...]] = get_args(ScopeKind)
_PERCENT: Final = 100
#: it stands in a path
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
#: the windows that a scope's spending is one sum over, and so have no part in its key
_BARE: Final = frozenset({("task", "total"), ("tree", "total"), ("task", "task")})


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRaise:
    """More for a while."""

    by_pico: int
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A cap over a scope and a window."""

    name: str
    scope: ScopeKind
    limit_pico: int
    window: WindowKind = "total"
    #: the one value of the scope that this caps; None: each value on its own
    selector: str | None = None
    #: where the days of its window begin
    zone: tzinfo = UTC
    mode: Mode = "ample"
    #: percentages of the limit at which it is told that they are spent
    thresholds: tuple[int, ...] = ()
    on_unpriced: OnTrouble = "refuse"
    on_fault: OnTrouble = "allow"
    ladder: tuple[Step, ...] = ()
    #: the least ``max_tokens`` that the ladder leaves a call
    min_tokens: int = 1_024
    #: passes that one answer with server tools may take; None: as many as the provider allows in
    #: ``strict``, one in ``ample``
    passes: int | None = None
    on_overrun: OnOverrun = "finish"
    raises: tuple[BudgetRaise, ...] = field(default=())

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem is not None:
            raise ConfigError(f"budget {self.name!r}: {problem}")

    def limit_at(self, now: datetime) -> int:
        """The limit with the raises that have not expired."""
        return self.limit_pico + sum(each.by_pico for each in self.raises if now < each.until)

    def span_at(self, now: datetime) -> Span | None:
        """The window that an instant lies in; None where it has no end."""
        return window_at(self.window, self.zone, now)


def _problem(budget: Budget) -> str | None:
    """What no budget can mean, and what to write instead."""
    if _NAME.fullmatch(budget.name) is None:
        return "give a name of up to 63 letters, digits, '.', '_' and '-', such as team-day"
    if budget.limit_pico < 0:
        return "its limit is negative; give dollars, such as 20"
    if (budget.scope == "call") != (budget.window == "call"):
        return 'the scope "call" goes with the window "call", and with no other'
    if budget.selector is not None and budget.scope in {"everything", "call"}:
        return f"the scope {budget.scope!r} takes no selector"
    if any(not 0 < each <= _PERCENT for each in budget.thresholds):
        return "its thresholds are percentages of the limit: 1 to 100"
    if budget.min_tokens < 1 or (budget.passes is not None and budget.passes < 1):
        return "min_tokens and passes are whole numbers of at least 1"
    return None


def root_first(budgets: Iterable[Budget]) -> list[Budget]:
    """The widest scope first: what stops everything is said before what stops one task."""
    return sorted(budgets, key=lambda each: (_ORDER.index(each.scope), each.name))


def key_of(budget: Budget, who: Attribution, model: str | None, now: datetime) -> str | None:
    """Under which key a call counts in a budget; None: the budget does not apply to it.

    ``task:<id>`` is also the key of ``budget.task_usd`` and ``x-farthing-budget-usd``.
    """
    if budget.scope == "everything":
        base = "everything"
    else:
        value = _value(budget.scope, who, model)
        if value is None or budget.selector not in {None, value}:
            return None
        base = f"{budget.scope}:{value}"
    if (budget.scope, budget.window) in _BARE:
        return base
    if budget.window == "task":
        return f"{base}@task:{who.task_id}"
    span = budget.span_at(now)
    return f"{base}@total" if span is None else f"{base}@{span.name}"


def key_pieces(budget: Budget, now: datetime) -> tuple[str, ...]:
    """What the keys of a budget consist of just now; between the pieces stands any name.

    For who lists them: every key that ``key_of`` gives is made like this.
    """
    if budget.scope == "everything":
        base: tuple[str, ...] = ("everything",)
    elif budget.selector is None:
        base = (f"{budget.scope}:", "")
    else:
        base = (f"{budget.scope}:{budget.selector}",)
    if (budget.scope, budget.window) in _BARE:
        return base
    if budget.window == "task":
        return *base[:-1], f"{base[-1]}@task:", ""
    span = budget.span_at(now)
    return *base[:-1], base[-1] + ("@total" if span is None else f"@{span.name}")


def _value(scope: ScopeKind, who: Attribution, model: str | None) -> str | None:
    values = {
        "key": who.key_scope,
        "model": model,
        "task_type": who.task_type,
        "session": who.session_id,
        "tree": who.root_task_id,
        "task": who.task_id,
        "call": who.task_id,
    }
    return values[scope]


def forecast(
    *, spent_pico: int, limit_pico: int, since: datetime, now: datetime
) -> datetime | None:
    """When a budget will be spent at the rate so far; None: never at this rate, or no rate yet."""
    elapsed = now - since
    if spent_pico <= 0 or elapsed <= timedelta(0):
        return None
    left = max(0, limit_pico - spent_pico)
    try:
        return now + timedelta(microseconds=left * (elapsed // _MICROSECOND) // spent_pico)
    except OverflowError:
        return None


_MICROSECOND: Final = timedelta(microseconds=1)
