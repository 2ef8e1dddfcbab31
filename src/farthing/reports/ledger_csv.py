"""A report on a ledger as CSV (RFC 4180): a header, then one record per group."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["render_csv"]

_NESTED: Final = frozenset({"per_task", "latency"})


def render_csv(document: dict[str, Any]) -> str:
    """All groups, flat: ``per_task`` and ``latency`` become names with dots in between."""
    groups = [_flat(group) for group in document["groups"]]
    # With the names of the total, the header does not depend on what the first groups lack.
    names = list(dict.fromkeys(n for each in (_flat(document["totals"]), *groups) for n in each))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\r\n", restval="")
    writer.writeheader()
    writer.writerows(groups)
    return text.getvalue()


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{name}.")
        elif name not in _NESTED:
            found[f"{before}{name}"] = value
    return found
