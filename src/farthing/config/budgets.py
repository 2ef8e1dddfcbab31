"""The rows of ``[budget.allowances]``: what is declared for what a call's bytes do not bound."""

from __future__ import annotations

from dataclasses import dataclass

from farthing.config import kinds
from farthing.config.loops import LoopSettings
from farthing.config.rows import setting

__all__ = ["BudgetSettings"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class BudgetSettings(LoopSettings):
    """The part of ``Settings`` that is about what budgets hold."""

    allow_image_url: int | None = setting(
        "budget.allowances.image_url",
        kinds.COUNT,
        None,
        "tokens held for an image by URL; default: the most that the model takes for one",
    )
    allow_document_url: int | None = setting(
        "budget.allowances.document_url",
        kinds.COUNT,
        None,
        "tokens held for a document by URL; default: the context window",
    )
    allow_file: int | None = setting(
        "budget.allowances.file",
        kinds.COUNT,
        None,
        "tokens held for an image or document by file id; default: as by URL",
    )
    allow_thread: int | None = setting(
        "budget.allowances.thread",
        kinds.COUNT,
        None,
        "tokens held for a thread beside what is sent; default: the context window",
    )
    allow_server_tools: int | None = setting(
        "budget.allowances.server_tools",
        kinds.COUNT,
        None,
        "tokens that results of server tools may add to the prompt of one pass; default: none",
    )
    allow_searches: int = setting(
        "budget.allowances.searches",
        kinds.COUNT,
        200,
        "searches held for one answer where nothing limits them",
    )
