from __future__ import annotations

import logging
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest

from farthing.core.records import Outcome, RowFilter
from farthing.errors import EngineBug, LedgerError
from farthing.ledger import SqliteLedger
from farthing.ledger.careful import rejected_path
from farthing.ledger.checking import check
from farthing.ledger.hands import OwnHand
from farthing.ledger.journal import segments
from farthing.ledger.keys import SqliteKeys
from tests.contract.exchanges import (
    COST,
    NOON,
    SCOPE,
    held,
    opened,
    settled,
    unsettled,
)

NEVER = 3600.0


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "ledger.db"


@pytest.fixture
def start(path):
    """Starts ledgers on one path, closes what is left of them."""
    made = list[SqliteLedger]()

    def begin(**given):
        ledger = SqliteLedger(path, **({"gather_seconds": 0.001} | given))
        if isinstance(ledger._hand, OwnHand):
            ledger._hand.connection.execute("PRAGMA busy_timeout = 5")
        made.append(ledger)
        return ledger

    yield begin
    for ledger in made:
        ledger.close()


@contextmanager
def as_killed(path):
    """A ledger on what a kill at this moment would leave on the disk."""
    copy = path.parent.with_name("copy")
    shutil.copytree(path.parent, copy)
    ledger = SqliteLedger(copy / path.name, gather_seconds=0.001)
    yield ledger
    ledger.close()
    shutil.rmtree(copy)


def states(ledger):
    return {row.opened.exchange_id: row.state for row in ledger.rows(RowFilter())}


@contextmanager
def files_no_larger_than(size):
    resource = pytest.importorskip("resource", reason="limits on file size need POSIX")
    signal = pytest.importorskip("signal")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)


@contextmanager
def locked(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


# --- what a kill leaves ---------------------------------------------------------------------------


def test_what_was_opened_and_settled_survives_a_kill_before_any_commit(start, path):
    ledger = start(gather_seconds=NEVER)
    ledger.open(opened("a"))
    ledger.open(opened("b", minutes=1))
    ledger.settle(settled("a"))
    ledger.outcome("t1", Outcome(outcome="passed"))

    with as_killed(path) as next_one:
        assert states(next_one) == {"a": "settled", "b": "held"}
        assert next_one.recover(NOON).read_back == 4
        assert next_one.row("a").outcome == "passed"


def test_what_was_committed_but_is_still_in_the_journal_is_not_doubled(start, path):
    ledger = start()
    ledger.open(held("a", amount=100))
    ledger.settle(settled("a"))
    ledger.flush()
    assert segments(path)

    with as_killed(path) as next_one:
        assert states(next_one) == {"a": "settled"}
        assert next_one._book.spent_and_held(SCOPE) == (COST.total, 0)


def test_an_attempt_that_was_replaced_stays_replaced_when_the_journal_is_read_back(start, path):
    ledger = start()
    ledger.open(opened())
    ledger.settle(settled(http_status=529))
    ledger.open(opened(attempt=2))
    ledger.flush()

    with as_killed(path) as next_one:
        assert states(next_one) == {"x1": "held"}
        assert next_one.row("x1").opened.attempt == 2


def test_closing_empties_the_journal(path):
    ledger = SqliteLedger(path)
    ledger.open(opened())
    ledger.close()

    assert segments(path) == []


def test_a_line_that_cannot_be_read_is_reported_and_the_rest_counts(start, path, caplog):
    ledger = start(gather_seconds=NEVER)
    ledger.open(opened("a"))
    with segments(path)[0].open("ab") as file:
        file.write(b'{"opened": {"exchange_id"\n\xff\n')
    ledger.open(opened("b"))

    with caplog.at_level(logging.WARNING), as_killed(path) as next_one:
        assert set(states(next_one)) == {"a", "b"}
    assert "2 lines of the journal" in caplog.text


def test_segments_go_once_all_that_is_in_them_is_committed(start, path):
    ledger = start(segment_bytes=2_000)
    for number in range(50):
        ledger.open(opened(f"x{number}"))
        ledger.settle(settled(f"x{number}"))
        ledger.flush()

    assert len(segments(path)) <= 2
    assert sum(segment.stat().st_size for segment in segments(path)) < 10_000


# --- faults ---------------------------------------------------------------------------------------


def test_while_the_database_is_locked_calls_go_on_and_nothing_is_lost(start, path):
    ledger = start()
    with locked(path):
        ledger.open(opened())
        with pytest.raises(LedgerError, match="another program holds the database"):
            ledger.flush(0.3)
        ledger.settle(settled())
        assert "another program" in str(ledger.fault)
        assert ledger.row("x1").state == "settled"
        with as_killed(path) as next_one:  # SQLite's locks are not on the disk
            assert states(next_one) == {"x1": "settled"}

    ledger.flush()
    assert (ledger.fault, ledger.waiting) == (None, 0)
    assert states(ledger) == {"x1": "settled"}


def test_a_full_disk_keeps_rows_in_the_journal_and_says_so(start, path):
    ledger = start()
    pages = ledger._hand.connection.execute("PRAGMA page_count").fetchone()[0]
    ledger._hand.connection.execute(f"PRAGMA max_page_count = {pages}")
    for number in range(100):
        ledger.open(opened(f"x{number}"))
    with pytest.raises(LedgerError, match="free space"):
        ledger.flush(0.3)

    with as_killed(path) as next_one:
        assert len(states(next_one)) == 100
    ledger._hand.connection.execute("PRAGMA max_page_count = 1000000")
    ledger.flush()
    assert len(states(ledger)) == 100


def test_a_database_that_became_read_only_is_reported_and_written_later(start):
    ledger = start()
    ledger._hand.connection.execute("PRAGMA query_only = ON")
    ledger.open(opened())
    with pytest.raises(LedgerError, match="write permission"):
        ledger.flush(0.2)

    ledger._hand.connection.execute("PRAGMA query_only = OFF")
    ledger.flush()
    assert ledger.fault is None


def test_closing_with_a_database_that_cannot_be_written_keeps_the_journal(path):
    ledger = SqliteLedger(path, gather_seconds=0.001)
    assert isinstance(ledger._hand, OwnHand)
    ledger._hand.connection.execute("PRAGMA query_only = ON")
    ledger.open(opened())

    with pytest.raises(LedgerError, match="written at the next start"):
        ledger.close()

    again = SqliteLedger(path)
    assert states(again) == {"x1": "held"}
    again.close()


def test_an_intent_the_journal_does_not_take_is_refused_but_not_forgotten(start, path):
    ledger = start(gather_seconds=NEVER)
    with files_no_larger_than(10), pytest.raises(LedgerError, match=r"(?i)file too large"):
        ledger.open(opened())

    assert ledger.row("x1").state == "held"
    ledger.settle(settled())
    with as_killed(path) as next_one:
        assert next_one.row("x1").settlement == settled()


def test_a_change_that_cannot_be_applied_is_set_aside_and_the_others_go_on(start, path, caplog):
    ledger = start(gather_seconds=NEVER)
    for name, size in (("a", 1), ("b", 2**63), ("c", 1)):  # SQLite's integers end before
        ledger.open(opened(name, request_bytes=size))
    ledger.flush()

    assert set(states(ledger)) == {"a", "c"}
    assert b'"exchange_id":"b"' in rejected_path(path).read_bytes()
    assert "exchange b cannot be applied" in caplog.text
    ledger.close()
    assert [f.level for f in check(path) if f.name == "journal"] == ["fault"]


def test_a_change_to_a_row_that_cannot_be_read_does_not_stop_the_others(start, path):
    ledger = start()
    ledger.open(opened("a"))
    ledger.settle(unsettled("a", low=0, high=1))
    ledger.flush()
    with closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE exchanges SET notes = 'no JSON'")
        other.commit()

    ledger.settle(settled("a"))
    ledger.open(opened("b", minutes=1))
    ledger.flush()

    assert ledger.row("b").state == "held"
    assert rejected_path(path).is_file()


def test_a_mistake_of_ours_elsewhere_does_not_kill_the_writer(start, monkeypatch):
    ledger = start()
    monkeypatch.setattr(ledger._writer, "_apply", lambda changes: 1 // 0)
    ledger.open(opened())
    with pytest.raises(EngineBug, match="ZeroDivisionError; please report"):
        ledger.flush(0.2)

    monkeypatch.undo()
    ledger.flush()


def test_a_second_process_is_refused_and_readers_are_not(start, path):
    ledger = start()
    ledger.open(opened())

    with pytest.raises(LedgerError, match="in use by process"):
        SqliteLedger(path)
    assert states(ledger) == {"x1": "held"}


def test_a_newer_database_is_refused_and_the_lock_is_let_go(path):
    SqliteLedger(path).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("INSERT INTO migrations VALUES (99, 'future', '')")
        other.commit()

    for _ in range(2):
        with pytest.raises(LedgerError, match="schema 99"):
            SqliteLedger(path)


def test_a_file_that_is_no_database_is_refused_and_not_touched(path):
    path.parent.mkdir()
    path.write_bytes(b"my notes, " * 1_000)

    with pytest.raises(LedgerError, match="no ledger"):
        SqliteLedger(path)
    assert path.read_bytes() == b"my notes, " * 1_000


def test_a_row_that_another_program_broke_is_named(start, path):
    ledger = start()
    for name in ("x1", "x2", "x3"):  # what ended a moment ago is answered from memory
        ledger.open(opened(name))
        ledger.settle(settled(name))
        ledger.flush()
    with closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE exchanges SET cost_pico = cost_pico + 1")
        other.commit()

    with pytest.raises(LedgerError, match=r"row 'x1'.*not the sum of its parts"):
        ledger.row("x1")


COMES_AND_GOES = """
import pathlib, sys
from farthing.ledger.keys import SqliteKeys
keys = SqliteKeys(pathlib.Path(sys.argv[1]))
keys.listed()
keys.close()
"""


@pytest.mark.parametrize("writing", ["thread", "process"])
def test_a_program_that_comes_and_goes_does_not_take_the_log_along(start, path, writing):
    ledger = start(writing=writing)
    ledger.open(opened())
    ledger.flush()
    with closing(SqliteKeys(path)):  # as a gateway has, beside its ledger
        subprocess.run([sys.executable, "-c", COMES_AND_GOES, path], check=True)
        ledger.settle(settled())
        ledger.flush()

        with closing(sqlite3.connect(path)) as reader:
            assert reader.execute("SELECT state FROM exchanges").fetchall() == [("settled",)]
    assert path.with_name("ledger.db-wal").exists()


# --- what rests -----------------------------------------------------------------------------------


def test_only_its_owner_may_read_it(start, path):
    start()

    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_the_read_model_equals_the_rows_after_any_ending(start, path):
    ledger = start()
    ledger.open(opened("a"))
    ledger.settle(settled("a"))
    ledger.open(opened("b"))
    ledger.settle(settled("b", baseline_pico=None))
    ledger.flush()

    with closing(sqlite3.connect(path)) as reader:
        reader.row_factory = sqlite3.Row
        (line,) = reader.execute("SELECT * FROM hourly").fetchall()
    assert (line["hour"], line["task_type"]) == ("2026-11-21T12", "review")
    assert (line["settled"], line["output_tokens"]) == (2, 100)
    assert (line["cost_pico"], line["compared_pico"], line["baseline_pico"]) == (42, 21, 30)


@pytest.mark.parametrize("count", [1, 9, 10, 11, 99, 100, 101, 237])
def test_exchanges_of_one_commit_become_one_row_each(start, count):
    ledger = start(gather_seconds=NEVER)
    for number in range(count):
        ledger.open(opened(f"{number:03}"))
        ledger.settle(settled(f"{number:03}"))

    rows = list(ledger.rows())
    assert [row.opened.exchange_id for row in rows] == [f"{number:03}" for number in range(count)]
    assert all(row.settlement == settled(row.opened.exchange_id) for row in rows)


def test_sums_go_beyond_sixty_four_bits(start, path):
    ledger = start()
    dear = COST.__class__(output=6 * 10**18)
    for number in range(3):
        ledger.open(held(f"x{number}", amount=10**19))
        ledger.settle(settled(f"x{number}", cost=dear, baseline_pico=10**19))
    ledger.flush()

    with closing(sqlite3.connect(path)) as reader:
        (usd, pico) = reader.execute("SELECT cost_usd, cost_pico FROM hourly").fetchone()
    assert usd * 10**12 + pico == 18 * 10**18
    ledger.close()
    again = start()
    assert again._book.spent_and_held(SCOPE) == (18 * 10**18, 0)


def test_old_rows_go_and_their_sums_stay(start, path):
    ledger = start()
    for name, minutes in (("old", -120), ("late", -1), ("new", 0)):
        ledger.open(opened(name, minutes=minutes))
        ledger.settle(settled(name))
    ledger.open(opened("open", minutes=-300))

    assert ledger.delete_before(NOON) == 2

    assert set(states(ledger)) == {"new", "open"}
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("SELECT sum(settled) FROM hourly").fetchone() == (3,)
    with as_killed(path) as next_one:
        assert set(states(next_one)) == {"new", "open"}


@pytest.mark.parametrize(("minutes", "deleted"), [(59, 0), (60, 1)])
def test_rows_go_by_whole_hours(start, minutes, deleted):
    ledger = start()
    ledger.open(opened())
    ledger.settle(settled())

    assert ledger.delete_before(NOON.replace(minute=0) + timedelta(minutes=minutes)) == deleted


def test_idle_scopes_are_forgotten_here_and_remembered_by_the_database(start):
    ledger = start()
    ledger.open(held("a", amount=100))
    ledger.settle(settled("a"))
    ledger.flush()
    for name in ("in flight", "asked"):
        ledger.hold(f"task:{name}", 5, 10, reservation_id=name, now=NOON)
    ledger.open(held("b", amount=5, scope="task:in flight"))
    ledger.release("in flight")

    ledger._book.forget_idle(ledger._held.values(), limit=2)

    assert set(ledger._book._accounts) == {"task:asked", "task:in flight"}
    assert ledger._book.spent_and_held(SCOPE) == (COST.total, 0)
