"""The tables of the two fidelity benchmarks: confusions, causes, where dollars go astray."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.cache_fidelity import Scored

__all__ = ["CLASSES", "print_causes", "print_confusion", "print_errors"]

CLASSES = ("full", "partial", "head only", "cold")


def print_confusion(title: str, scored: Sequence[Scored]) -> None:
    """Rows: what it was. Columns: what was predicted."""
    cells = Counter((each.actual_class, each.predicted_class) for each in scored)
    print(f"\n{title} ({len(scored):,} calls): was ↓ predicted →")
    print(f"{'':12}" + "".join(f"{name:>12}" for name in CLASSES) + f"{'recall':>12}")
    for actual in CLASSES:
        counts = [cells[actual, predicted] for predicted in CLASSES]
        recall = f"{cells[actual, actual] / sum(counts):.3f}" if sum(counts) else "–"
        print(f"{actual:12}" + "".join(f"{n:>12,}" for n in counts) + f"{recall:>12}")


def print_causes(scored: Sequence[Scored]) -> None:
    """Calls that recorded calls and documented rules cannot explain, by cause."""
    dollars = sum(each.actual_usd for each in scored)
    breaks = [each for each in scored if each.is_break]
    causes = {
        "break: only the head was read; preamble or history front changed": [
            each for each in breaks if each.actual_class == "head only"
        ],
        "break: nothing was read; entry lost, or tools changed": [
            each for each in breaks if each.actual_class == "cold"
        ],
        "break: something in mid-history changed": [
            each for each in breaks if each.actual_class in {"partial", "full"}
        ],
        "revival: read what no recorded call wrote or kept alive": [
            each for each in scored if each.is_revival
        ],
    }
    print(f"\n{'unexplained calls, by cause':66}{'calls':>6}{'of calls':>10}{'of dollars':>12}")
    for cause, calls in causes.items():
        error = sum(each.error_usd for each in calls)
        shares = f"{len(calls) / len(scored):>10.2%}{error / dollars:>12.2%}"
        print(f"{cause:66}{len(calls):>6}{shares}")


def print_errors(scored: Sequence[Scored]) -> None:
    """Where the dollars of the point prediction go astray, by what the call was and was said."""
    dollars = sum(each.actual_usd for each in scored)
    errors: dict[tuple[str, str], float] = defaultdict(float)
    for each in scored:
        errors[each.actual_class, each.predicted_class] += each.error_usd
    print("\nabsolute dollar error by class (was, predicted), share of all dollars")
    for (actual, predicted), usd in sorted(errors.items(), key=lambda item: -item[1])[:8]:
        print(f"{actual:12}{predicted:12}{usd / dollars:>10.3%}")
