"""The ledgers of processes that run at once: how they are called, and that all are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from farthing.ledger.place import MOST_LEDGERS, first_ledger, ledger_files, ledger_places


def test_the_next_ledger_has_the_next_number():
    places = ledger_places(Path("state/ledger.db"))

    assert places[:3] == [Path(f"state/ledger{n}.db") for n in ("", ".2", ".3")]
    assert len(places) == MOST_LEDGERS


def test_files_by_the_earlier_rule_are_found_and_never_taken(tmp_path):
    names = ["ledger.db", "ledger.3.db", "ledger-2.db", "ledger.2.db"]
    for name in (*names, "ledger.x.db", "ledger.2.db.key", "other.db"):
        (tmp_path / name).touch()
    usual = tmp_path / "ledger.db"

    found = [path.name for path in ledger_files(usual)]

    assert found == ["ledger.db", "ledger.2.db", "ledger.3.db", "ledger-2.db"]
    assert tmp_path / "ledger-2.db" not in ledger_places(usual)


def test_a_ledger_that_is_not_there_has_no_files(tmp_path):
    assert ledger_files(tmp_path / "ledger.db") == []


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("ledger.db", "ledger.db"),
        ("ledger.2.db", "ledger.db"),
        ("ledger.64", "ledger.64"),
        ("ledger-2.db", "ledger-2.db"),
    ],
)
def test_the_first_of_a_numbered_ledger(name, first):
    assert first_ledger(Path("state") / name) == Path("state") / first
