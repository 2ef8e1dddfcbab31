"""What stands on one side of a comparison: a period, tags, a ledger, or any of them together.

2026-11-01..2026-11-07              tasks that began in these days, the last one included
task-type=triage,model=claude-x     tasks of this type whose turns this model answered, mostly
old.db,task-type=triage             tasks of another ledger
"""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from farthing.cli.arguments import parse_since
from farthing.cli.main import did_you_mean
from farthing.cli.report_tasks import outermost, roots, task_value, tree_notional, tree_tags
from farthing.core.comparison import TaskValue
from farthing.errors import ConfigError
from farthing.ledger.reporting import TaskTags, Window, open_figures
from farthing.ledger.tasks import TaskTotals, task_totals

__all__ = ["Selection", "parse_selection", "select_values"]

_TAGS: Final = ("task-type", "key", "model")
_RANGE: Final = re.compile(r"([\dd-]*)\.\.([\dd-]*)", re.ASCII)
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d|\d{1,5}d", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """One side as it was typed."""

    text: str
    ledger: Path | None = None
    since: date | None = None
    #: exclusive
    until: date | None = None
    task_type: str | None = None
    #: the beginning of a key's digest
    key: str | None = None
    model: str | None = None


def parse_selection(text: str) -> Selection:
    """One side; ``ConfigError`` says which part cannot be read."""
    found: dict[str, object] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        read = _part(part)
        if twice := read.keys() & found.keys():
            raise ConfigError(f"{text!r} says {min(twice)!r} twice; give each part once")
        found |= read
    if not found:
        raise ConfigError(
            "an empty side compares nothing; write 2026-11-01..2026-11-07, task-type=NAME, key=…, "
            "model=NAME, or a ledger's file"
        )
    selection = Selection(text=text, **found)  # type: ignore[arg-type]  # each read by its own rule
    if selection.since and selection.until and selection.since >= selection.until:
        raise ConfigError(f"{text!r} ends before it begins; write the earlier day first")
    return selection


def select_values(selection: Selection, *, default: Path, window: Window) -> list[TaskValue]:
    """The tasks of one side, each with everything below it."""
    path = selection.ledger or default
    tasks = list(task_totals(path))
    # Types are what is compared within; asked for by name, a type's tasks may be below others.
    chosen = (outermost if selection.task_type else roots)(tasks, window)
    if selection.task_type:
        chosen = [task for task in chosen if task.task_type == selection.task_type]
        if not chosen:
            _refuse_unknown("task type", selection.task_type, {t.task_type or "" for t in tasks})
    if selection.key or selection.model:
        chosen = _tagged(selection, chosen, _tags(tasks, path))
    with open_figures(path) as figures:
        notional = tree_notional(tasks, figures.notional_by_task())
    return [task_value(task, notional_pico=notional.get(task.task_id, 0)) for task in chosen]


def _tags(tasks: Sequence[TaskTotals], path: Path) -> Mapping[str, TaskTags]:
    with open_figures(path) as figures:
        return tree_tags(tasks, figures.task_tags())


def _tagged(
    selection: Selection, tasks: Sequence[TaskTotals], tags: Mapping[str, TaskTags]
) -> list[TaskTotals]:
    chosen = [task for task in tasks if _fits(tags.get(task.task_id), selection)]
    if not chosen and selection.model:
        _refuse_unknown("model", selection.model, {tag.model for tag in tags.values()})
    return chosen


def _fits(tag: TaskTags | None, selection: Selection) -> bool:
    return (
        tag is not None
        and (selection.key is None or tag.key_scope.startswith(selection.key))
        and (selection.model is None or tag.model == selection.model)
    )


def _refuse_unknown(what: str, name: str, known: set[str]) -> None:
    """A name that is nowhere on record was mistyped; one that has no task here is just empty."""
    if name not in known:
        raise ConfigError(
            f"no {what} {name!r} on record there{did_you_mean(name, known)}\n"
            f"`farthing report --by {what.replace(' ', '-')}` lists those that are"
        )


def _part(part: str) -> dict[str, object]:
    name, equals, value = part.partition("=")
    if equals and name in _TAGS and value:
        return {name.replace("-", "_"): value}
    if ranged := _RANGE.fullmatch(part):
        return {"since": _day(ranged[1]), "until": _day_after(ranged[2])}
    if _DAY.fullmatch(part):
        return {"since": _day(part), "until": _day_after(part)}
    if "/" in part or part.endswith(".db") or Path(part).is_file():
        return {"ledger": Path(part)}
    raise ConfigError(
        f"{part!r} is no side of a comparison{did_you_mean(name, _TAGS)}\n"
        "write 2026-11-01..2026-11-07, 7d.., task-type=NAME, key=DIGEST, model=NAME, or a ledger's "
        "file; join them with commas"
    )


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return parse_since(text)
    except ArgumentTypeError as error:
        raise ConfigError(str(error)) from error


def _day_after(text: str) -> date | None:
    day = _day(text)
    return None if day is None else day + timedelta(days=1)
