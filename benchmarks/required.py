"""The recorded data that a benchmark measures on: where it lies, and what is said if it does not.

A benchmark without its data has not run. It says so in one line and exits with 2; it neither fails
like a bug nor passes like a measurement.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

__all__ = ["DATA", "require_data"]

_ROOT: Final = Path(__file__).resolve().parent.parent

#: beside the repository, wherever the benchmark is started from
DATA: Final = _ROOT.parent / "shared" / "data"


def require_data(path: Path) -> Path:
    """``path`` if it is there; else say what is missing and how to supply it, and exit with 2."""
    if path.exists():
        return path
    program = Path(sys.argv[0]).name
    print(
        f"{program}: not run, {str(path)!r} is missing: put the recorded data at ../shared/data "
        "beside the repository, or pass --data DIR",
        file=sys.stderr,
    )
    raise SystemExit(2)
