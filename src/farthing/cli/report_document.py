"""The document behind ``farthing report``: what every form of it is rendered from.

Rules of this file: money is exact decimal text, shares are ratios, times are milliseconds; what is
not known is null, never zero.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from farthing.cli.compare_document import compared_as_json
from farthing.cli.report_tasks import (
    halves,
    is_begun,
    outermost,
    per_task,
    roots,
    task_value,
    tree_tags,
    units_by,
)
from farthing.core.comparison import TaskValue
from farthing.core.intervals import quantile
from farthing.core.regressions import Rise, find_rises
from farthing.ledger.reporting import (
    HOURLY,
    Grouping,
    Latencies,
    LedgerFigures,
    TaskTags,
    Window,
    open_figures,
)
from farthing.ledger.task_sums import TaskSums
from farthing.ledger.tasks import TaskTotals, task_totals
from farthing.pricing import dump_usd

__all__ = ["GROUPINGS", "build_report"]

GROUPINGS: Final[tuple[Grouping, ...]] = ("task-type", "task", "model", "day", "session", "key")

#: up to here the rolling hit rate is drawn by the hour
_BY_THE_HOUR: Final = timedelta(days=3)
_TRAILING: Final[dict[Grouping, timedelta]] = {
    "hour": timedelta(hours=24),
    "day": timedelta(days=7),
}


def build_report(path: Path, *, by: Grouping, window: Window) -> dict[str, Any]:
    """Everything the report says."""
    tasks = list(task_totals(path))
    with open_figures(path) as figures:
        sums = figures.sums(by, window)
        total = sum(sums.values(), TaskSums())
        latencies = figures.latencies(by, window)
        tags = figures.task_tags() if by in {"session", "key"} else {}
        notional = figures.notional_pico(window)
        models = figures.sums("model", window)
        rolling = _rolling(figures, window)
        found = {"in_flight": figures.in_flight(), "rows_from": figures.rows_from()}
    units = _units(tasks, by=by, window=window, tags=tags)
    groups = [
        _group(name, sums.get(name, TaskSums()), units.get(name), latencies.get(name))
        for name in _names(sums, units, tasks=tasks, by=by, window=window)
    ]
    if by == "task":
        _add_trees(groups, tasks)
    return {
        "ledger": str(path),
        "by": by,
        "since": _dump(window.since),
        "until": _dump(window.until),
        "sums_from": "hourly" if by in HOURLY else "rows",
        **found,
        "totals": _group(
            "", total, [task_value(task) for task in roots(tasks, window)], _all(latencies.values())
        ),
        "groups": groups,
        "rolling_hit_ratio": rolling,
        "unpriced_models": {n: s.unpriced for n, s in models.items() if s.unpriced},
        "notional_usd": dump_usd(notional),
        "regressions": [
            _rise_as_json(rise) for rise in find_rises(*halves(outermost(tasks, window)))
        ],
    }


def _names(
    sums: Mapping[str, TaskSums],
    units: Mapping[str, Sequence[TaskValue]],
    *,
    tasks: Sequence[TaskTotals],
    by: Grouping,
    window: Window,
) -> list[str]:
    """The groups, days in their order, others dearest first; a task may have made no call itself.

    A task's place is that of its tree, so that a task stands above those it is made of.
    """
    costs = {name: line.cost_pico for name, line in sums.items()}
    for name, values in units.items():
        if name not in sums:
            costs[name] = sum(value.cost_pico or 0 for value in values)
    if by == "task":
        begun = {t.task_id: t for t in tasks if t.task_id in sums or is_begun(t, window)}
        costs = {name: task.tree.cost_pico for name, task in begun.items()}
    return sorted(costs, key=lambda name: (by == "day" and name, -costs[name], name))


def _units(
    tasks: Sequence[TaskTotals], *, by: Grouping, window: Window, tags: Mapping[str, TaskTags]
) -> Mapping[str, list[TaskValue]]:
    """The units of each group; a call's model is not its task's, so there are none by model."""
    match by:
        case "task-type":
            return units_by(outermost(tasks, window), lambda task: task.task_type or "")
        case "day":
            return units_by(roots(tasks, window), lambda task: str(task.began_at)[:10])
        case "session":
            named = {name: tag.session_id for name, tag in tree_tags(tasks, tags).items()}
        case "key":
            named = {name: tag.key_scope for name, tag in tree_tags(tasks, tags).items()}
        case _:
            return {}
    return units_by(roots(tasks, window), lambda task: named.get(task.task_id, ""))


def _group(
    name: str,
    sums: TaskSums,
    units: Sequence[TaskValue] | None,
    latencies: Latencies | None,
) -> dict[str, Any]:
    usage = sums.usage
    return {
        "name": name,
        "calls": sums.exchanges,
        "errors": sums.errors,
        "attempts": sums.attempts,
        "prompt_tokens": usage.prompt,
        "uncached_tokens": usage.uncached,
        "cache_write_5m_tokens": usage.cache_write_5m,
        "cache_write_1h_tokens": usage.cache_write_1h,
        "cache_read_tokens": usage.cache_read,
        "output_tokens": usage.output,
        "hit_ratio": _hit_ratio(sums),
        "cost_usd": dump_usd(sums.cost_pico),
        "saved_usd": dump_usd(sums.baseline_pico - sums.compared_pico),
        "unpriced": sums.unpriced,
        "unsettled": sums.unsettled,
        "unsettled_low_usd": dump_usd(sums.low_pico),
        "unsettled_high_usd": dump_usd(sums.high_pico),
        "per_task": None if units is None else per_task(units),
        "latency": _latency(latencies),
    }


def _add_trees(groups: list[dict[str, Any]], tasks: Sequence[TaskTotals]) -> None:
    """Who a task is and what its tree cost, where the groups are tasks."""
    known = {task.task_id: task for task in tasks}
    for group in groups:
        task = known[group["name"]]
        group["task_type"] = task.task_type
        group["parent_task_id"] = task.parent_task_id
        group["outcome"] = task.outcome
        group["score"] = task.score
        group["turns"] = task.own.turns
        group["tree_cost_usd"] = dump_usd(task.tree.cost_pico)
        group["tree_turns"] = task.tree.turns


def _latency(found: Latencies | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "turns": len(found.total_us),
        "overhead_ms": _quantiles(found.overhead_us),
        "ttft_ms": _quantiles(found.ttft_us),
        "total_ms": _quantiles(found.total_us),
    }


def _quantiles(values: Sequence[int]) -> dict[str, float | None]:
    found = {name: quantile(values, share) for name, share in (("p50", 0.5), ("p95", 0.95))}
    return {name: None if us is None else round(us / 1000, 3) for name, us in found.items()}


def _all(groups: Collection[Latencies]) -> Latencies | None:
    total = Latencies(array("q"), array("q"), array("q"))
    for group in groups:
        total.overhead_us.extend(group.overhead_us)
        total.ttft_us.extend(group.ttft_us)
        total.total_us.extend(group.total_us)
    return total if groups else None


def _rolling(figures: LedgerFigures, window: Window) -> dict[str, Any] | None:
    """The hit rate over a trailing window, at each hour or day that had traffic."""
    span = figures.span(window)
    if span is None:
        return None
    bucket: Grouping = "hour" if span[1] - span[0] <= _BY_THE_HOUR else "day"
    trailing = _TRAILING[bucket]
    points = list(_trailing(figures.sums(bucket, window), trailing))
    return {
        "bucket": bucket,
        "trailing_hours": int(trailing.total_seconds()) // 3600,
        "points": [{"at": at, "hit_ratio": _hit_ratio(sums)} for at, sums in points],
    }


def _trailing(sums: Mapping[str, TaskSums], width: timedelta) -> Iterator[tuple[str, TaskSums]]:
    dated = [(name, datetime.fromisoformat(f"{name}:00" if "T" in name else name), line)
             for name, line in sorted(sums.items())]  # fmt: skip
    for name, at, _ in dated:
        yield name, sum((s for _, t, s in dated if timedelta() <= at - t < width), TaskSums())


def _hit_ratio(sums: TaskSums) -> float | None:
    prompt = sums.usage.prompt
    return round(sums.cache_read_tokens / prompt, 6) if prompt else None


def _rise_as_json(rise: Rise) -> dict[str, Any]:
    return {
        "task_type": rise.task_type,
        "is_regression": rise.is_shown,
        "confidence": rise.confidence,
        **compared_as_json(rise.compared),
    }


def _dump(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
