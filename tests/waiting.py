"""Waiting for facts: what a gateway does behind an answer's last byte, and beside its calls.

A client has its answer before the gateway has booked all of it (streams and results of batches are
booked at their end), and journals, alerts and figures are written by jobs of their own. A test that
wants to see such a thing waits until it is there. The limit is for what never comes; it says
nothing about speed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

__all__ = ["PATIENCE", "eventually"]

_T = TypeVar("_T")

#: below the limit of a test, so that the test says what it waited for
PATIENCE: Final = 60.0
_PAUSE_SECONDS: Final = 0.01


def eventually(found: Callable[[], _T], seconds: float = PATIENCE) -> _T:
    """The first true thing that is found."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, f"after {seconds} s there is still {value!r}"
        time.sleep(_PAUSE_SECONDS)
    return value
