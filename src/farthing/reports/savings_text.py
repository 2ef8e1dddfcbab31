"""What levers saved, as lines and cells for a terminal: one honest screen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from farthing.reports.audit_words import safe
from farthing.reports.ledger_words import counted, money, period
from farthing.reports.savings_words import (
    calibration_words,
    hold_out_words,
    percent,
    referee_words,
    remarks,
)

__all__ = ["SavingsTable", "governor_table", "savings_summary", "savings_table", "savings_tail"]

#: lines printed per table; all of them are in --json and --csv
_SHOWN: Final = 25
_NAMELESS: Final = {"task-type": "(no type)", "model": "(no model)"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SavingsTable:
    """A table, and which of its rows are losses."""

    headers: list[str]
    rows: list[list[str]]
    losses: frozenset[int]


def savings_summary(document: dict[str, Any]) -> list[tuple[str, bool]]:
    """The figures over all, one line each, and whether it is a loss."""
    totals = document["totals"]
    is_loss = _is_loss(totals["net_usd"])
    compared = counted(totals["compared_calls"], "call")
    lines = [
        (f"{document['ledger']}: {period(document)}, {totals['calls']:,} calls", False),
        ("", False),
        (f"cost       {money(totals['cost_usd'])}", False),
        (f"compared   {money(totals['compared_cost_usd'])}, {compared}", False),
        (f"baseline   {money(totals['baseline_usd'])}, the same as they were sent", False),
        (f"saved      {money(totals['saved_usd'])}, measured", _is_loss(totals["saved_usd"])),
        (f"own costs  {money(totals['own_cost_usd'])}", False),
    ]
    share = "" if totals["net_ratio"] is None else f", {percent(totals['net_ratio'])} of that"
    words = "a LOSS" if is_loss else f"farthing's own{share}"
    return [*lines, (f"net        {money(totals['net_usd'])}, {words}", is_loss)]


def savings_table(document: dict[str, Any]) -> SavingsTable:
    """The groups, and what they add up to."""
    by, groups, totals = document["by"], document["groups"], document["totals"]
    shown = groups[-_SHOWN:] if by == "day" else groups[:_SHOWN]
    is_lever = by == "lever"
    headers = [by, "calls", "cost", "measured"]
    headers += ["predicted", "of calls"] if is_lever else ["own costs", "net"]
    rows = [
        [safe(each["name"]) or _NAMELESS.get(by, "(none)"), *_cells(each, is_lever=is_lever)]
        for each in shown
    ]
    rows.append(["total", *_total_cells(totals, is_lever=is_lever)])
    losses = [_is_loss(each["saved_usd" if is_lever else "net_usd"]) for each in shown]
    losses.append(_is_loss(totals["saved_usd" if is_lever else "net_usd"]))
    numbered = frozenset(place for place, is_loss in enumerate(losses) if is_loss)
    return SavingsTable(headers=headers, rows=rows, losses=numbered)


def governor_table(document: dict[str, Any]) -> SavingsTable | None:
    """Per lever and workload the verdict and its evidence; None: nothing was judged yet."""
    judged = document["governor"][:_SHOWN]
    if not judged:
        return None
    rows = [
        [
            each["lever"],
            safe(each["workload"]),
            each["verdict"],
            f"{each['calls']:,}",
            money(each["saved_usd"]),
            f"{each['gain_evidence']:.3g}",
            f"{each['loss_evidence']:.3g}",
            _interval(each),
        ]
        for each in judged
    ]
    headers = ["governor", "workload", "verdict", "calls", "saved", "gains", "loses", "per call"]
    losses = frozenset(n for n, each in enumerate(judged) if _is_loss(each["saved_usd"]))
    return SavingsTable(headers=headers, rows=rows, losses=losses)


def savings_tail(document: dict[str, Any]) -> str:
    """Hold-out, calibration, referee, and what is in no sum."""
    return "\n".join(_tail(document))


def _tail(document: dict[str, Any]) -> Iterator[str]:
    yield f"hold-out     {hold_out_words(document['hold_out'])}"
    yield f"calibration  {calibration_words(document['calibration'])}"
    if causes := document["miss_causes"]:
        named = ", ".join(f"{cause} {count:,}" for cause, count in causes.items())
        yield f"misses       {named}"
    if words := referee_words(document["referee"]):
        yield f"referee      {words}"
    if notes := list(remarks(document)):
        yield ""
        yield from notes


def _cells(group: dict[str, Any], *, is_lever: bool) -> list[str]:
    first = [f"{group['calls']:,}", money(group["cost_usd"]), money(group["saved_usd"])]
    if is_lever:
        return [*first, money(group["predicted_usd"]), f"{group['predicted_calls']:,}"]
    return [*first, money(group["own_cost_usd"]), money(group["net_usd"])]


def _total_cells(totals: dict[str, Any], *, is_lever: bool) -> list[str]:
    """Of a lever's columns only what was measured adds up: calls have several levers."""
    if is_lever:
        return ["", "", money(totals["saved_usd"]), "", ""]
    names = ("compared_cost_usd", "saved_usd", "own_cost_usd", "net_usd")
    return [f"{totals['compared_calls']:,}", *(money(totals[name]) for name in names)]


def _interval(judged: dict[str, Any]) -> str:
    mean, low, high = (percent(judged[f"{name}_ratio"]) for name in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"


def _is_loss(amount: str) -> bool:
    return Decimal(amount) < 0
