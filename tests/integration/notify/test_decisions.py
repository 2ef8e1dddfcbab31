"""What a gateway decides is in the journal: policies, refusals; and it verifies afterwards."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from farthing.cli.main import main
from farthing.compose import running_gateway
from farthing.compose.decisions import Decisions, ProgramJournal, open_decisions
from farthing.compose.parts import open_parts
from farthing.config import Settings
from farthing.core.breaker import Breakers
from farthing.core.breaker_values import BreakerKey, Change
from farthing.core.exchange_prepare import Setup
from farthing.core.governor import Residual
from farthing.core.journal_chain import JournalEvent, journal_event, journal_key
from farthing.driver.system import SystemClock
from farthing.ledger import SqliteLedger
from farthing.ledger.audit_log import MemoryAuditLog, SqliteAuditLog, read_events
from farthing.pricing import catalog

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_a_policy_is_an_entry_when_it_changes_and_not_when_it_stays(tmp_path: Path):
    path = tmp_path / "ledger.db"
    for profile in ("safe", "safe", "observe"):
        with running_gateway(Settings(port=0, ledger=str(path), profile=profile)):
            pass
    events = [event for event in read_events(path) if event.kind == "policy.changed"]
    assert len(events) == 2
    assert events[1].facts["before"] == events[0].facts["digest"]
    assert main(["journal", "verify", "--ledger", str(path)]) == 0


def exchanges() -> Setup:
    return Setup(engine_version="1", install_key=b"k" * 32, prices=catalog(), breakers=Breakers())


def refused(at: datetime = NOON) -> JournalEvent:
    return journal_event("call.refused", at, actor="engine", subject="task:t1")


def test_a_refusal_repeated_a_hundred_thousand_times_is_two_entries(tmp_path: Path):
    path, setup = tmp_path / "ledger.db", exchanges()
    with open_decisions(path) as decisions:
        decisions.follow(setup)
        for _ in range(100_000):
            setup.decided.add(refused())
    assert [event.facts.get("times") for event in read_events(path)] == [None, 99_999]


def test_what_exchanges_decide_is_written_within_a_second_and_told(tmp_path: Path):
    log, setup, told = MemoryAuditLog(journal_key(b"k" * 32)), exchanges(), list[Change]()
    decisions = Decisions(log, SystemClock())
    decisions.follow(setup, told.append)
    opened = Change(key=BreakerKey("key", "k1"), state="open", why="velocity", at=NOON, until=NOON)

    async def running() -> None:
        job = asyncio.create_task(decisions.run())
        await asyncio.sleep(0)  # it has begun to wait: on a loop, who is due earlier runs earlier
        setup.decided.changed(opened)
        setup.decided.add(refused(datetime.now(UTC)))
        await asyncio.sleep(1.05)
        job.cancel()

    asyncio.run(running())  # what a thread writes has been written when this returns
    assert {event.kind for event in log.events()} == {"breaker.opened", "call.refused"}
    assert told == [opened]


def test_without_exchanges_nothing_is_taken():
    async def running() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(Decisions(log, SystemClock()).run(), 1.1)

    log = MemoryAuditLog(journal_key(b"k" * 32))
    asyncio.run(running())
    assert list(log.events()) == []


def test_a_lever_that_the_governor_switches_is_an_entry(tmp_path: Path):
    path = tmp_path / "ledger.db"
    with open_parts(Settings(ledger=str(path)), catalog()) as parts:
        engine = parts.exchange_setup.engine
        assert engine is not None
        loss = Residual(saved_pico=-500, bound_pico=1_000)
        while engine.accounts.governor.record("cache.ttl", "main", loss) != "off":
            pass
    (event,) = (one for one in read_events(path) if one.kind == "governor.switched")
    assert event.subject == "cache.ttl in main"
    assert (event.facts["from"], event.facts["to"]) == ("undecided", "off")


def test_a_flood_beyond_memory_is_said_in_the_log(caplog: pytest.LogCaptureFixture):
    setup = exchanges()
    decisions = Decisions(MemoryAuditLog(journal_key(b"k" * 32)), SystemClock())
    decisions.follow(setup)
    for hour in range(4_100):
        setup.decided.add(refused(NOON + timedelta(hours=hour)))
    decisions.close()
    assert "the journal lacks 4 entries" in caplog.text


def test_a_program_keeps_its_journal_too_and_a_forked_child_does_not_write_it(tmp_path: Path):
    path, setup = tmp_path / "ledger.db", exchanges()
    SqliteLedger(path).close()
    journal = ProgramJournal(path, setup)
    setup.decided.add(refused())
    child = os.fork()
    if not child:
        journal.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert list(read_events(path)) == []
    journal.close()
    assert [event.kind for event in read_events(path)] == ["call.refused"]
    journal.close()  # nothing more


def test_a_program_whose_journal_cannot_be_written_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    setup = exchanges()
    journal = ProgramJournal(tmp_path / "gone" / "ledger.db", setup)
    setup.decided.add(refused())
    journal.close()
    assert "the journal lacks 1 entries" in caplog.text


def test_what_was_decided_before_the_last_second_survives_a_killed_process(tmp_path: Path):
    path = tmp_path / "ledger.db"
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert victim.stdout is not None
    assert victim.stdout.readline() == "written\n"
    victim.kill()
    victim.wait()
    victim.stdout.close()
    (event,) = read_events(path)
    assert (event.kind, event.facts.get("times")) == ("call.refused", None)
    assert main(["journal", "verify", "--ledger", str(path)]) == 0


VICTIM = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from farthing.compose.decisions import open_decisions
from farthing.core.exchange_prepare import Setup
from farthing.core.journal_chain import journal_event
from farthing.ledger.audit_log import read_events
from farthing.pricing import catalog

async def main(path):
    with open_decisions(path) as decisions:
        setup = Setup(engine_version="1", install_key=b"k" * 32, prices=catalog())
        decisions.follow(setup)
        job = asyncio.create_task(decisions.run())
        for _ in range(9):
            event = journal_event("call.refused", datetime.now(UTC), actor="engine", subject="t")
            setup.decided.add(event)
        while not list(read_events(path)):
            await asyncio.sleep(0.05)
        print("written", flush=True)
        await asyncio.sleep(60)

asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_journal_that_cannot_be_written_is_logged_and_stops_nobody(tmp_path: Path, caplog):
    path = tmp_path / "ledger.db"
    log = SqliteAuditLog(path, b"k" * 32)
    decisions = Decisions(log, SystemClock())
    log.close()
    decisions.note("key.revoked", actor="operator", subject="key1")
    assert "the journal lacks an entry key.revoked" in caplog.text
