"""Where the ledger is when no setting says."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["default_ledger"]


def default_ledger() -> Path:
    """``ledger.db`` in the user's folder for state."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "farthing" / "ledger.db"
