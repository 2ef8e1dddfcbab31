"""A writer is killed at random points: nothing that was said to be recorded is lost or doubled."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from farthing.core.records import RowFilter
from farthing.ledger import SqliteLedger
from farthing.ledger.changes import charge
from farthing.ledger.checking import check
from farthing.ledger.hands import Writing
from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")

NOW = datetime(2026, 11, 21, 14, tzinfo=UTC)


def live_and_die(
    folder: Path, life: int, seconds: float, writing: Writing = "thread"
) -> tuple[set[str], set[str]]:
    """What a process said it had opened and settled before it was killed."""
    said = folder / f"said-{life}"
    with said.open("wb") as output:
        victim = [sys.executable, "-m", "tests.acceptance.ledger_victim"]
        process = subprocess.Popen(
            [*victim, folder, str(life), str(life), writing],
            stdout=output,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        deadline = time.monotonic() + 30
        while not said.stat().st_size and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(seconds)
        assert process.poll() is None, "it died by itself"
        process.kill()
        process.wait()
    return heard(said)


def heard(said: Path) -> tuple[set[str], set[str]]:
    words = [line.split() for line in said.read_text("ascii").splitlines()[1:]]
    return ({w[1] for w in words if w[0] == "o"}, {w[1] for w in words if w[0] == "s"})


def kill_and_look(folder: Path, *, lives: int, seed: int, writing: Writing) -> None:
    dice = random.Random(seed)
    opened, ended = set[str](), set[str]()
    for life in range(lives):
        more_opened, more_ended = live_and_die(folder, life, dice.uniform(0, 0.25), writing)
        opened |= more_opened
        ended |= more_ended
    assert opened, "killed before anything was done"

    ledger = SqliteLedger(folder / "ledger.db")
    ledger.recover(NOW)
    rows = list(ledger.rows(RowFilter()))
    names = Counter(row.opened.exchange_id for row in rows)
    recovered = {
        row.opened.exchange_id
        for row in rows
        if row.settlement is not None and row.settlement.notes == ("ledger.recovered",)
    }
    spent = sum(charge(row) for row in rows)
    booked = sum(ledger._book.spent_and_held(f"task:{life}")[0] for life in range(lives))
    ledger.close()

    assert opened - names.keys() == set(), "lost"
    assert [name for name, count in names.items() if count > 1] == [], "doubled"
    assert recovered & ended == set(), "an ending that was acknowledged is gone"
    assert [row for row in rows if row.state == "held"] == []
    assert booked == spent
    assert [finding for finding in check(folder / "ledger.db") if finding.level != "ok"] == []


@pytest.mark.parametrize("writing", ["thread", "process"])
def test_a_killed_writer_loses_nothing_and_doubles_nothing(tmp_path, writing):
    kill_and_look(tmp_path, lives=4, seed=1, writing=writing)


@pytest.mark.long
@pytest.mark.parametrize("writing", ["thread", "process"])
def test_a_writer_killed_two_hundred_times_loses_nothing_and_doubles_nothing(tmp_path, writing):
    kill_and_look(tmp_path, lives=200, seed=2, writing=writing)


def test_between_two_lives_the_check_says_what_the_next_start_will_mend(tmp_path):
    live_and_die(tmp_path, 0, 0.1)

    levels = {finding.name: finding.level for finding in check(tmp_path / "ledger.db")}

    assert "fault" not in levels.values()
    assert levels["journal"] == "note"
