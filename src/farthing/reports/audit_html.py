"""The audit as a page with charts."""

from __future__ import annotations

from html import escape
from typing import Any, Final

from farthing.reports.audit_words import COMPONENTS, caption, origin_name, safe
from farthing.reports.figures import share, shorten, tokens, usd
from farthing.reports.page import cards, legend, page, section, table
from farthing.reports.svg import Bar, Stack, bar_chart, stacked_chart

__all__ = ["Document", "render_page"]

Document = dict[str, Any]

_COLOURS: Final = {
    "cache_read": "c1",
    "cache_write_5m": "c2",
    "cache_write_1h": "c3",
    "uncached": "c4",
    "output": "c5",
    "server_tools": "c6",
}
_FOOT: Final = (
    '<p class="dim">Token counts are the provider\'s. Dollars are list prices of the day of each '
    "call. What is called estimated divides a prompt's bill among its parts.</p>"
)
_BARS: Final = 12
_ROWS: Final = 20
_LABEL: Final = 40


def render_page(document: Document) -> str:
    """The whole page."""
    head = f'<h1>farthing audit</h1><p class="dim">{escape(caption(document))}</p>'
    if not document["totals"]["calls"]:
        return page("farthing audit", [head, "<p>No calls found.</p>", _problems(document)])
    return page(
        "farthing audit",
        [
            head,
            _cards(document),
            _notes(document),
            _advice(document),
            _policies(document),
            _days(document),
            _components(document),
            _origins(document),
            _chunks(document),
            _misses(document),
            *[_dimension(document, name) for name in ("project", "model", "session")],
            _habits(document),
            _problems(document),
            _FOOT,
        ],
    )


def _cards(document: Document) -> str:
    totals = document["totals"]
    days = document["period"]["days"]
    items = [
        (usd(totals["cost_usd"]), f"spent in {days:,.0f} days"),
        (tokens(totals["prompt_tokens"]), "prompt tokens"),
        (share(totals["cache_read_tokens"], totals["prompt_tokens"]), "read from the prompt cache"),
        (usd(totals["estimated_missed_usd"]), "cost of cache misses (estimated)"),
    ]
    if totals["unpriced_tokens"]:
        items.append((tokens(totals["unpriced_tokens"]), "tokens without a price"))
    return cards(items)


def _notes(document: Document) -> str:
    return "".join(f'<p class="dim">Note: {escape(note)}</p>' for note in document["notes"])


def _advice(document: Document) -> str:
    rows = [
        [
            f"{'up to' if item['at_most'] else 'about'} {usd(item['estimated_usd_per_month'])}",
            item["title"],
            item["action"],
            item["basis"],
            item["risk"],
        ]
        for item in document["advice"]
    ]
    headers = ["$ a month", "to do", "how", "why", "risk"]
    note = "Predicted from the recorded calls. Amounts overlap: do not add them up."
    return section("To do, dearest first", table(headers, rows, "rwwww"), note=note)


def _policies(document: Document) -> str:
    rows = [
        [safe(item["policy"]), usd(item["estimated_usd"]), usd(item["estimated_saving_usd"])]
        for item in document["policies"]
    ]
    headers = ["policy", "$", "saving"]
    note = "Predicted by replay of the same calls."
    return section("Other policies", table(headers, rows, "lrr"), note=note)


def _days(document: Document) -> str:
    days = document["by"]["day"]
    if not _amount(document["totals"]["cost_usd"]):
        return ""
    stacks = [
        Stack(
            label=day["key"],
            parts=tuple(
                (css, _amount(day["by_component_usd"].get(name)), _hover(day, name))
                for name, css in _COLOURS.items()
            ),
        )
        for day in days
    ]
    return section("By day", stacked_chart(stacks, "dollars by day"), _legend(document))


def _hover(day: Document, name: str) -> str:
    return f"{day['key']}: {COMPONENTS[name]} {usd(day['by_component_usd'].get(name, '0'))}"


def _legend(document: Document) -> str:
    present = {part["name"] for part in document["components"] if part["tokens"]}
    items = [(css, COMPONENTS[name]) for name, css in _COLOURS.items() if name in present]
    return legend(items)


def _components(document: Document) -> str:
    whole = _amount(document["totals"]["cost_usd"])
    parts = {part["name"]: part for part in document["components"]}
    bars = [
        Bar(
            label=words,
            value=_amount(parts[name]["cost_usd"]) if whole else parts[name]["tokens"],
            text=_component_text(parts[name], whole),
            css=_COLOURS[name],
        )
        for name, words in COMPONENTS.items()
        if name in parts and (parts[name]["tokens"] or _amount(parts[name]["cost_usd"]))
    ]
    return section("Where the dollars go", bar_chart(bars, "cost by component"))


def _component_text(part: Document, whole: float) -> str:
    count = tokens(part["tokens"])
    return f"{usd(part['cost_usd'])} · {count}" if whole else f"{count} tokens"


def _origins(document: Document) -> str:
    origins = document["origins"][:_BARS]
    bars = [
        Bar(
            label=shorten(safe(origin_name(origin)), _LABEL),
            value=origin["token_turns"],
            text=f"{usd(origin['estimated_usd'])} · {share(origin['share_ratio'], 1.0)}",
        )
        for origin in origins
    ]
    note = "Tokens times the calls that carried them; dollars are estimated shares of prompts."
    chart = bar_chart(bars, "what prompts were made of") if bars else ""
    return section("What the prompts were made of", chart, note=note)


def _chunks(document: Document) -> str:
    rows = [
        [
            safe(chunk["name"]),
            f"{chunk['times']:,}",
            tokens(chunk["tokens"]),
            tokens(chunk["token_turns"]),
            usd(chunk["estimated_usd"]),
        ]
        for chunk in document["chunks"][:_ROWS]
    ]
    headers = ["chunk", "times", "size", "sent", "estimated $"]
    note = "A chunk is sent again with every later call of its conversation."
    return section("Dearest over their life in context", table(headers, rows, "lrrrr"), note=note)


def _misses(document: Document) -> str:
    misses = [miss for miss in document["misses"] if miss["calls"]]
    bars = [
        Bar(
            label=shorten(miss["cause"], _LABEL),
            value=_amount(miss["estimated_usd"]),
            text=f"{usd(miss['estimated_usd'])} · {miss['calls']:,} calls",
            css="c3",
        )
        for miss in misses
    ]
    note = "What was paid above reading the same tokens from the prompt cache (estimated)."
    chart = bar_chart(bars, "cache misses by cause") if bars else ""
    return section("Cache misses by cause", chart, note=note)


def _dimension(document: Document, name: str) -> str:
    groups = document["by"][name]
    rows = [
        [
            safe(group["key"]),
            f"{group['calls']:,}",
            tokens(group["prompt_tokens"]),
            share(group["cache_read_tokens"], group["prompt_tokens"]),
            usd(group["estimated_missed_usd"]),
            usd(group["cost_usd"]),
        ]
        for group in groups[:_ROWS]
    ]
    headers = [name, "calls", "prompt tokens", "cached", "missed $", "$"]
    more = f"{len(groups) - _ROWS:,} more are not shown." if len(groups) > _ROWS else ""
    return section(f"By {name}", table(headers, rows, "lrrrrr"), note=more)


def _habits(document: Document) -> str:
    pauses = document["pauses"]
    rows = [
        ["Pauses of 5 to 60 minutes", f"{pauses['of_5_to_60_minutes']:,}", ""],
        ["Pauses of 1 to 24 hours", f"{pauses['of_1_to_24_hours']:,}", ""],
        ["Pauses of more than a day", f"{pauses['of_more_than_a_day']:,}", ""],
        _habit("Turns that could have been parallel", document["serial_turns"], "turns"),
        _habit("Unchanged files read again", document["repeated_reads"], "reads"),
        _habit("Tools offered and never called", document["unused_tools"], None),
    ]
    unattended = document["unattended"]
    if unattended["calls"]:
        calls = f"{unattended['calls']:,}"
        rows.append(["Calls nobody waited for", calls, usd(unattended["cost_usd"])])
    rereads = [
        [safe(item["name"]), f"{item['reads']:,}", usd(item["estimated_usd"])]
        for item in document["repeated_reads"][:_BARS]
    ]
    return section(
        "Habits",
        table(["habit", "times", "estimated $"], rows, "lrr"),
        table(["read again unchanged", "times", "estimated $"], rereads, "lrr"),
    )


def _habit(words: str, items: list[Document], times: str | None) -> list[str]:
    count = sum(item[times] for item in items) if times else len(items)
    amount = sum(_amount(item["estimated_usd"]) for item in items)
    return [words, f"{count:,}", usd(f"{amount:.6f}") if count else ""]


def _problems(document: Document) -> str:
    rows = [
        [problem["meaning"], f"{problem['count']:,}", safe(", ".join(problem["examples"]))]
        for problem in document["input"]["problems"]
    ]
    return section("Not read, or read with care", table(["what", "times", "where"], rows, "lrl"))


def _amount(text: str | None) -> float:
    return float(text) if text else 0.0
