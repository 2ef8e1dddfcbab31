"""``farthing doctor`` on how well input was foreseen."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from farthing.cli.doctor_calibration import check_calibration
from farthing.core.calibration import LEAST_CALLS
from farthing.core.records import Accounting
from farthing.ledger import SqliteLedger
from farthing.pricing import catalog, price
from farthing.wire.usage import Usage
from tests.contract.exchanges import NOON, opened, settled

CARD = catalog().require("claude-opus-5-5", on=NOON.date())
BILLED = Usage(uncached=100, cache_read=9_900, output=50)
UNREAD = Usage(uncached=100, cache_write_5m=9_900)
SHORT = Usage(uncached=50, cache_read=4_950)


def ledger(folder: Path, foreseen: Usage, *, calls: int, card: str = CARD.id) -> Path:
    path = folder / "ledger.db"
    made = SqliteLedger(path, gather_seconds=0.001)
    cost = price(BILLED, CARD)
    for number in range(calls):
        made.open(opened(f"x{number}", minutes=number))
        accounting = Accounting(baseline_pico=cost.total, foreseen=foreseen)
        ending = settled(f"x{number}", usage=BILLED, cost=cost, rate_card_id=card)
        made.settle(replace(ending, accounting=accounting))
    made.close()
    return path


@pytest.mark.parametrize(
    ("foreseen", "calls", "level"),
    [
        (BILLED, LEAST_CALLS, "ok"),
        (UNREAD, LEAST_CALLS, "warn"),
        (UNREAD, LEAST_CALLS - 1, "ok"),
        (SHORT, LEAST_CALLS, "ok"),
    ],
    ids=["right", "wrong", "wrong on too few calls", "wrong in length alone"],
)
def test_a_drift_of_reads_and_writes_is_a_warning(tmp_path, foreseen, calls, level):
    found = check_calibration(ledger(tmp_path, foreseen, calls=calls), catalog(), NOON)

    assert (found.name, found.level) == ("calibration", level)
    assert bool(found.do) is (level == "warn")


def test_only_the_last_days_count_and_what_has_no_card_is_left_out(tmp_path):
    (tmp_path / "other").mkdir()
    path = ledger(tmp_path, UNREAD, calls=LEAST_CALLS)
    unknown = ledger(tmp_path / "other", UNREAD, calls=LEAST_CALLS, card="gone@2020-01-01")

    late = check_calibration(path, catalog(), NOON + timedelta(days=10))
    assert late.says.startswith("0 forecasts")
    assert check_calibration(unknown, catalog(), NOON).says.startswith("0 forecasts")


def test_without_a_ledger_there_is_nothing_to_say(tmp_path):
    assert check_calibration(tmp_path / "none.db", catalog(), NOON).level == "ok"


def test_a_ledger_that_cannot_be_asked_is_a_warning(tmp_path):
    path = ledger(tmp_path, BILLED, calls=1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE accountings")

    found = check_calibration(path, catalog(), NOON)
    assert found.level == "warn"
    assert "farthing serve" in found.says
