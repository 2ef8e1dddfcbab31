"""What public articles claim caching saves, recomputed: formula, simulation, and over the wire.

    python benchmarks/claims.py [--json] [--row ROW] [--markdown]

Each line is one claim on one model: what its input would cost uncached, what a formula says it
costs with caching, what the core's model of the prompt cache says, and what the gateway's ledger
says after the real SDK has sent every request through it to the emulator on a virtual clock. The
three must agree to the token. Seconds to the first token are modelled by the emulator from
uncached and cached tokens; they are an order of magnitude. docs/claims.md explains the rows.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from math import exp
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a program, from anywhere

from benchmarks.claims_cases import CASES, Case
from benchmarks.claims_ways import Measured, Wire, minimum_of, naive, open_wire, simulated
from farthing.core.prefix import LIFETIMES
from farthing.pricing import dump_usd, parse_usd, require_card, show_usd
from farthing.wire.usage import Usage

__all__ = ["DAY", "Line", "lines", "main", "markdown"]

#: whose prices apply
DAY: Final = date(2026, 11, 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One case on one model, every way there is."""

    case: Case
    model: str
    closed: Usage
    naive: Measured
    simulated: Measured
    #: None: not sent
    measured: Measured | None = None

    @property
    def agrees(self) -> bool:
        """Formula, simulation and ledger, to the token."""
        ways = [self.simulated] + ([self.measured] if self.measured else [])
        return all(way.usage == self.closed for way in ways)

    def cost_of(self, usage: Usage) -> int:
        """10⁻¹² USD on the prices of ``DAY``: sums of calls, each priced by its own size."""
        card = require_card(self.model, on=DAY)
        (rates,) = {card.rates_for(sum(shot.sizes)) for shot in self.case.shots}
        return sum(getattr(usage, name) * rate for name, rate in rates.items)

    @property
    def expected_share(self) -> float | None:
        """The mean over all random schedules of this rate: 1 - exp(-rate · lifetime) are hits."""
        if self.case.per_hour is None:
            return None
        ttl = self.case.shots[0].ttl
        hits = 1 - exp(-self.case.per_hour * (LIFETIMES[ttl] / timedelta(hours=1)))
        one = Usage(cache_write_5m=1) if ttl == "5m" else Usage(cache_write_1h=1)
        write, read, full = map(self.cost_of, (one, Usage(cache_read=1), Usage(uncached=1)))
        return (write * (1 - hits) + read * hits) / full

    def figures(self) -> dict[str, Any]:
        """What a machine reads."""
        times = self.case.times
        usages = {
            "naive_usd": self.naive.usage,
            "closed_usd": self.closed,
            "simulated_usd": self.simulated.usage,
            "measured_usd": self.measured.usage if self.measured else None,
            "without_minimum_usd": self.case.closed(0),
        }
        dollars = {
            name: None if usage is None else dump_usd(self.cost_of(usage) * times)
            for name, usage in usages.items()
        }
        own, full = self.cost_of(self.closed), self.cost_of(self.naive.usage)
        waits = self.measured or self.simulated
        return {
            "row": self.case.row,
            "claim": self.case.words,
            "as_stated": self.case.stated,
            "model": self.model,
            "is_todays_model": self.model != self.case.model,
            "calls": (len(self.case.shots) - self.case.billed_from) * times,
            **dollars,
            "share_of_naive": own / full,
            "expected_share": self.expected_share,
            "agrees_to_the_token": self.agrees,
            "first_token_seconds_naive": self.naive.mean_first_token_seconds,
            "first_token_seconds": waits.mean_first_token_seconds,
            "verdict": self.case.verdict,
        }


def lines(cases: Iterable[Case], wire: Wire | None = None) -> Iterator[Line]:
    """Each case on the model the article names, then on today's."""
    for case in cases:
        for model in (case.model, *case.today):
            yield Line(
                case=case,
                model=model,
                closed=case.closed(minimum_of(model)),
                naive=naive(case),
                simulated=simulated(case, model),
                measured=wire.measure(case, model) if wire else None,
            )


def markdown(found: Iterable[Line]) -> str:
    """The table of docs/claims.md: formula and simulation, nothing sent."""
    rows = [
        "| row | claim | as stated | model | uncached | cached | saved | 1st token, s | verdict |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for line in found:
        figures = line.figures()
        words = ("", "today", "") if figures["is_todays_model"] else (
            figures["claim"], figures["as_stated"], figures["verdict"])  # fmt: skip
        uncached, cached = (_show(figures[name]) for name in ("naive_usd", "closed_usd"))
        cells = [
            figures["row"], words[0], words[1], figures["model"].removeprefix("claude-"),
            uncached, cached, f"{1 - figures['share_of_naive']:.2%}", _waits(figures), words[2],
        ]  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    """Parse arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("--json", action="store_true", help="figures as the last line")
    parser.add_argument("--data", type=Path, help="not needed here: the requests are made")
    parser.add_argument("--markdown", action="store_true", help="the table of docs/claims.md")
    parser.add_argument("--row", action="append", metavar="ROW", help="only this row; repeatable")
    arguments = parser.parse_args()
    cases = [case for case in CASES if arguments.row is None or case.row in arguments.row]
    if arguments.markdown:
        print(markdown(lines(cases)))
        return
    with tempfile.TemporaryDirectory() as folder, open_wire(Path(folder)) as wire:
        found = [line.figures() for line in lines(cases, wire)]
        calls = wire.calls
    _print_table(found)
    print(f"\n{calls:,} requests sent through SDK, gateway and emulator; prices of {DAY}.")
    print("Seconds to the first token are the emulator's model of latency, not a measurement.")
    disagreeing = [figures["row"] for figures in found if not figures["agrees_to_the_token"]]
    print(f"disagreeing to the token: {', '.join(disagreeing) or 'none'}")
    if arguments.json:
        print(json.dumps({"rows": found, "calls": calls, "all_agree": not disagreeing}))
    if disagreeing:
        raise SystemExit(1)


def _print_table(found: Iterable[dict[str, Any]]) -> None:
    print(
        f"{'row':15}{'model':19}{'as stated':>22}{'uncached':>11}{'formula':>11}{'simulated':>11}"
        f"{'via SDK':>11}{'saved':>9}{'1st token, s':>15}"
    )
    before = None
    for figures in found:
        if figures["row"] != before:
            print(f"\n{figures['claim']}: {figures['verdict']}")
        before = figures["row"]
        stated = "today" if figures["is_todays_model"] else figures["as_stated"]
        dollars = "".join(
            f"{_show(figures[name]):>11}"
            for name in ("naive_usd", "closed_usd", "simulated_usd", "measured_usd")
        )
        print(
            f"{figures['row']:15}{figures['model']:19}{stated:>22}{dollars}"
            f"{1 - figures['share_of_naive']:>9.2%}{_waits(figures):>15}"
        )


def _waits(figures: dict[str, Any]) -> str:
    return f"{figures['first_token_seconds_naive']:.2f} → {figures['first_token_seconds']:.2f}"


def _show(amount: str | None) -> str:
    if amount is None:
        return "–"
    return show_usd(parse_usd(amount), 4)


class _Raw(argparse.RawDescriptionHelpFormatter):
    """Keeps the command line in the docstring on its own line."""


if __name__ == "__main__":
    main()
