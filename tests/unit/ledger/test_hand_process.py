"""The child process that writes: it may be stopped, killed and orphaned, and nothing is lost."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager

import pytest

from farthing.core.records import Outcome, RowFilter
from farthing.errors import LedgerError
from farthing.ledger import SqliteLedger
from farthing.ledger.careful import rejected_path
from farthing.ledger.checking import check
from farthing.ledger.hand_process import ChildHand
from farthing.ledger.journal import segments
from tests.conftest import ROOT
from tests.contract.exchanges import NOON, attribution, known, opened, settled, unsettled
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and locks are POSIX's")

#: opens exchange a, commits it, ends it and opens b; then says the number of its child
VICTIM = """
import pathlib, sys, time
from farthing.ledger import SqliteLedger
from tests.contract.exchanges import opened, settled
ledger = SqliteLedger(pathlib.Path(sys.argv[1]), gather_seconds=0.001, writing="process")
ledger.open(opened("a"))
ledger.flush()
print(ledger._hand.pid, flush=True)
sys.stdin.readline()
ledger.settle(settled("a"))
ledger.open(opened("b", minutes=1))
print("done", flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path):
    made = SqliteLedger(path, gather_seconds=0.001, writing="process")
    yield made
    made.close()


def child_of(ledger) -> int:
    assert isinstance(ledger._hand, ChildHand)
    assert ledger._hand.pid is not None
    return ledger._hand.pid


def states(ledger):
    return {row.opened.exchange_id: row.state for row in ledger.rows(RowFilter())}


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def until_patiently_written(ledger, seconds=PATIENCE):
    """As ``flush``, but a fault on the way is no end of it."""
    deadline = time.monotonic() + seconds
    while ledger.waiting:
        assert time.monotonic() < deadline, ledger.fault
        time.sleep(0.005)


@contextmanager
def locked(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_the_rows_are_written_by_another_process_which_ends_with_the_ledger(path):
    ledger = SqliteLedger(path, writing="process")
    ledger.open(opened())
    ledger.flush()
    child = child_of(ledger)
    assert is_alive(child)
    ledger.settle(settled())  # is waiting when the ledger is closed
    ledger.close()
    ledger.close()

    assert not is_alive(child)
    assert segments(path) == []
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("SELECT state FROM exchanges").fetchall() == [("settled",)]


def test_the_child_imports_neither_a_server_nor_a_client_nor_an_event_loop():
    code = (
        "import sys, farthing.ledger.hand_main;"
        " print(sorted({'aiohttp', 'anthropic', 'asyncio', 'uvicorn', 'uvloop', 'ssl',"
        " 'farthing.gateway', 'farthing.core.exchange'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout == "[]\n"


def test_a_child_killed_under_load_loses_nothing_and_doubles_nothing(ledger, path, caplog):
    killed, number = set[int](), 0
    deadline = time.monotonic() + PATIENCE
    with caplog.at_level(logging.INFO):
        while len(killed) < 4:
            assert time.monotonic() < deadline, ledger.fault
            for _ in range(50):
                name = f"x{number:05}"
                ledger.open(opened(name))
                ledger.settle(settled(name) if number % 7 else unsettled(name, low=1, high=5))
                number += 1
            child = ledger._hand.pid
            if ledger.fault is None and child is not None and child not in killed:
                os.kill(child, signal.SIGKILL)
                killed.add(child)
            time.sleep(0.01)
        until_patiently_written(ledger)

    found = states(ledger)
    assert len(found) == number
    assert list(found.values()).count("unsettled") == (number + 6) // 7
    assert ledger.fault is None
    assert "the ledger writes again" in caplog.text
    ledger.close()
    assert [finding for finding in check(path) if finding.level != "ok"] == []


def test_a_child_that_is_gone_is_a_fault_until_the_next_one_has_written(ledger, path, caplog):
    ledger.open(opened())
    ledger.flush()
    with locked(path), caplog.at_level(logging.ERROR):
        ledger.settle(settled())
        time.sleep(0.1)  # the child has the batch, and waits for the database
        os.kill(child_of(ledger), signal.SIGKILL)
        said = str(eventually(lambda: ledger.fault))
        assert "process that writes it ended" in said
        assert "another is started" in said
        with pytest.raises(LedgerError):
            ledger.flush(0.2)
        assert ledger.row("x1").state == "settled"
    until_patiently_written(ledger)

    assert ledger.fault is None
    assert states(ledger) == {"x1": "settled"}
    assert "rows are kept in the journal" in caplog.text


def test_what_the_storage_says_there_is_said_here(ledger, path):
    with locked(path):
        ledger.open(opened())
        while ledger.fault is None:
            time.sleep(0.01)
        assert isinstance(ledger.fault, LedgerError)
        assert "another program holds the database: close what has it open" in str(ledger.fault)
    ledger.flush()
    assert ledger.fault is None


def test_a_change_that_cannot_be_applied_is_set_aside_and_logged_here(path, caplog):
    ledger = SqliteLedger(path, gather_seconds=3600, writing="process")
    huge = opened("b", request_bytes=2**63)  # SQLite's integers end before
    nobody = opened("c", attribution=attribution(task_id=None))
    for change in (opened("a"), huge, nobody, opened("d")):
        ledger.open(change)
    ledger.outcome("t1", Outcome(outcome="passed"))
    ledger.keep_batch(known())
    with caplog.at_level(logging.ERROR):
        ledger.flush()

    assert set(states(ledger)) == {"a", "d"}
    assert [row.outcome for row in ledger.rows()] == ["passed", "passed"]
    assert ledger.batches(created_from=NOON) == [known()]
    ledger.close()
    aside = rejected_path(path).read_bytes()
    assert [name in aside for name in (b'"a"', b'"b"', b'"c"', b'"d"')] == [
        False,
        True,
        True,
        False,
    ]
    assert aside.count(b"\n") == 2
    actions = [record.action for record in caplog.records if hasattr(record, "action")]
    assert actions == ["ledger.rejected", "ledger.rejected"]
    assert "exchange b cannot be applied (OverflowError)" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_do_not_end_the_child(ledger, number):
    ledger.open(opened())
    ledger.flush()
    before = child_of(ledger)
    os.kill(before, number)
    ledger.settle(settled())
    ledger.flush()

    assert (child_of(ledger), os.getpgid(before)) == (before, before)
    assert states(ledger) == {"x1": "settled"}


def test_a_start_right_after_a_kill_waits_for_the_orphans_last_commit(path):
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert victim.stdin is not None
    assert victim.stdout is not None
    child = int(victim.stdout.readline())
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        victim.stdin.write(b"go\n")
        victim.stdin.flush()
        assert victim.stdout.readline() == b"done\n"
        time.sleep(0.1)  # the child has the batch, and waits for the database
        victim.kill()
        victim.communicate()
        assert is_alive(child)
        freed = threading.Timer(0.4, lambda: other.execute("ROLLBACK"))
        freed.start()
        next_one = SqliteLedger(path, gather_seconds=0.001, writing="process")
        assert freed.finished.is_set()
        freed.join()

    assert states(next_one) == {"a": "settled", "b": "held"}
    assert next_one.recover(NOON).exchange_ids == ("b",)
    next_one.close()
    assert [finding for finding in check(path) if finding.level != "ok"] == []


def test_a_child_that_cannot_be_started_is_said_and_lets_the_lock_go(path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(path.parent / "no-python"))
    for _ in range(2):
        with pytest.raises(LedgerError, match=r"cannot be started \(No such file"):
            SqliteLedger(path, writing="process")
