"""A comparison as CSV (RFC 4180): a header, then one record per measure."""

from __future__ import annotations

import csv
import io
from typing import Any, Final

__all__ = ["render_comparison_csv"]

_NAMES: Final = (
    *("measure", "per", "a", "b", "change_ratio", "low_ratio", "high_ratio"),
    *("verdict", "confidence", "a_name", "b_name", "a_tasks", "b_tasks"),
)


def render_comparison_csv(document: dict[str, Any]) -> str:
    """All measures; what both sides are is repeated on each line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _NAMES, lineterminator="\r\n")
    writer.writeheader()
    for measure in document["measures"]:
        writer.writerow(
            measure
            | {"confidence": document["confidence"]}
            | {
                f"{side}_{name}": document[side][name]
                for side in "ab"
                for name in ("name", "tasks")
            }
        )
    return text.getvalue()
