"""The guard in figures: do budgets hold, are loops told from work, and what does looking cost?

    python benchmarks/guard.py [--data DIR] [--quick] [--seed 29] [--json]

Runs ``benchmarks/guard_budgets.py`` and ``benchmarks/guard_loops.py`` and joins what they found:

- ``overshoot``: the most by which true cost passed a budget, as a share of it, over all runs of
  both modes; ``utilisation``: the least share of a budget that got booked before it was full, over
  the runs in ``ample``; ``phantom_refusals``: refusals of what would have fitted
- ``loop_precision``, ``loop_recall``: over seeded insertions and all recorded conversations;
  ``false_stops_real``: recorded conversations at work that would have been stopped
- ``detect_us``: what looking for a loop adds to a next turn, in microseconds of processor time:
  the *mean* over all next turns of all recorded conversations, long results included; median and
  95th percentile stand beside it

``--quick``: fewer runs and insertions; the recorded conversations are always all of them.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a program, from anywhere

from benchmarks import guard_budgets, guard_loops
from benchmarks.required import DATA, require_data

__all__ = ["HEADLINES", "Size", "main", "measure"]

#: what a reader, or a program, looks at first
HEADLINES: Final = (
    "overshoot",
    "utilisation",
    "phantom_refusals",
    "loop_precision",
    "loop_recall",
    "false_stops_real",
    "detect_us",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is run."""

    #: seeded runs in ``ample``, and calls of a long one
    runs: int = 200
    calls: int = 10_000
    #: insertions of each class
    each: int = 60


QUICK: Final = Size(runs=10, calls=2_000, each=12)


def measure(data: Path, size: Size, *, seed: int) -> dict[str, Any]:
    """The headlines, and all that both benchmarks found."""
    budgets = guard_budgets.measure(runs=size.runs, calls=size.calls, seed=seed)
    loops = guard_loops.bench(data, each=size.each, seed=seed)
    found = {**budgets, **loops}
    return {
        **{name: found[name] for name in HEADLINES},
        "detect_us_median": loops["detect_us_median"],
        "detect_us_p95": loops["detect_us_p95"],
        "false_stops_interval_95": loops["false_stops_interval_95"],
        "overshoot_strict": budgets["overshoot_strict"],
        "overshoot_ample": budgets["overshoot_ample"],
        "budgets": budgets,
        "loops": loops,
    }


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--quick", action="store_true", help="fewer runs and insertions")
    parser.add_argument("--seed", type=int, default=29)
    parser.add_argument("--json", action="store_true", help="one object on the last line")
    args = parser.parse_args()
    require_data(args.data / "traces")
    figures = measure(args.data, QUICK if args.quick else Size(), seed=args.seed)
    _print(figures)
    if args.json:
        print(json.dumps(figures))
    return 0


def _print(figures: dict[str, Any]) -> None:
    print("budgets")
    for name, value in figures["budgets"].items():
        print(f"  {name:<22} {value}")
    print("\nloops")
    guard_loops.show(figures["loops"])
    print("\nguard")
    for name, value in figures.items():
        if name not in {"budgets", "loops"}:
            print(f"  {name:<24} {value}")


if __name__ == "__main__":
    raise SystemExit(main())
