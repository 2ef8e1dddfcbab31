"""A replay as a self-contained page: dollars per policy, bills, misses, conversations."""

from __future__ import annotations

from decimal import Decimal
from html import escape
from typing import Any, Final

from farthing.reports.figures import tokens, usd
from farthing.reports.page import cards, legend, page, section, table
from farthing.reports.replay_optimum import HEADERS, optimum_rows
from farthing.reports.replay_text import COMPONENT_WORDS, notes
from farthing.reports.svg import Stack, stacked_chart

__all__ = ["render_replay_page"]

_COLOURS: Final = dict(zip(COMPONENT_WORDS, ("c4", "c1", "c2", "c3", "c5"), strict=True))


def render_replay_page(document: dict[str, Any], title: str) -> str:
    """The page."""
    name = f"Replay of {title}"
    note = (
        f"{document['calls']:,} calls in {document['conversations']:,} conversations, "
        f"by {document['through']}"
    )
    head = f'<h1>{escape(name)}</h1><p class="dim">{escape(note)}</p>'
    remarks = "".join(f"<p>{escape(line)}</p>" for line in notes(document))
    return page(
        name,
        [
            head,
            cards([(_total(policy), policy["policy"]) for policy in document["policies"]]),
            section("Bills", _chart(document), _bills(document)),
            *_optimum(document),
            section("Misses by cause", _misses(document)),
            section("Conversations", _conversations(document)),
            section("How to read this", remarks),
        ],
    )


def _total(bill: dict[str, Any]) -> str:
    if bill["cost_usd"] is None:
        return f"{tokens(bill['prompt_tokens'])} tokens"
    return usd(bill["cost_usd"]["total"])


def _chart(document: dict[str, Any]) -> str:
    policies = [policy for policy in document["policies"] if policy["cost_usd"]]
    if not policies:
        return ""
    stacks = [
        Stack(
            label=policy["policy"],
            parts=tuple(
                (
                    _COLOURS[part],
                    float(policy["cost_usd"][part]),
                    f"{words}: {usd(policy['cost_usd'][part])}",
                )
                for part, words in COMPONENT_WORDS.items()
            ),
        )
        for policy in policies
    ]
    colours = [(_COLOURS[part], words) for part, words in COMPONENT_WORDS.items()]
    return stacked_chart(stacks, "Dollars by policy and component") + legend(colours)


def _bills(document: dict[str, Any]) -> str:
    named = [(policy["policy"], policy) for policy in document["policies"]]
    if document["recorded"]:
        named.insert(0, ("billed then", document["recorded"]))
    rows = [
        [words, *(_cell(bill, part) for _, bill in named)]
        for part, words in COMPONENT_WORDS.items()
        if any(bill["tokens"][part] for _, bill in named)
    ]
    rows.append(["total", *(_total(bill) for _, bill in named)])
    rows.append(["seconds to the first token", *(_first_token(bill) for _, bill in named)])
    return table(["", *(name for name, _ in named)], rows, "l" + "r" * len(named))


def _first_token(bill: dict[str, Any]) -> str:
    return f"{bill['mean_first_token_seconds']:.2f}" if "policy" in bill else "–"


def _cell(bill: dict[str, Any], part: str) -> str:
    counted = f"{tokens(bill['tokens'][part])} tokens"
    if bill["cost_usd"] is None:
        return counted
    return f"{usd(bill['cost_usd'][part])} · {counted}"


def _optimum(document: dict[str, Any]) -> list[str]:
    rows = optimum_rows(document)
    return (
        [section("Against the optimum", table(HEADERS, rows, "l" + "r" * (len(HEADERS) - 1)))]
        if rows
        else []
    )


def _misses(document: dict[str, Any]) -> str:
    rows = [
        [
            policy["policy"],
            miss["cause"],
            f"{miss['calls']:,}",
            tokens(miss["missed_tokens"]),
            usd(miss["extra_usd"]),
        ]
        for policy in document["policies"]
        for miss in policy["misses"]
    ]
    return table(["policy", "cause", "calls", "tokens", "above reading"], rows, "wwrrr")


def _conversations(document: dict[str, Any]) -> str:
    policies = document["policies"]
    bills = [{bill["id"]: bill for bill in policy["by_conversation"]} for policy in policies]
    ranked = sorted(policies[0]["by_conversation"], key=_weight, reverse=True)
    rows = [
        [
            bill["id"],
            f"{bill['calls']:,}",
            *(_total(each[bill["id"]]) if bill["id"] in each else "–" for each in bills),
        ]
        for bill in ranked
    ]
    names = [policy["policy"] for policy in policies]
    return table(["conversation", "calls", *names], rows, "lr" + "r" * len(names))


def _weight(bill: dict[str, Any]) -> Decimal:
    return (
        Decimal(bill["cost_usd"]["total"]) if bill["cost_usd"] else Decimal(bill["prompt_tokens"])
    )
