"""Budgets put together: the desk that changes them, the board that a gateway decides by."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from farthing.compose.place import install_key
from farthing.config import Settings
from farthing.core.alert_rules import BudgetFact
from farthing.core.allowances import Allowances
from farthing.core.budgets import Budget
from farthing.core.budgets_board import BudgetBoard, BudgetNews
from farthing.core.journal_chain import JournalEvent, journal_key
from farthing.driver.system import SystemClock
from farthing.errors import FarthingError
from farthing.gateway.budget_pages import BudgetPages
from farthing.ledger.audit_log import SqliteAuditLog
from farthing.ledger.budgets_desk import BudgetDesk
from farthing.ledger.budgets_file import BudgetFile, budgets_path

__all__ = ["allowances_of", "budget_desk", "budget_pages", "tell_budgets", "watch_budgets"]

#: a change by another process is in force after this, at the latest
_LOOK_SECONDS: Final = 0.25

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


def allowances_of(settings: Settings) -> Allowances:
    """What the operator declares for what bytes do not bound."""
    return Allowances(
        image_url=settings.allow_image_url,
        document_url=settings.allow_document_url,
        file=settings.allow_file,
        thread=settings.allow_thread,
        server_tools=settings.allow_server_tools,
        searches=settings.allow_searches,
    )


def tell_budgets(board: BudgetBoard, listen: Callable[[BudgetFact], None]) -> None:
    """Let somebody (alerts) hear how budgets stand, and what they refuse."""
    board.listener = lambda news: listen(_fact(news))


def _fact(news: BudgetNews) -> BudgetFact:
    budget, standing = news.budget, news.standing
    # Without the window: what begins anew is the same budget, and ends what was said of it.
    whose = standing.key.partition("@")[0]
    return BudgetFact(
        scope=f"budget {budget.name} ({whose} per {budget.window})",
        at=news.at,
        limit_pico=standing.limit_pico,
        spent_pico=standing.spent_pico,
        resets_at=news.resets_at,
        runs_out_at=news.spent_at,
        percents=budget.thresholds,
        is_refused=news.is_refused,
    )


async def watch_budgets(ledger: Path, board: BudgetBoard) -> None:
    """Take over what other processes change, until cancelled."""
    file = BudgetFile(budgets_path(ledger))
    while True:
        try:
            news = file.news()
        except FarthingError as error:  # said once per change: the file counts as read
            _logger.warning(
                "budgets stay as they were: %s", error, extra={"action": "budgets.stale"}
            )
        else:
            if news is not None:
                board.budgets = news
        await asyncio.sleep(_LOOK_SECONDS)
