"""The document behind ``farthing savings``: what every form of it is rendered from.

Rules of this file: money is exact decimal text, shares are ratios; measured and predicted stand in
fields of their own and are never added; what is not known is null, never zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from farthing.core.calibration import Calibration, input_error
from farthing.core.diagnostics import AGREED_NOTE, DISAGREED_NOTE
from farthing.core.governor import Governor, Judgement
from farthing.core.holdout import estimate
from farthing.core.levers import ABLATION_ORDER, ABLATION_VERSION
from farthing.core.savings import SavingSums
from farthing.driver.jobs.learned_tables import GOVERNOR
from farthing.ledger.reporting import Window
from farthing.ledger.saving_figures import (
    Foreseen,
    SavingFigures,
    SavingGrouping,
    open_saving_figures,
)
from farthing.ledger.task_sums import TaskSums
from farthing.pricing import Catalog, dump_usd
from farthing.version import VERSION

__all__ = ["GROUPINGS", "build_savings", "calibrated"]

GROUPINGS: Final[tuple[SavingGrouping, ...]] = ("lever", "task-type", "model", "day")

#: the share for which the number of tasks is told where none are held out
_USUAL_SHARE: Final = 0.1
#: without a period, calibration is read of the last days that have traffic
_CALIBRATED: Final = timedelta(days=14)


def build_savings(
    path: Path, *, by: SavingGrouping, window: Window, prices: Catalog, share: float
) -> dict[str, Any]:
    """Everything the screen says; ``share`` is the share of tasks that is to be held out."""
    with open_saving_figures(path) as figures:
        whole = figures.whole(window)
        bill = sum(figures.bills.sums("model", window).values(), TaskSums())
        groups = figures.sums(by, window)
        tasks = figures.tasks(window)
        rows = figures.foreseen(_recent(figures, window))
        calibration = calibrated(rows, prices)
        governor = figures.learned(GOVERNOR)
        notes = figures.notes_beginning("diagnostics.", window)
        causes = figures.miss_causes(window)
        notional = figures.bills.notional_pico(window)
        rows_from = figures.bills.rows_from()
    return {
        "ledger": str(path),
        "by": by,
        "since": _dump(window.since),
        "until": _dump(window.until),
        "ablation_version": ABLATION_VERSION,
        "engine_version": VERSION,
        "rows_from": rows_from,
        "totals": _totals(whole, bill, notional),
        "groups": [
            _group(name, groups[name], is_lever=by == "lever")
            for name in sorted(groups, key=lambda name: _order(name, groups[name], by))
        ],
        "governor": [_judged(each) for each in _judgements(governor)],
        "hold_out": asdict(estimate(tasks.costs, share=share or _USUAL_SHARE))
        | {"setting": share, "mixed": tasks.mixed},
        "calibration": calibration,
        "miss_causes": causes,
        "referee": _referee(notes),
    }


def calibrated(rows: Iterable[Foreseen], prices: Catalog) -> dict[str, Any]:
    """Foreseen input against billed input, per day and model, and over all."""
    cards = {card.id: card for card in prices.cards}
    days: dict[tuple[str, str], Calibration] = {}
    shadow, left_out = Calibration(), 0
    for row in rows:
        card = cards.get(row.rate_card_id)  # type: ignore[call-overload]  # any text may be asked
        error = None if card is None else input_error(row.foreseen, row.usage, card)
        if error is None:
            left_out += 1
            continue
        key = row.day, row.model
        days[key] = days.get(key, Calibration()).plus(error)
        if not row.is_edited:
            shadow = shadow.plus(error)
    return {
        "days": [
            {"day": day, "model": model} | _calibration(found)
            for (day, model), found in sorted(days.items())
        ],
        "total": _calibration(sum(days.values(), Calibration())),
        "shadow": _calibration(shadow),
        "left_out": left_out,
    }


def _recent(figures: SavingFigures, window: Window) -> Window:
    """The window, or the last days of it where it has no beginning."""
    span = figures.bills.span(window)
    if window.since is not None or span is None:
        return window
    return window._replace(since=span[1] - _CALIBRATED)


def _totals(whole: SavingSums, bill: TaskSums, notional: int) -> dict[str, Any]:
    return {
        "calls": bill.exchanges,
        "cost_usd": dump_usd(bill.cost_pico),
        "compared_calls": whole.exchanges,
        "compared_cost_usd": dump_usd(whole.cost_pico),
        "uncompared_cost_usd": dump_usd(bill.cost_pico - whole.cost_pico),
        "held_out_calls": whole.held_out,
        "baseline_usd": dump_usd(whole.baseline_pico),
        "saved_usd": dump_usd(whole.saved_pico),
        "own_cost_usd": dump_usd(whole.own_cost_pico),
        "net_usd": dump_usd(whole.net_pico),
        "net_ratio": _rounded(whole.net_ratio),
        "unsettled": bill.unsettled,
        "unsettled_low_usd": dump_usd(bill.low_pico),
        "unsettled_high_usd": dump_usd(bill.high_pico),
        "unpriced": bill.unpriced,
        "notional_usd": dump_usd(notional),
    }


def _group(name: str, sums: SavingSums, *, is_lever: bool) -> dict[str, Any]:
    """A lever's line has no own costs and no net: a ping serves a call, not a column."""
    return {
        "name": name,
        "calls": sums.exchanges,
        "cost_usd": dump_usd(sums.cost_pico),
        "baseline_usd": None if is_lever else dump_usd(sums.baseline_pico),
        "saved_usd": dump_usd(sums.saved_pico),
        "predicted_calls": sums.foretold if is_lever else None,
        "predicted_usd": dump_usd(sums.predicted_pico) if is_lever and sums.foretold else None,
        "own_cost_usd": None if is_lever else dump_usd(sums.own_cost_pico),
        "net_usd": None if is_lever else dump_usd(sums.net_pico),
    }


def _order(name: str, sums: SavingSums, by: SavingGrouping) -> tuple[float, str]:
    """Levers in the order of ablation, days by date, the rest by what it would have cost."""
    if by == "lever":
        known = name in ABLATION_ORDER
        return (ABLATION_ORDER.index(name) if known else len(ABLATION_ORDER)), name
    return (0 if by == "day" else -sums.baseline_pico), name


def _judgements(raw: bytes | None) -> list[Judgement]:
    """Of this engine version: another one starts without verdicts."""
    return [] if raw is None else list(Governor.load(raw, engine_version=VERSION).judgements())


def _judged(found: Judgement) -> dict[str, Any]:
    return {
        "lever": found.lever,
        "workload": found.workload,
        "verdict": found.verdict,
        "calls": found.exchanges,
        "saved_usd": dump_usd(found.saved_pico),
        "gain_evidence": round(found.gain, 3),
        "loss_evidence": round(found.loss, 3),
        "mean_ratio": round(found.mean, 6),
        "low_ratio": round(found.interval.low, 6),
        "high_ratio": round(found.interval.high, 6),
    }


def _referee(notes: Mapping[str, int]) -> dict[str, Any]:
    """How often the provider's diagnostics named our cause, and another one."""
    disagreed = {
        note.removeprefix(DISAGREED_NOTE): count
        for note, count in notes.items()
        if note.startswith(DISAGREED_NOTE)
    }
    return {"agreed": notes.get(AGREED_NOTE, 0), "disagreed": disagreed}


def _calibration(found: Calibration) -> dict[str, Any]:
    return {
        "calls": found.calls,
        "foreseen_usd": dump_usd(found.foreseen_pico),
        "billed_usd": dump_usd(found.actual_pico),
        "error_ratio": _rounded(found.error_ratio),
        "abs_error_ratio": _rounded(found.abs_error_ratio),
        "at_length_error_ratio": _rounded(found.at_length_error_ratio),
        "is_drifting": found.is_drifting,
    }


def _rounded(ratio: float | None) -> float | None:
    return None if ratio is None else round(ratio, 6)


def _dump(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
