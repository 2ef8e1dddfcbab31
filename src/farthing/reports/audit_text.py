"""The audit on one screen of a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Any, Final

from farthing.reports.audit_words import COMPONENTS, caption, origin_name, safe
from farthing.reports.figures import blocks, share, shorten, sparkline, tokens, usd

__all__ = ["WIDTH", "Document", "Row", "render_audit"]

WIDTH: Final = 100
_NAME: Final = 48
_SHORT: Final = 3
#: lines of an overview that must fit on a screen
_ORIGINS: Final = 6
_CHUNKS: Final = 4
_ADVICE: Final = 6
_INDENT: Final = 23
_GROUP_COLUMNS: Final = ("prompt", "$", "cached", "missed $", "calls")

Row = Sequence[str]
Document = dict[str, Any]


def render_audit(document: Document, *, by: str | None = None) -> str:
    """The report as lines; ``by`` shows one dimension in full instead of the overview."""
    lines = [f"farthing audit · {caption(document)}", ""]
    if not document["totals"]["calls"]:
        lines += ["No calls found.", "", *_problems(document)]
        return "\n".join(lines)
    lines += [*wrap(_headline(document), WIDTH), ""]
    sections = [_components(document)]
    if by is not None:
        sections.append(_dimension(document, by))
    else:
        sections += [
            _days(document),
            _top_groups(document),
            _origins(document),
            _chunks(document),
            _misses(document),
            _habits(document),
        ]
    sections += [_policies(document), _notes(document), _problems(document), _advice(document)]
    for section in sections:
        found = list(section)
        if found:
            lines += [*found, ""]
    return "\n".join(lines).rstrip()


def _headline(document: Document) -> str:
    totals = document["totals"]
    prompt = totals["prompt_tokens"]
    read = share(totals["cache_read_tokens"], prompt)
    words = f"{tokens(prompt)} prompt tokens, {read} of them read from the prompt cache"
    spent = f"{usd(totals['cost_usd'])} spent" if totals["cost_usd"] is not None else "no price"
    if totals["unpriced_tokens"]:
        words += f", {tokens(totals['unpriced_tokens'])} tokens without a price"
    return f"{spent} · {words} · {tokens(totals['output_tokens'])} output"


def _components(document: Document) -> Iterator[str]:
    whole = _amount(document["totals"]["cost_usd"])
    parts = {part["name"]: part for part in document["components"]}
    yield _heading("Where the dollars go", "tokens", "$", "share")
    for name, words in COMPONENTS.items():
        part = parts.get(name)
        if part and (part["tokens"] or _amount(part["cost_usd"])):
            amount = _amount(part["cost_usd"])
            priced = part["cost_usd"] if whole else None
            bar = blocks(amount, whole, 20)
            count = tokens(part["tokens"])
            yield _row(words, count, usd(priced), share(amount, whole)) + f"  {bar}"


def _days(document: Document) -> Iterator[str]:
    days = document["by"]["day"][-(WIDTH - 20) :]
    if len(days) < 2:
        return
    amounts = [_amount(day["cost_usd"]) for day in days]
    peak = max(days, key=lambda day: _amount(day["cost_usd"]))
    yield f"By day  {sparkline(amounts)}  most on {peak['key']}: {usd(peak['cost_usd'])}"


def _top_groups(document: Document) -> Iterator[str]:
    found = {name: document["by"][name] for name in ("project", "model", "session")}
    yield _heading(f"Top {_SHORT} projects, models, sessions", *_GROUP_COLUMNS)
    for groups in found.values():
        yield from map(_group, groups[:_SHORT])
    counts = ", ".join(f"{len(groups):,} {name}s" for name, groups in found.items())
    yield f"  … of {counts}; all of them: farthing audit --by session"


def _dimension(document: Document, name: str) -> Iterator[str]:
    yield _heading(f"By {name}", *_GROUP_COLUMNS)
    yield from map(_group, document["by"][name])


def _group(group: Document) -> str:
    prompt = group["prompt_tokens"]
    return _row(
        safe(group["key"]),
        tokens(prompt),
        usd(group["cost_usd"]),
        share(group["cache_read_tokens"], prompt),
        usd(group["estimated_missed_usd"]),
        f"{group['calls']:,}",
    )


def _origins(document: Document) -> Iterator[str]:
    origins = _merge_small(document["origins"], _ORIGINS)
    if not origins:
        return
    whole = sum(origin["token_turns"] for origin in document["origins"])
    yield _heading("What the prompts were made of (est.)", "tokens", "$", "share")
    for origin in origins:
        bar = blocks(origin["token_turns"], whole, 20)
        part = share(origin["token_turns"], whole)
        name = safe(origin_name(origin))
        count, amount = tokens(origin["token_turns"]), usd(origin["estimated_usd"])
        yield _row(name, count, amount, part) + f"  {bar}"


def _merge_small(origins: list[Document], count: int) -> list[Document]:
    if len(origins) <= count + 1:
        return origins
    rest = origins[count:]
    amount = sum(_amount(origin["estimated_usd"]) for origin in rest)
    merged = {
        "kind": f"{len(rest)} other origins",
        "tool": None,
        "token_turns": sum(origin["token_turns"] for origin in rest),
        "estimated_usd": f"{amount:.6f}",
    }
    return [*origins[:count], merged]


def _chunks(document: Document) -> Iterator[str]:
    chunks = document["chunks"][:_CHUNKS]
    if not chunks:
        return
    yield _heading("Dearest over their life in context (est.)", "size", "$", "sent", "times")
    for chunk in chunks:
        sent, amount = tokens(chunk["token_turns"]), usd(chunk["estimated_usd"])
        times = f"{chunk['times']:,}"
        yield _row(safe(chunk["name"]), tokens(chunk["tokens"]), amount, sent, times)


def _misses(document: Document) -> Iterator[str]:
    misses = document["misses"]
    if not misses:
        return
    yield _heading("Cache misses by cause (est.)", "tokens", "$", "calls")
    for miss in misses:
        amount, calls = usd(miss["estimated_usd"]), f"{miss['calls']:,}"
        yield _row(miss["cause"], tokens(miss["tokens"]), amount, calls)


def _habits(document: Document) -> Iterator[str]:
    pauses = document["pauses"]
    habits = [
        ("pauses of 5-60 min / 1-24 h / longer", "/".join(f"{n:,}" for n in pauses.values()), None),
        ("unchanged files read again", *_total(document["repeated_reads"], "reads")),
        ("turns that could have been parallel", *_total(document["serial_turns"], "turns")),
        ("tools offered and never called", *_total(document["unused_tools"], None)),
    ]
    unattended = document["unattended"]
    if unattended["calls"]:
        calls = f"{unattended['calls']:,}"
        habits.append(("calls nobody waited for", calls, unattended["cost_usd"]))
    yield _heading("Habits", "times", "$")
    for name, times, amount in habits:
        if times != "0":
            yield _row(name, times, usd(amount) if amount else "")


def _total(items: list[Document], times: str | None) -> tuple[str, str]:
    count = sum(item[times] for item in items) if times else len(items)
    return f"{count:,}", f"{sum(_amount(item['estimated_usd']) for item in items):.6f}"


def _policies(document: Document) -> Iterator[str]:
    if document["policies"]:
        yield _heading("Other policies on the same calls (predicted)", "$", "saving")
    for item in document["policies"]:
        saving = usd(item["estimated_saving_usd"])
        yield _row(safe(item["policy"]), usd(item["estimated_usd"]), saving)


def _notes(document: Document) -> Iterator[str]:
    for note in document["notes"]:
        yield from wrap(f"Note: {note}", WIDTH, subsequent_indent=" " * 6)


def _problems(document: Document) -> Iterator[str]:
    problems = document["input"]["problems"]
    if problems:
        yield "Not read, or read with care:"
    for problem in problems:
        where = shorten(safe(problem["examples"][0]), 40) if problem["examples"] else ""
        yield f"  {problem['count']:,} × {problem['meaning']} ({where})"


def _advice(document: Document) -> Iterator[str]:
    if not document["advice"]:
        yield "Nothing to do: no habit here costs more than a cent."
        return
    yield "To do, dearest first ($ a month, predicted; amounts overlap, do not add them up)"
    for rank, item in enumerate(document["advice"][:_ADVICE], start=1):
        bound = "up to" if item["at_most"] else "about"
        amount = f"{bound} {usd(item['estimated_usd_per_month'])}"
        yield f"{rank:>3}. {amount:>16}  {item['title']}"
        yield from wrap(
            item["action"],
            WIDTH,
            initial_indent=" " * _INDENT + "→ ",
            subsequent_indent=" " * (_INDENT + 2),
        )
    if len(document["advice"]) > _ADVICE:
        yield f"  … {len(document['advice']) - _ADVICE} more: farthing audit --json, or --html FILE"


def _heading(name: str, *columns: str) -> str:
    return _row(name, *columns)


def _row(name: str, *columns: str) -> str:
    cells = "".join(f"{column:>10}" for column in columns)
    return f"{shorten(name, _NAME):<{_NAME}}{cells}"


def _amount(text: str | None) -> float:
    return float(text) if text else 0.0
