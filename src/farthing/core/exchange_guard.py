"""Fail open: a mistake of ours in a side computation costs its result, never the client's call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["guarded"]

_Result = TypeVar("_Result")


def guarded(
    compute: Callable[[], _Result], otherwise: _Result, *, code: str, notes: list[str]
) -> _Result:
    """The result, or ``otherwise`` and a note that says which computation failed."""
    try:
        return compute()
    except Exception:  # noqa: BLE001  protects the call: plan, attribution and pricing are ours
        notes.append(f"fail_open.{code}")
        return otherwise
