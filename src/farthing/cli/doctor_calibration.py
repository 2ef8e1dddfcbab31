"""Does the model of the prompt cache still say what the provider bills?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from farthing.cli.doctor_findings import Finding
from farthing.cli.savings_document import calibrated
from farthing.core.calibration import DRIFT, LEAST_CALLS
from farthing.errors import FarthingError
from farthing.ledger.reporting import Window
from farthing.ledger.saving_figures import open_saving_figures
from farthing.pricing import Catalog
from farthing.reports.savings_words import error_words, percent

__all__ = ["check_calibration"]

_RECENT: Final = timedelta(days=7)


def check_calibration(ledger: Path, prices: Catalog, now: datetime) -> Finding:
    """Foreseen against billed input of the last days; a drift is a warning, savings rest on it."""
    if not ledger.is_file():
        return Finding(name="calibration", level="ok", says="no calls yet")
    try:
        with open_saving_figures(ledger) as figures:
            window = Window(since=now.astimezone(UTC) - _RECENT)
            found = calibrated(figures.foreseen(window), prices)["total"]
    except FarthingError as error:
        do = "mend the ledger first: `farthing ledger check`"
        return Finding(name="calibration", level="warn", says=f"not checked: {error}", do=do)
    if found["calls"] < LEAST_CALLS:
        says = f"{found['calls']} forecasts in the last 7 days; {LEAST_CALLS} are needed to judge"
        return Finding(name="calibration", level="ok", says=says)
    says = f"input foreseen: {error_words(found)}, of {found['calls']:,} calls"
    if not found["is_drifting"]:
        return Finding(name="calibration", level="ok", says=says)
    return Finding(
        name="calibration",
        level="warn",
        says=f"{says}: more than {percent(DRIFT)} off, so baselines may be off as well",
        do="see `farthing savings --json` (calibration.days) for the model; a newer farthing, or "
        "`farthing doctor prompts`",
    )
