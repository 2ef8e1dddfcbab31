from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from farthing.errors import LedgerError
from farthing.ledger import SqliteLedger
from farthing.ledger.checking import check
from farthing.ledger.journal import Journal
from tests.contract.exchanges import COST, NOON, failed, held, opened, settled, unsettled


@pytest.fixture
def path(tmp_path):
    """A ledger with every kind of ending, closed."""
    path = tmp_path / "ledger.db"
    ledger = SqliteLedger(path, gather_seconds=0.001)
    for number, ending in enumerate(
        [
            settled("x0"),
            settled("x1", cost=None, baseline_pico=None),
            settled("x2", cost=COST.__class__(output=7 * 10**18), baseline_pico=None),
            unsettled("x3", low=1, high=2),
            unsettled("x4", low=1, high=None),
            failed("x5"),
        ]
    ):
        ledger.open(held(f"x{number}", amount=100, minutes=50 * number))
        ledger.settle(ending)
    ledger.flush()
    ledger.open(held("x5", amount=100, minutes=250, attempt=2))
    ledger.settle(settled("x5", attempts=2))
    ledger.close()
    return path


def change(path, text):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(text)
        connection.commit()


def levels(path):
    return {finding.name: finding.level for finding in check(path)}


def test_a_sound_ledger_is_sound_in_every_respect(path):
    assert levels(path) == dict.fromkeys(
        ["file", "schema", "sums", "savings", "budgets", "open", "journal"], "ok"
    )


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("UPDATE exchanges SET output_tokens = output_tokens + 1 WHERE exchange_id = 'x0'", "sums"),
        ("UPDATE hourly SET cost_pico = cost_pico + 1", "sums"),
        ("DELETE FROM hourly WHERE hour = '2026-11-21T12'", "sums"),
        ("UPDATE budgets SET spent_pico = spent_pico + 1", "budgets"),
        ("DELETE FROM budgets", "budgets"),
        ("UPDATE hourly_savings SET saved_pico = saved_pico + 1 WHERE lever = ''", "savings"),
        ("DELETE FROM hourly_savings WHERE lever = 'cache.ttl'", "savings"),
        ("UPDATE lever_savings SET saved_pico = saved_pico + 1 WHERE place = 0", "savings"),
        ("UPDATE accountings SET baseline_usd = baseline_usd + 1", "savings"),
        ("UPDATE accountings SET own_cost_pico = own_cost_pico + 1", "savings"),
        ("UPDATE lever_savings SET predicted_pico = 1 WHERE place = 0", "savings"),
        ("UPDATE migrations SET sha256 = ''", "schema"),
    ],
)
def test_what_no_longer_adds_up_is_a_fault(path, text, name):
    change(path, text)

    assert levels(path)[name] == "fault"


def test_a_damaged_file_is_a_fault(path):
    change(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    with closing(sqlite3.connect(path)) as connection:
        text = "SELECT rootpage FROM sqlite_schema WHERE name = 'hourly'"
        ((page,),) = connection.execute(text)
    data = bytearray(path.read_bytes())
    data[4096 * (page - 1) : 4096 * page - 2048] = b"\xff" * 2048
    path.write_bytes(bytes(data))

    assert levels(path)["file"] == "fault"


def test_what_is_open_without_a_process_is_noted_until_the_next_start(path):
    change(path, "UPDATE exchanges SET state = 'held' WHERE exchange_id = 'x3'")

    (finding,) = [finding for finding in check(path) if finding.name == "open"]
    assert (finding.level, finding.text.split()[0]) == ("note", "1")


def test_a_ledger_in_use_may_have_exchanges_in_flight_and_lines_in_its_journal(path):
    ledger = SqliteLedger(path, gather_seconds=0.001)
    ledger.open(opened("y"))
    ledger.flush()

    assert set(levels(path).values()) == {"ok"}
    ledger.close()


def test_a_journal_of_a_dead_process_is_noted(path):
    journal = Journal(path)
    journal.append(b"{}\n")
    journal.close()

    assert levels(path)["journal"] == "note"


@pytest.mark.parametrize(("lines", "level"), [(1, "note"), (2, "fault")])
def test_one_line_cut_short_can_happen_and_two_cannot(path, lines, level):
    journal = Journal(path)
    journal.append(b"{cut\n" * lines)
    journal.close()

    assert levels(path)["journal"] == level


def test_after_old_rows_went_only_whole_hours_since_are_compared(path):
    ledger = SqliteLedger(path, gather_seconds=0.001)
    ledger.delete_before(NOON.replace(hour=13))
    ledger.close()

    found = {finding.name: finding for finding in check(path)}
    assert (found["sums"].level, found["budgets"].level) == ("ok", "note")
    assert "rows from 2026-11-21T13 on" in found["sums"].text


def test_a_schema_not_brought_up_yet_is_noted(path):
    change(path, "DELETE FROM migrations WHERE number = (SELECT max(number) FROM migrations)")

    assert levels(path)["schema"] == "note"


def test_savings_that_are_not_kept_yet_are_noted(path):
    change(path, "DROP TABLE hourly_savings")

    assert levels(path)["savings"] == "note"


def test_where_there_is_no_ledger_the_message_says_how_one_comes_to_be(tmp_path):
    with pytest.raises(LedgerError, match=r"no ledger at.*farthing serve"):
        check(tmp_path / "none.db")
