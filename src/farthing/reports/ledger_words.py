"""What a report on a ledger says in words, in the terminal and on the page alike."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from farthing.reports.figures import share, tokens, usd

__all__ = [
    "change_words",
    "counted",
    "measure_words",
    "milliseconds",
    "money",
    "name_of",
    "number",
    "period",
    "quiet_words",
    "remarks",
    "rise_words",
    "saving_words",
    "seconds",
    "value_words",
]

_NAMELESS: Final = {
    "task-type": "(no type)",
    "session": "(no session)",
    "model": "(no model)",
    "key": "(no key)",
}
_MEASURES: Final = {
    "cost_usd": "cost",
    "tokens": "tokens",
    "call_seconds": "seconds in calls",
    "turns": "turns",
    "pass_rate": "pass rate",
}
_KEY_CHARACTERS: Final = 12
_SMALL: Final = Decimal(1)


def money(amount: str | float | None) -> str:
    """Dollars: to the cent from one dollar up, with three significant digits below."""
    if amount is None:
        return "–"
    value = Decimal(str(amount))
    if not value or abs(value) >= _SMALL:
        return usd(str(value))
    sign = "-" if value < 0 else ""
    return f"{sign}${Decimal(f'{float(abs(value)):#.3g}'):f}"


def number(value: float | None) -> str:
    """A count or a mean, as short as it may be."""
    if value is None:
        return "–"
    return tokens(value) if value >= 1000 else f"{value:.3g}"


def seconds(value: float | None) -> str:
    """A time in seconds."""
    return "–" if value is None else f"{value:,.3g} s" if value < 1000 else f"{value:,.0f} s"


def counted(count: int, noun: str) -> str:
    """``1 call``, ``2 calls``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def milliseconds(value: float | None) -> str:
    """Milliseconds, as seconds from one up."""
    if value is None:
        return "–"
    return f"{value / 1000:.3g} s" if value >= 1000 else f"{value:.3g} ms"


def name_of(group: dict[str, Any], by: str) -> str:
    """What a group is called; a key is a digest, and its beginning tells it apart."""
    name: str = group["name"] or _NAMELESS.get(by, "(none)")
    return name[:_KEY_CHARACTERS] if by == "key" else name


def period(document: dict[str, Any]) -> str:
    """The time a report is about."""
    since, until = document["since"], document["until"]
    if since is None and until is None:
        return "all that is on record"
    parts = [f"from {since[:10]}" if since else "", f"until {until[:10]}" if until else ""]
    return " ".join(filter(None, parts)) + " (UTC)"


def measure_words(measure: dict[str, Any]) -> str:
    """``cost per passed task``."""
    words = _MEASURES[measure["measure"]]
    return words if measure["measure"] == "pass_rate" else f"{words} per {measure['per']}"


def value_words(measure: dict[str, Any], value: float | None) -> str:
    """A value in the unit of its measure."""
    if value is None:
        return "–"
    match measure["measure"]:
        case "cost_usd":
            return money(value)
        case "call_seconds":
            return seconds(value)
        case "pass_rate":
            return share(value, 1)
        case _:
            return number(value)


def change_words(measure: dict[str, Any]) -> tuple[str, str]:
    """The change and its interval: ``+40 %`` and ``+21 % to +62 %``."""
    if measure["change_ratio"] is None:
        return "–", "–"
    low, high = _percent(measure["low_ratio"]), _percent(measure["high_ratio"])
    return _percent(measure["change_ratio"]), f"{low} to {high}"


def rise_words(rise: dict[str, Any]) -> str:
    """One regression as a sentence."""
    change, interval = change_words(rise)
    before, after = (value_words(rise, rise[side]) for side in ("a", "b"))
    name = rise["task_type"] or _NAMELESS["task-type"]
    return f"{name}: {measure_words(rise)} rose from {before} to {after}, {change} ({interval})"


def quiet_words(document: dict[str, Any]) -> str:
    """That types were asked about, and none rose."""
    asked = len(document["regressions"])
    types = counted(asked, "type")
    return f"No rise beyond chance in the cost of {types} of task, later half against earlier."


def saving_words(amount: str) -> str:
    """The saving against the baseline; a loss is called one."""
    value = Decimal(amount)
    if not value:
        return "just what the same requests cost as they were sent"
    words = "MORE" if value < 0 else "less"
    return f"{money(str(abs(value)))} {words} than the same requests as they were sent"


def remarks(document: dict[str, Any]) -> Iterator[str]:
    """What a reader must know not to be misled."""
    totals = document["totals"]
    if document["unpriced_models"]:
        named = ", ".join(
            f"{m or '(no model)'} ({n})" for m, n in document["unpriced_models"].items()
        )
        yield (
            f"Without a price, and in no sum of dollars: {named}."
            " `farthing price --help` says how to give one."
        )
    if totals["unsettled"]:
        low, high = money(totals["unsettled_low_usd"]), money(totals["unsettled_high_usd"])
        yield (
            f"{counted(totals['unsettled'], 'unsettled call')} (sent, final usage never seen):"
            f" between {low} and {high} on top of what is summed here."
        )
    if document["in_flight"]:
        yield f"{counted(document['in_flight'], 'call')} still under way: not counted."
    per = totals["per_task"]
    if per["unjudged"] and per["tasks"] > per["unjudged"]:
        yield (
            f"Not judged, and in no figure per passed task: {per['unjudged']:,} of"
            f" {per['tasks']:,} tasks."
        )
    if document["rows_from"] is not None:
        yield (
            f"Rows before {document['rows_from'][:10]} were deleted: tasks and latencies are of"
            " later ones, sums per type, model and day of all."
        )
    if Decimal(document["notional_usd"]):
        yield (
            f"{money(document['notional_usd'])} of it is notional: list prices of calls that a"
            " subscription pays for."
        )


def _percent(ratio: float) -> str:
    change = 100 * (ratio - 1)
    if abs(change) >= 1000:
        return f"×{ratio:,.3g}"
    return f"{change:+.0f} %" if abs(change) >= 9.95 else f"{change:+.1f} %"
