"""A report on a ledger as lines and cells for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from farthing.reports.audit_words import safe
from farthing.reports.figures import share, sparkline, tokens
from farthing.reports.ledger_words import (
    milliseconds,
    money,
    name_of,
    number,
    period,
    quiet_words,
    remarks,
    rise_words,
    saving_words,
)

__all__ = ["SHOWN", "report_rows", "report_summary", "report_tail"]

#: groups printed; all of them are in --json and --csv
SHOWN: Final = 25
_LAST_POINTS: Final = 30

_HEADERS: Final = ["calls", "prompt", "cached", "output", "cost", "saved"]
_PER_TASK: Final = ["tasks", "per task", "per passed", "turns"]
_PER_TREE: Final = ["with subtasks", "turns", "outcome"]
_TIMES: Final = ["p50", "p95"]


def report_summary(document: dict[str, Any]) -> str:
    """The figures that are not per group, one line each."""
    return "\n".join(_summary(document))


def report_rows(document: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headers and rows of the table, the dearest groups; the last row is the total."""
    by, groups = document["by"], document["groups"]
    shown = groups[-SHOWN:] if by == "day" else groups[:SHOWN]
    middle = _PER_TREE if by == "task" else [] if by == "model" else _PER_TASK
    rows = [[safe(name_of(group, by)), *_cells(group, by)] for group in shown]
    total = ["total", *_cells(document["totals"], "total" if by == "task" else by)]
    return [by, *_HEADERS, *middle, *_TIMES], [*rows, total]


def report_tail(document: dict[str, Any]) -> str:
    """Regressions and remarks, below the table."""
    return "\n".join(_tail(document))


def _summary(document: dict[str, Any]) -> Iterator[str]:
    totals, per = document["totals"], document["totals"]["per_task"]
    yield f"{document['ledger']}: {period(document)}, {totals['calls']:,} calls"
    yield ""
    yield f"cost     {money(totals['cost_usd'])}, {saving_words(totals['saved_usd'])}"
    written = totals["cache_write_5m_tokens"] + totals["cache_write_1h_tokens"]
    yield (
        f"tokens   {tokens(totals['cache_read_tokens'])} read from the prompt cache,"
        f" {tokens(written)} written to it, {tokens(totals['uncached_tokens'])} uncached,"
        f" {tokens(totals['output_tokens'])} output"
    )
    yield f"hit rate {_hit_rate(document)}"
    yield (
        f"tasks    {per['tasks']:,}: {per['passed']:,} passed, {per['failed']:,} failed,"
        f" {per['abandoned']:,} abandoned; {money(per['cost_usd_per_task'])} a task,"
        f" {money(per['cost_usd_per_passed_task'])} a passed one,"
        f" {number(per['turns_per_task'])} turns"
    )
    latency = totals["latency"]
    if latency is not None:
        yield f"latency  {_latency(latency)}"


def _hit_rate(document: dict[str, Any]) -> str:
    overall = document["totals"]["hit_ratio"]
    text = "–" if overall is None else f"{share(overall, 1)} of prompt tokens"
    rolling = document["rolling_hit_ratio"]
    if rolling is None:
        return text
    ratios = [point["hit_ratio"] or 0.0 for point in rolling["points"]][-_LAST_POINTS:]
    hours = rolling["trailing_hours"]
    span = f"{hours} hours" if rolling["bucket"] == "hour" else f"{hours // 24} days"
    return f"{text}; over the last {span} {share(ratios[-1], 1)}  {sparkline(ratios)}"


def _latency(latency: dict[str, Any]) -> str:
    named = (("total", "total_ms"), ("first byte", "ttft_ms"), ("our overhead", "overhead_ms"))
    parts = (
        f"{words} {milliseconds(latency[name]['p50'])} (p95 {milliseconds(latency[name]['p95'])})"
        for words, name in named
    )
    return ", ".join(parts)


def _cells(group: dict[str, Any], by: str) -> list[str]:
    hit = group["hit_ratio"]
    cells = [
        f"{group['calls']:,}",
        tokens(group["prompt_tokens"]),
        "–" if hit is None else share(hit, 1),
        tokens(group["output_tokens"]),
        _cost(group),
        money(group["saved_usd"]) if Decimal(group["cost_usd"]) else "–",
    ]
    latency = group["latency"]
    times = [None, None] if latency is None else [latency["total_ms"][p] for p in ("p50", "p95")]
    return [*cells, *_middle(group, by), *map(milliseconds, times)]


def _middle(group: dict[str, Any], by: str) -> list[str]:
    if by == "model":
        return []
    if by == "task":
        return [money(group["tree_cost_usd"]), f"{group['turns']:,}", group["outcome"] or "–"]
    if by == "total":
        return ["", "", ""]
    per = group["per_task"]
    if per is None:
        return ["–"] * len(_PER_TASK)
    return [
        f"{per['tasks']:,}",
        money(per["cost_usd_per_task"]),
        money(per["cost_usd_per_passed_task"]),
        number(per["turns_per_task"]),
    ]


def _cost(group: dict[str, Any]) -> str:
    """A cost with a mark where it is not all: unpriced or unsettled calls."""
    if not group["unpriced"] and not group["unsettled"]:
        return money(group["cost_usd"])
    known = money(group["cost_usd"]) if Decimal(group["cost_usd"]) else "–"
    return f"{known}*"


def _tail(document: dict[str, Any]) -> Iterator[str]:
    hidden = len(document["groups"]) - SHOWN
    if hidden > 0:
        yield f"{hidden:,} more: --json or --csv has all of them"
    rises = [rise for rise in document["regressions"] if rise["is_regression"]]
    for rise in rises:
        yield f"REGRESSION  {safe(rise_words(rise))}"
    if document["regressions"] and not rises:
        yield quiet_words(document)
    if document["totals"]["unpriced"] or document["totals"]["unsettled"]:
        yield "* not all: see below"
    yield from map(safe, remarks(document))
