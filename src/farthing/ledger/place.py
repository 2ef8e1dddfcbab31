"""Where ledgers are: the usual one when no setting says, and those of further processes beside it.

One process writes one file. Who finds ``ledger.db`` taken, and may, takes ``ledger.2.db``, then
``ledger.3.db`` and so on, the first that is free; a file is used again by the next that needs one.
Earlier versions of ``farthing run`` wrote ``ledger-2.db``: nobody writes it now, and it is found.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

__all__ = ["MOST_LEDGERS", "default_ledger", "first_ledger", "ledger_files", "ledger_places"]

#: processes of one installation at once; beyond that something is amiss
MOST_LEDGERS: Final = 64

_NUMBERED: Final = re.compile(r"(.+)\.\d+")


def default_ledger() -> Path:
    """``ledger.db`` in the user's folder for state."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "farthing" / "ledger.db"


def ledger_places(path: Path) -> list[Path]:
    """The files that processes take who may move, in the order in which they try them."""
    return [path, *(path.with_stem(f"{path.stem}.{number}") for number in _numbers())]


def ledger_files(path: Path) -> list[Path]:
    """The files there are of a ledger and of the processes that had to take another."""
    earlier = (path.with_stem(f"{path.stem}-{number}") for number in _numbers())
    return [place for place in (*ledger_places(path), *earlier) if place.is_file()]


def first_ledger(path: Path) -> Path:
    """The ledger that a numbered file is beside; any other file is the first itself."""
    found = _NUMBERED.fullmatch(path.stem)
    return path if found is None else path.with_stem(found[1])


def _numbers() -> range:
    return range(2, MOST_LEDGERS + 1)
