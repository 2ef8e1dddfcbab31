"""Budgets put together: the desk that changes them, the board that a gateway decides by."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from farthing.compose.place import install_key
from farthing.core.alert_rules import BudgetFact
from farthing.core.budgets import Budget
from farthing.core.budgets_board import BudgetBoard, BudgetNews
from farthing.core.journal_chain import (
    Fact,
    JournalEvent,
    JournalKind,
    journal_event,
    journal_key,
)
from farthing.driver.system import SystemClock
from farthing.errors import FarthingError
from farthing.gateway.budget_pages import BudgetPages
from farthing.ledger.audit_log import SqliteAuditLog
from farthing.ledger.budgets_desk import BudgetDesk
from farthing.ledger.budgets_file import BudgetFile, budgets_path
from farthing.pricing import dump_usd

__all__ = ["budget_desk", "budget_pages", "tell_budgets", "watch_budgets"]

#: a change by another process is in force after this, at the latest
_LOOK_SECONDS: Final = 0.25
#: so long a command has between the file that it wrote and its entry in the journal
_LOOKS_UNTIL_NOTED: Final = 4

#: the end of a key that says which window; what a client names may have an ``@`` of its own
_WINDOW: Final = re.compile(
    r"@(?:total|task:.*|(?:hour|day|week|month):[\d-]{10}T\d\d:\d\dZ)\Z", re.DOTALL
)

#: scopes whose values come and go
_PASSING: Final = frozenset({"session", "tree", "task", "call"})

_logger = logging.getLogger(__name__)


def budget_desk(ledger: Path) -> BudgetDesk:
    """The desk over the budgets of a ledger, which another process may have open."""

    def record(event: JournalEvent) -> None:
        with closing(SqliteAuditLog(ledger, journal_key(install_key(ledger)))) as journal:
            journal.append(event)

    return BudgetDesk(BudgetFile(budgets_path(ledger)), record=record, now=SystemClock().now)


def budget_pages(ledger: Path, board: BudgetBoard) -> BudgetPages:
    """The pages of a gateway; what they change is in force when they answer."""

    def changed(budgets: tuple[Budget, ...]) -> None:
        board.budgets = budgets

    return BudgetPages(budget_desk(ledger), ledger, now=SystemClock().now, changed=changed)


def tell_budgets(board: BudgetBoard, listen: Callable[[BudgetFact], None]) -> None:
    """Let somebody (alerts) hear how budgets stand, and what they refuse."""
    board.listener = lambda news: listen(_fact(news))


def _fact(news: BudgetNews) -> BudgetFact:
    budget, standing = news.budget, news.standing
    # Without the window: what begins anew is the same budget, and ends what was said of it.
    whose = f"{_WINDOW.sub('', standing.key)} per {budget.window}"
    if budget.scope == "call":
        whose = "single calls"
    return BudgetFact(
        scope=f"budget {budget.name} ({whose})",
        at=news.at,
        limit_pico=standing.limit_pico,
        spent_pico=standing.spent_pico,
        resets_at=news.resets_at,
        runs_out_at=news.spent_at,
        percents=budget.thresholds,
        is_refused=news.is_refused,
        is_passing=budget.selector is None and budget.scope in _PASSING,
    )


async def watch_budgets(ledger: Path, board: BudgetBoard) -> None:
    """Take over what other processes change, until cancelled; what was written by hand is noted."""
    file = BudgetFile(budgets_path(ledger))
    looks_left = 0
    while True:
        try:
            news = file.news()
        except FarthingError as error:  # said once per change: the file counts as read
            _logger.warning(
                "budgets stay as they were: %s", error, extra={"action": "budgets.stale"}
            )
        else:
            if news is not None:
                board.budgets, looks_left = news, _LOOKS_UNTIL_NOTED
        if looks_left:
            looks_left -= 1
            if not looks_left:
                await asyncio.to_thread(_note_by_hand, ledger, file.path, board.budgets)
        await asyncio.sleep(_LOOK_SECONDS)


def _note_by_hand(ledger: Path, path: Path, budgets: tuple[Budget, ...]) -> None:
    """An entry if the file was changed after the last change that a command or page recorded."""
    now = SystemClock().now()
    changed_at = datetime.fromtimestamp(path.stat().st_mtime, UTC) if path.exists() else now
    facts: dict[str, Fact] = {each.name: dump_usd(each.limit_at(now)) for each in budgets}
    kinds: tuple[JournalKind, ...] = ("budget.changed", "budget.raised")
    try:
        with closing(SqliteAuditLog(ledger, journal_key(install_key(ledger)))) as journal:
            latest = [event.at for kind in kinds if (event := journal.last(kind)) is not None]
            if all(at < changed_at for at in latest):
                event = journal_event(
                    "budget.changed", now, actor="file", subject="budgets", facts=facts
                )
                journal.append(event)
    except FarthingError as error:
        _logger.warning("%s", error, extra={"action": "journal.not_written"})
