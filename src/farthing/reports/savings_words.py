"""What ``farthing savings`` says in words, its method among them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from farthing.reports.ledger_words import counted, money

__all__ = [
    "METHOD",
    "calibration_words",
    "error_words",
    "hold_out_words",
    "percent",
    "referee_words",
    "remarks",
    "signed_percent",
]

METHOD: Final = """\
How these figures are made

Baseline. Beside the provider's prompt cache a second one is kept, in memory, of what the client
  sent: its marks, lifetimes, times and content. Each request as the client sent it runs through
  that, and what it would have read and written, at the card of the day, is its baseline. So the
  discount that the client had anyway is in the baseline and is not farthing's saving.
Calibration. The prompt's length is the provider's count. What the answer read less than foreseen,
  the baseline reads less too: a break that struck us would have struck the client. Where no lever
  acted, the baseline is the measured cost, exactly.
Measured. Baseline minus cost, cost by the provider's usage alone. Levers are taken away one by one
  in a fixed order (version {ablation_version}); each gets the difference of two neighbours, so the
  column adds up to baseline minus cost to the last 10^-12 dollar, on every call.
Predicted. What the planner expected of the lever before the call was sent. It stands beside what
  was measured, for comparison, and is never added to it. Levers that speak no price have none.
Own costs. Calls that farthing made itself, such as pings that keep an entry alive. Subtracted.
Left out. Unsettled calls (sent, final usage never seen) and calls without a price are counted
  below and are in no saving. Calls that cost nothing have nothing to compare.
Governor. Per lever and workload, two bets on each call's saving as a share of the dearest its
  prompt could be billed: "it gains" and "it loses". Evidence of 20 is proof at 5 %, whenever one
  looks. A lever shown to lose is off for that workload from the next call on.
Hold-out. A share of tasks (levers.holdout) that no lever touches, chosen by a keyed digest of the
  root task. Compared by task, within its type; the 95 % interval widens with the spread of costs.
  The number of tasks is what it takes to see a saving of 5 % four times in five.
Calibration line. What was foreseen of each prompt before it was sent, against what was billed:
  signed, errors cancel; absolute, they do not. At the measured length only what was read and
  written counts, which is all that a baseline rests on. "Shadow alone" is calls without levers.
Limits. The provider keeps entries at least as long as promised, sometimes longer; a client might
  have behaved otherwise at another price or speed; held-out tasks read entries that treated tasks
  keep warm. Latency is in no figure here.
"""

_FEW: Final = 0.0005


def percent(ratio: float | None) -> str:
    """A share, one decimal below ten percent; its sign if it is a loss."""
    if ratio is None:
        return "–"
    if abs(ratio) < _FEW:
        return "0 %"
    return f"{100 * ratio:.1f} %" if abs(ratio) < 0.0995 else f"{100 * ratio:.0f} %"


def signed_percent(ratio: float | None) -> str:
    """A share with its sign, whichever it is."""
    return f"{'+' if ratio is not None and ratio >= _FEW else ''}{percent(ratio)}"


def hold_out_words(found: dict[str, Any]) -> str:
    """The estimate with its interval, and the number of tasks that it would need."""
    needed, total = found["tasks_needed"], found["held_out"] + found["treated"]
    if needed is None:
        takes = "too few tasks to say how many a saving of 5 % would take"
    else:
        takes = (
            f"seeing 5 % takes some {needed:,} tasks at a share of {percent(found['share'])};"
            f" there are {total:,}"
        )
    if not found["setting"] and not found["held_out"]:
        return f"off (levers.holdout); {takes}"
    sides = f"{found['held_out']:,} tasks held out, {found['treated']:,} not"
    if found["saved_ratio"] is None:
        return f"{sides}: nothing to compare yet; {takes}"
    interval = f"{percent(found['low_ratio'])} to {percent(found['high_ratio'])}"
    shown = "" if found["is_shown"] else ", which chance may explain"
    return f"{sides}: {percent(found['saved_ratio'])} saved ({interval}){shown}; {takes}"


def calibration_words(found: dict[str, Any]) -> str:
    """Foreseen against billed, over all, and the shadow's own."""
    total, shadow = found["total"], found["shadow"]
    if not total["calls"]:
        return "no call with a forecast yet"
    words = f"{counted(total['calls'], 'call')}, input dollars {error_words(total)}"
    if shadow["calls"]:
        words += f"; shadow alone, {counted(shadow['calls'], 'call')}: {error_words(shadow)}"
    if total["is_drifting"]:
        words += "; DRIFTING, see `farthing doctor`"
    return words


def referee_words(found: dict[str, Any]) -> str:
    """How often the provider's diagnostics named the same cause of a miss."""
    wrong = sum(found["disagreed"].values())
    if not found["agreed"] and not wrong:
        return ""
    words = f"{found['agreed'] + wrong:,} causes named by the provider, {wrong:,} other than ours"
    pairs = ", ".join(f"{pair} {count:,}" for pair, count in found["disagreed"].items())
    return f"{words} ({pairs})" if pairs else words


def remarks(document: dict[str, Any]) -> Iterator[str]:
    """What a reader must know not to be misled."""
    totals = document["totals"]
    if totals["unsettled"]:
        low, high = money(totals["unsettled_low_usd"]), money(totals["unsettled_high_usd"])
        yield (
            f"{counted(totals['unsettled'], 'unsettled call')} (between {low} and {high}):"
            " in no saving."
        )
    if totals["unpriced"]:
        yield f"{counted(totals['unpriced'], 'call')} without a price: in no saving."
    if Decimal(totals["uncompared_cost_usd"]):
        yield (
            f"{money(totals['uncompared_cost_usd'])} of the cost has no baseline (batches, threads,"
            " calls before the engine ran): in no saving."
        )
    if document["hold_out"]["mixed"]:
        mixed = counted(document["hold_out"]["mixed"], "task")
        yield f"{mixed} held out in part only (the share was changed): on neither side."
    if Decimal(totals["notional_usd"]):
        yield (
            f"{money(totals['notional_usd'])} of the cost is notional: list prices of calls that a"
            " subscription pays for."
        )
    if document["rows_from"] is not None:
        yield (
            f"Rows before {document['rows_from'][:10]} were deleted: savings are of all, hold-out,"
            " calibration and misses of later ones."
        )


def error_words(found: dict[str, Any]) -> str:
    """``+1.2 % signed, 2.0 % absolute, 0 % at the measured length``."""
    at_length = signed_percent(found["at_length_error_ratio"])
    return (
        f"{signed_percent(found['error_ratio'])} signed, {percent(found['abs_error_ratio'])}"
        f" absolute, {at_length} at the measured length"
    )
