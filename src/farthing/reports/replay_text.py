"""A replay as text: one column per policy, then misses by cause, then what to know about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final, Protocol

from farthing.reports.figures import shorten, tokens, usd
from farthing.reports.replay_optimum import HEADERS, optimum_notes, optimum_rows

__all__ = ["COMPONENT_WORDS", "Table", "notes", "render_replay"]


class Table(Protocol):
    """How rows become text: the command line's table."""

    def __call__(
        self, headers: Sequence[str], rows: Sequence[Sequence[str]], *, total: bool = False
    ) -> str:
        """The table as text; ``total``: the last row is one."""
        ...


COMPONENT_WORDS: Final = {
    "uncached": "uncached",
    "cache_read": "read",
    "cache_write_5m": "written, 5 m",
    "cache_write_1h": "written, 1 h",
    "output": "output",
}
_CONVERSATIONS: Final = 12
_ID_WIDTH: Final = 34


def render_replay(document: dict[str, Any], table: Table, *, everything: bool = False) -> str:
    """The whole report; ``everything`` lists all conversations."""
    head = (
        f"{document['calls']:,} calls in {document['conversations']:,} conversations, "
        f"replayed by {document['through']}"
    )
    parts = [
        head,
        _bill_table(document, table),
        _optimum_table(document, table),
        _miss_table(document, table),
        _conversation_table(document, table, everything=everything),
        "\n".join(notes(document)),
    ]
    return "\n\n".join(part for part in parts if part)


def notes(document: dict[str, Any]) -> Iterator[str]:
    """What a reader has to know to trust the figures, or not to."""
    yield (
        f"Predicted by farthing {document['farthing']}: the recorded requests at their recorded "
        "times and sizes; only breakpoints differ."
    )
    breaks = document["recorded_breaks"]
    if document["breaks"] == "remove":
        yield "Breaks inside the TTL that the recording shows were removed from every policy."
    elif breaks:
        yield f"{breaks} recorded breaks inside the TTL were injected into every policy."
    first = document["policies"][0]
    if first["estimated_outputs"]:
        yield (
            f"Output of {first['estimated_outputs']:,} calls is estimated from the visible text: "
            "the recording holds the start of a stream's count."
        )
    if document["undated_calls"]:
        yield f"{document['undated_calls']:,} calls have no recorded time; gaps are invented."
    if first["unpriced_calls"]:
        yield (
            f"{first['unpriced_calls']:,} calls are of models without a price; "
            "`--price-as MODEL` gives them one."
        )
    yield (
        "Seconds to the first token are modelled: a mean per call, longer by 60 µs for each token "
        "that is not read from the prompt cache."
    )
    yield from optimum_notes(document)
    for policy in document["policies"]:
        yield from _agreement(policy, document["through"])


def _agreement(policy: dict[str, Any], through: str) -> Iterator[str]:
    if through == "emulator":
        same = policy["calls"] - policy["differing_calls"]
        yield (
            f"{policy['policy']}: emulator and simulation agree to the token "
            f"in {same:,} of {policy['calls']:,} calls."
        )
    if policy["refused"]:
        yield f"{policy['policy']}: {len(policy['refused'])} refused, {policy['refused'][0]}"


def _bill_table(document: dict[str, Any], table: Table) -> str:
    bills = [*document["policies"]]
    names = [bill["policy"] for bill in bills]
    if document["recorded"]:
        bills, names = [document["recorded"], *bills], ["billed then", *names]
    is_priced = all(bill["cost_usd"] for bill in bills)
    cells = _dollar_rows(bills) if is_priced else _token_rows(bills)
    rows = [[words, *row] for words, row in cells]
    total = rows.pop()
    counts = [["calls", *(f"{bill['calls']:,}" for bill in bills)]]
    counts.append(["misses", *(_misses(bill) for bill in bills)])
    counts.append(["1st token, s", *(_first_token(bill) for bill in bills)])
    parts = [table(["", *names], [*rows, total], total=True), table(["", *names], counts)]
    if is_priced:
        parts.insert(1, _ratio_line(document))
    return "\n".join(parts)


def _misses(bill: dict[str, Any]) -> str:
    return f"{bill['missed_calls']:,}" if "policy" in bill else "–"


def _first_token(bill: dict[str, Any]) -> str:
    return f"{bill['mean_first_token_seconds']:.2f}" if "policy" in bill else "–"


def _dollar_rows(bills: Sequence[dict[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    for part, words in COMPONENT_WORDS.items():
        if any(Decimal(bill["cost_usd"][part]) for bill in bills):
            yield words, [usd(bill["cost_usd"][part]) for bill in bills]
    yield "total", [usd(bill["cost_usd"]["total"]) for bill in bills]


def _token_rows(bills: Sequence[dict[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    for part, words in COMPONENT_WORDS.items():
        if any(bill["tokens"][part] for bill in bills):
            yield f"{words} tokens", [tokens(bill["tokens"][part]) for bill in bills]
    yield "total tokens", [tokens(sum(bill["tokens"].values())) for bill in bills]


def _ratio_line(document: dict[str, Any]) -> str:
    others = [
        f"{policy['policy']} {policy['input_cost_ratio']:.3f}"
        for policy in document["policies"]
        if policy["policy"] != document["baseline"] and policy["input_cost_ratio"] is not None
    ]
    if not others:
        return ""
    return f"input dollars over those of {document['baseline']}: {', '.join(others)}\n"


def _optimum_table(document: dict[str, Any], table: Table) -> str:
    rows = optimum_rows(document)
    return table(HEADERS, rows) if rows else ""


def _miss_table(document: dict[str, Any], table: Table) -> str:
    rows = [
        [
            policy["policy"] if not at else "",
            miss["cause"],
            f"{miss['calls']:,}",
            tokens(miss["missed_tokens"]),
            usd(miss["extra_usd"]),
        ]
        for policy in document["policies"]
        for at, miss in enumerate(policy["misses"])
    ]
    if not rows:
        return ""
    return table(["misses by cause", "", "calls", "tokens", "above reading"], rows)


def _conversation_table(document: dict[str, Any], table: Table, *, everything: bool) -> str:
    policies = document["policies"]
    bills = {
        policy["policy"]: {b["id"]: b for b in policy["by_conversation"]} for policy in policies
    }
    first = policies[0]["by_conversation"]
    ranked = sorted(first, key=_weight, reverse=True)
    shown = ranked if everything else ranked[:_CONVERSATIONS]
    rows = [
        [
            shorten(bill["id"], _ID_WIDTH),
            f"{bill['calls']:,}",
            *(_amount(bills[name].get(bill["id"])) for name in bills),
        ]
        for bill in shown
    ]
    text = table(["conversation", "calls", *bills], rows)
    left = len(ranked) - len(shown)
    return f"{text}\n… and {left:,} more (--all)" if left else text


def _weight(bill: dict[str, Any]) -> Decimal:
    return (
        Decimal(bill["cost_usd"]["total"]) if bill["cost_usd"] else Decimal(bill["prompt_tokens"])
    )


def _amount(bill: dict[str, Any] | None) -> str:
    if bill is None:
        return "–"
    return usd(bill["cost_usd"]["total"]) if bill["cost_usd"] else tokens(bill["prompt_tokens"])
