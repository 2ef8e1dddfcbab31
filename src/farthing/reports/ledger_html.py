"""A report on a ledger as a self-contained page, for people who were not there."""

from __future__ import annotations

from html import escape
from typing import Any, Final

from farthing.reports.figures import share, tokens
from farthing.reports.ledger_text import SHOWN, report_rows
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
from farthing.reports.page import cards, page, section, table
from farthing.reports.svg import Bar, Stack, bar_chart, stacked_chart

__all__ = ["render_report_page"]

_BARS: Final = 12
_LABEL: Final = 34
_POINTS: Final = 14
_KINDS: Final = {
    "cache_read_tokens": ("c4", "read from the prompt cache"),
    "cache_write_5m_tokens": ("c1", "written for 5 minutes"),
    "cache_write_1h_tokens": ("c6", "written for 1 hour"),
    "uncached_tokens": ("c3", "uncached"),
    "output_tokens": ("c5", "output"),
}


def render_report_page(document: dict[str, Any]) -> str:
    """The page."""
    head = (
        f"<h1>Cost by {escape(document['by'])}</h1>"
        f'<p class="dim">{escape(period(document))} · {document["totals"]["calls"]:,} calls</p>'
    )
    notes = "".join(f"<p>{escape(line)}</p>" for line in remarks(document))
    return page(
        f"farthing report by {document['by']}",
        [
            head,
            cards(_cards(document)),
            _regressions(document),
            section("Where the dollars went", _chart(document), _table(document)),
            section("Tokens", _tokens(document)),
            section("Prompt cache", _rolling(document)),
            section("How to read this", notes),
        ],
    )


def _cards(document: dict[str, Any]) -> list[tuple[str, str]]:
    totals = document["totals"]
    per, latency = totals["per_task"], totals["latency"]
    hit = totals["hit_ratio"]
    found = [
        (money(totals["cost_usd"]), saving_words(totals["saved_usd"])),
        ("–" if hit is None else share(hit, 1), "of prompt tokens came from the prompt cache"),
        (
            money(per["cost_usd_per_task"]),
            f"a task; {per['tasks']:,} tasks, {number(per['turns_per_task'])} turns each",
        ),
        (money(per["cost_usd_per_passed_task"]), f"a passed task ({per['passed']:,} passed)"),
    ]
    if latency is not None:
        p50, p95 = (milliseconds(latency["total_ms"][name]) for name in ("p50", "p95"))
        found.append((p50, f"a call, half of them; {p95} for 95 %"))
    return found


def _regressions(document: dict[str, Any]) -> str:
    rises = [rise for rise in document["regressions"] if rise["is_regression"]]
    if rises:
        lines = "".join(f'<p class="bad">{escape(rise_words(rise))}</p>' for rise in rises)
        return section("Became dearer", lines, note="Later half of the period against the earlier.")
    if document["regressions"]:
        return f'<p class="dim">{escape(quiet_words(document))}</p>'
    return ""


def _chart(document: dict[str, Any]) -> str:
    groups = [group for group in document["groups"] if float(group["cost_usd"])]
    if document["by"] == "day":
        columns = [
            Stack(
                label=group["name"],
                parts=(("c1", float(group["cost_usd"]), money(group["cost_usd"])),),
            )
            for group in groups
        ]
        return stacked_chart(columns, "Dollars by day") if columns else ""
    bars = [
        Bar(
            label=_short(name_of(group, document["by"])),
            value=float(group["cost_usd"]),
            text=money(group["cost_usd"]),
        )
        for group in groups[:_BARS]
    ]
    return bar_chart(bars, f"Dollars by {document['by']}") if bars else ""


def _table(document: dict[str, Any]) -> str:
    headers, rows = report_rows(document)
    align = "w" + "".join("w" if name == "outcome" else "r" for name in headers[1:])
    more = len(document["groups"]) - SHOWN
    words = f'<p class="dim">{more:,} more are in --json and --csv.</p>' if more > 0 else ""
    return table(headers, rows, align) + words


def _tokens(document: dict[str, Any]) -> str:
    totals = document["totals"]
    peak = max(totals[kind] for kind in _KINDS)
    if not peak:
        return ""
    bars = [
        Bar(label=words, value=totals[kind], text=tokens(totals[kind]), css=css)
        for kind, (css, words) in _KINDS.items()
        if totals[kind]
    ]
    return bar_chart(bars, "Tokens by kind")


def _rolling(document: dict[str, Any]) -> str:
    rolling = document["rolling_hit_ratio"]
    if rolling is None:
        return ""
    width = rolling["trailing_hours"]
    span = f"{width} hours" if rolling["bucket"] == "hour" else f"{width // 24} days"
    words = f"Share of prompt tokens read from it, over the {span} up to each {rolling['bucket']}."
    bars = [
        Bar(
            label=point["at"].replace("T", " "),
            value=point["hit_ratio"] or 0.0,
            text=_percent(point["hit_ratio"]),
            css="c4",
        )
        for point in rolling["points"][-_POINTS:]
    ]
    return f'<p class="dim">{escape(words)}</p>' + bar_chart(bars, "Hit rate", whole=1.0)


def _percent(ratio: float | None) -> str:
    return "–" if ratio is None else share(ratio, 1)


def _short(name: str) -> str:
    return name if len(name) <= _LABEL else name[: _LABEL - 1] + "…"
