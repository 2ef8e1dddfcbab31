"""Which model a kind of task goes to: a table, and the length from which a cheap model is left.

Two tables are shipped. ``articles`` is the map that public articles on agent costs teach, with the
models of their day; ``current`` is the same map in today's models. They are starting points: what
a model can do for *your* tasks only your outcomes tell.

The length at which a cheap model is left is a fact of that model. The articles' 50,000 tokens are
for Haiku 4.5. Haiku 5.5 has one price up to 100,000 prompt tokens and five times that beyond, for
every token of the request (API facts, section 1.1; pricing page of 2026-10).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from farthing.errors import ConfigError

__all__ = ["TASK_MODELS", "TaskModels", "select_model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskModels:
    """A routing table: task type → model, and what to do with the rest."""

    models: Mapping[str, str]
    #: for task types the table does not know, and for inputs too long for the model of theirs
    default: str
    #: model → the longest input, in tokens, that it is chosen for
    length_limits: Mapping[str, int]


_TIERS: Final = {
    "haiku": ("classification", "classify", "extract", "summarization", "summarize"),
    "sonnet": ("analyze", "code_generation", "code_review", "creative_writing", "reason"),
    "opus": ("analysis", "planning", "research"),
}


def _table(*, haiku: str, sonnet: str, opus: str, haiku_limit: int) -> TaskModels:
    tiers = {"haiku": haiku, "sonnet": sonnet, "opus": opus}
    models = {task_type: tiers[tier] for tier, types in _TIERS.items() for task_type in types}
    return TaskModels(
        models=MappingProxyType(models),
        default=sonnet,
        length_limits=MappingProxyType({haiku: haiku_limit}),
    )


#: the shipped tables, by name
TASK_MODELS: Final[Mapping[str, TaskModels]] = MappingProxyType(
    {
        "current": _table(
            haiku="claude-haiku-5-5",
            sonnet="claude-sonnet-5-5",
            opus="claude-opus-5-5",
            haiku_limit=100_000,
        ),
        "articles": _table(
            haiku="claude-haiku-4-5",
            sonnet="claude-sonnet-4-6",
            opus="claude-opus-4-7",
            haiku_limit=50_000,
        ),
    }
)


def select_model(
    task_type: str, content_length: int = 0, *, policy: TaskModels | str | None = None
) -> str:
    """The model for a task of this type whose input has ``content_length`` *tokens*.

    ``policy`` is a table of your own or the name of a shipped one: ``"current"`` (what None means)
    or ``"articles"``. A type the table does not know goes to its default.

    >>> select_model("classify")
    'claude-haiku-5-5'
    >>> select_model("classify", 100_001)
    'claude-sonnet-5-5'
    >>> select_model("classify", 50_001, policy="articles")
    'claude-sonnet-4-6'
    """
    if content_length < 0:
        raise ValueError(f"content_length={content_length!r}: give the input's tokens, 0 or more")
    table = policy if isinstance(policy, TaskModels) else _named(policy or "current")
    model = table.models.get(task_type, table.default)
    limit = table.length_limits.get(model)
    return table.default if limit is not None and content_length > limit else model


def _named(name: str) -> TaskModels:
    table = TASK_MODELS.get(name)
    if table is None:
        known = ", ".join(map(repr, TASK_MODELS))
        raise ConfigError(f"no task models are called {name!r}: use one of {known}, or TaskModels")
    return table
