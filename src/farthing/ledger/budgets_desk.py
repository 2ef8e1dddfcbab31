"""Where budgets are set, raised and removed: each change in the file, and in the journal.

The journal comes second: what is on record there has happened. A change whose entry cannot be
written stays, and is said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from farthing.core.budgets import Budget, BudgetRaise, root_first
from farthing.core.budgets_file import MOST_REASON, budget_document
from farthing.core.journal_chain import JournalEvent, JournalKind, journal_event
from farthing.errors import ConfigError
from farthing.ledger.budgets_file import BudgetFile
from farthing.pricing.money import dump_usd

__all__ = ["BudgetDesk", "UnknownBudget"]


class UnknownBudget(ConfigError):
    """There is no budget of this name."""

    code = "config.unknown_budget"
    status_hint = 404


class BudgetDesk:
    """Changes to the budgets of one ledger; ``actor`` is who asked."""

    def __init__(
        self,
        file: BudgetFile,
        *,
        record: Callable[[JournalEvent], None],
        now: Callable[[], datetime],
    ) -> None:
        self._file = file
        self._record = record
        self._now = now

    def all(self) -> tuple[Budget, ...]:
        """The budgets in the file."""
        return self._file.read()

    def one(self, name: str) -> Budget:
        """A budget by its name."""
        return _named(self._file.read(), name)

    def set(self, budget: Budget, *, actor: str) -> Budget:
        """A new budget, or another one in the place of the one of this name; its raises stay."""

        def change(found: tuple[Budget, ...]) -> tuple[Budget, ...]:
            before = next((each for each in found if each.name == budget.name), None)
            raises = budget.raises or (() if before is None else before.raises)
            others = [each for each in found if each.name != budget.name]
            return tuple(root_first([*others, replace(budget, raises=raises)]))

        stands = _named(self._file.change(change), budget.name)
        self._say("budget.changed", budget.name, actor, _facts(budget))
        for more in budget.raises:
            self._say("budget.raised", budget.name, actor, _raised(more))
        return stands

    def remove(self, name: str, *, actor: str) -> Budget:
        """A budget that is in force no more; what was spent under it stays on record."""
        removed = list[Budget]()

        def change(found: tuple[Budget, ...]) -> tuple[Budget, ...]:
            removed.append(_named(found, name))
            return tuple(each for each in found if each.name != name)

        self._file.change(change)
        self._say("budget.changed", name, actor, {"removed": True})
        return removed[0]

    def lift(self, name: str, more: BudgetRaise, *, actor: str) -> Budget:
        """More for a while; raises that have expired are forgotten with it."""
        now = self._now()
        if more.by_pico <= 0 or more.until <= now:
            raise ConfigError("a raise is more than nothing, and ends in the future")
        if not 0 < len(more.reason) <= MOST_REASON:
            raise ConfigError(f"a raise has a reason, of at most {MOST_REASON} characters")

        def change(found: tuple[Budget, ...]) -> tuple[Budget, ...]:
            before = _named(found, name)
            raises = (*(each for each in before.raises if each.until > now), more)
            after = replace(before, raises=raises)
            return tuple(after if each is before else each for each in found)

        stands = _named(self._file.change(change), name)
        self._say("budget.raised", name, actor, _raised(more))
        return stands

    def _say(self, kind: JournalKind, name: str, actor: str, facts: dict[str, Any]) -> None:
        event = journal_event(kind, self._now(), actor=actor, subject=f"budget {name}", facts=facts)
        self._record(event)


def _named(budgets: tuple[Budget, ...], name: str) -> Budget:
    found = next((each for each in budgets if each.name == name), None)
    if found is None:
        known = ", ".join(repr(each.name) for each in budgets) or "none"
        raise UnknownBudget(f"there is no budget {name[:120]!r}; there are: {known}")
    return found


def _raised(more: BudgetRaise) -> dict[str, Any]:
    """A raise in short facts."""
    return {
        "by_usd": dump_usd(more.by_pico),
        "until": more.until.isoformat(),
        "reason": more.reason,
    }


def _facts(budget: Budget) -> dict[str, Any]:
    """A budget in short facts."""
    document = budget_document(budget)
    return {
        name: value if isinstance(value, str | int) else ", ".join(map(str, value))
        for name, value in document.items()
        if name not in {"name", "raises"}
    }
