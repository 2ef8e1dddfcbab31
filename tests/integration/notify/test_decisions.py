"""What a gateway decides is in the journal: policies, refusals; and it verifies afterwards."""

from __future__ import annotations

from pathlib import Path

from farthing.cli.main import main
from farthing.compose import running_gateway
from farthing.compose.decisions import Decisions, open_decisions
from farthing.config import Settings
from farthing.core.journal_chain import journal_key
from farthing.driver.system import SystemClock
from farthing.ledger.audit_log import MemoryAuditLog, SqliteAuditLog, read_events


def test_a_policy_is_an_entry_when_it_changes_and_not_when_it_stays(tmp_path: Path):
    path = tmp_path / "ledger.db"
    for profile in ("safe", "safe", "observe"):
        with running_gateway(Settings(port=0, ledger=str(path), profile=profile)):
            pass
    events = [event for event in read_events(path) if event.kind == "policy.changed"]
    assert len(events) == 2
    assert events[1].facts["before"] == events[0].facts["digest"]
    assert main(["journal", "verify", "--ledger", str(path)]) == 0


def test_a_refusal_repeated_a_hundred_thousand_times_is_two_entries(tmp_path: Path):
    path = tmp_path / "ledger.db"
    with open_decisions(path) as decisions:
        for _ in range(100_000):
            decisions.note("call.refused", actor="engine", subject="task:t1")
    assert [event.facts.get("times") for event in read_events(path)] == [None, 99_999]


def test_what_was_counted_is_written_when_its_minute_is_over():
    log = MemoryAuditLog(journal_key(b"k" * 32))
    decisions = Decisions(log, SystemClock())
    decisions.note("call.refused", actor="engine", subject="task:t1")
    decisions.note("call.refused", actor="engine", subject="task:t1")
    decisions._flush()
    assert len(list(log.events())) == 1
    decisions.close()
    assert len(list(log.events())) == 2


def test_a_journal_that_cannot_be_written_is_logged_and_stops_nobody(tmp_path: Path, caplog):
    path = tmp_path / "ledger.db"
    log = SqliteAuditLog(path, b"k" * 32)
    decisions = Decisions(log, SystemClock())
    log.close()
    decisions.note("key.revoked", actor="operator", subject="key1")
    assert "the journal lacks an entry key.revoked" in caplog.text
