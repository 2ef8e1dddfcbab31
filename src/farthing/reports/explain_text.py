"""One exchange explained, as lines and cells for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from farthing.reports.audit_words import safe
from farthing.reports.explain_words import SOURCES
from farthing.reports.ledger_words import milliseconds, money

__all__ = ["bill_rows", "explanation_head", "explanation_tail"]

_WIDTH = 11


def explanation_head(document: dict[str, Any]) -> str:
    """Who, what and how it ended."""
    return "\n".join(safe(line) for line in _head(document))


def bill_rows(document: dict[str, Any]) -> list[list[str]]:
    """Kind, tokens, rate and cost per line of the bill, the total last; empty: no usage seen."""
    ending = document["ending"]
    if ending is None or ending["bill"] is None:
        return []
    bill = ending["bill"]
    rows = [
        [
            line["kind"].replace("_", " "),
            f"{line['tokens']:,}",
            line["usd_per_mtok"] or "–",
            _exact(line["cost_usd"]),
        ]
        for line in bill["lines"]
        if line["tokens"]
    ]
    tools = bill["server_tools"]
    if tools["web_search_requests"]:
        rows.append(
            ["web searches", f"{tools['web_search_requests']:,}", "", _exact(tools["cost_usd"])]
        )
    tokens = sum(line["tokens"] for line in bill["lines"])
    return [*rows, ["total", f"{tokens:,}", "", _exact(ending["cost_usd"])]]


def explanation_tail(document: dict[str, Any]) -> str:
    """Below the bill: prices, saving, levers, notes, times."""
    return "\n".join(safe(line) for line in _tail(document))


def _head(document: dict[str, Any]) -> Iterator[str]:
    who, request, budget = document["attribution"], document["request"], document["budget"]
    yield f"{document['exchange_id']}  {document['meaning']}"
    yield ""
    kind = f" ({who['task_type']})" if who["task_type"] else ""
    yield _row("task", f"{who['task_id']}{kind}, by {SOURCES[who['source']]}")
    if who["parent_task_id"]:
        yield _row("", f"below {who['parent_task_id']}, of {who['root_task_id']}")
    if who["outcome"]:
        score = "" if who["score"] is None else f", score {who['score']:g}"
        yield _row("", f"judged: {who['outcome']}{score}")
    named = [f"{name} {who[f'{name}_id']}" for name in ("session", "agent") if who[f"{name}_id"]]
    yield _row("key", ", ".join([who["key_scope"], *named]))
    streamed = ", streamed" if request["is_streamed"] else ""
    asked = f", {request['model_asked']}" if request["model_asked"] else ""
    yield _row("request", f"{request['path']}{asked}, {request['request_bytes']:,} bytes{streamed}")
    yield _row("opened", document["opened_at"])
    if budget["scope"]:
        held = money(budget["held_usd"])
        yield _row("budget", f"{budget['scope']}: {held} held before it was sent")
    if document["ending"] is not None:
        yield _row("answer", _answer(document["ending"]))


def _answer(ending: dict[str, Any]) -> str:
    answer = ending["answer"]
    parts = [
        f"HTTP {answer['http_status']}" if answer["http_status"] else "none",
        answer["model_served"],
        answer["error_type"] or answer["stop_reason"],
        f"{answer['attempts']} attempts" if answer["attempts"] > 1 else None,
        answer["provider_request_id"],
    ]
    return ", ".join(part for part in parts if part)


def _tail(document: dict[str, Any]) -> Iterator[str]:
    ending = document["ending"]
    if ending is None:
        worst = money(document["budget"]["worst_usd"])
        yield _row("cost", f"not known yet, at most {worst}")
        return
    if ending["bill"] is not None:
        yield from _prices(ending["bill"])
    if ending["interval"] is not None:
        interval = ending["interval"]
        low, high = money(interval["low_usd"]), interval["high_usd"]
        bound = f"between {low} and {money(high)}" if high is not None else "without a known bound"
        yield _row("cost", f"{bound}: {interval['why']}")
    elif ending["cost_usd"] is None and ending["bill"] is not None:
        yield _row("cost", "unpriced, which is not zero")
    yield from _saving(ending)
    for label, items in (("levers", ending["plan"]), ("notes", ending["notes"])):
        for index, item in enumerate(items):
            yield _row(label if not index else "", f"{item['code']}  {item['words']}")
    times = ending["latency"]
    yield _row(
        "latency",
        f"{milliseconds(times['total_ms'])}, first byte after {milliseconds(times['ttft_ms'])},"
        f" {milliseconds(times['overhead_ms'])} of it our own",
    )


def _prices(bill: dict[str, Any]) -> Iterator[str]:
    served = [bill[name] for name in ("service_tier", "speed", "inference_geo") if bill[name]]
    if bill["rate_card_id"]:
        card = f"rate card {bill['rate_card_id']}"
        yield _row("prices", ", ".join([card, *(["served " + " ".join(served)] if served else [])]))
    if bill["passes"] > 1:
        yield _row("", f"{bill['passes']} passes in one answer, each at its own rates")
    if bill["output_thinking_tokens"]:
        yield _row("", f"{bill['output_thinking_tokens']:,} tokens of the output were thinking")


def _saving(ending: dict[str, Any]) -> Iterator[str]:
    if ending["saved_usd"] is None:
        return
    saved = Decimal(ending["saved_usd"])
    baseline = money(ending["baseline_usd"])
    if saved:
        words = "saved" if saved > 0 else "LOST"
        text = f"{words} {money(str(abs(saved)))}: as the client sent it, {baseline}"
    else:
        text = f"nothing saved: as the client sent it, {baseline}, too"
    yield _row("saving", text)


def _exact(amount: str | None) -> str:
    """Dollars as they are on record: here nothing is rounded."""
    return "–" if amount is None else f"${amount}"


def _row(label: str, text: str) -> str:
    return f"{label:{_WIDTH}}{text}"
