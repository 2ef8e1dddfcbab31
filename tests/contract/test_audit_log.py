"""The journal of decisions on each store; and what is done to its file is seen."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from farthing.cli.main import main
from farthing.compose.place import install_key
from farthing.core.journal_chain import Fact, journal_event, journal_key
from farthing.errors import EngineBug
from farthing.ledger import SqliteLedger
from farthing.ledger.audit_log import AuditLog, MemoryAuditLog, SqliteAuditLog, read_events

FOURTH = "SELECT digest FROM audit_log WHERE number = 4"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def refused(number: int):
    at = NOON + timedelta(hours=number)
    facts: dict[str, Fact] = {"number": number, "limit_usd": "5"}
    return journal_event("call.refused", at, actor="engine", subject=f"task:t{number}", facts=facts)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture(params=["memory", "sqlite"])
def log(request, path) -> Iterator[AuditLog]:
    key = journal_key(install_key(path))
    made: AuditLog = MemoryAuditLog(key) if request.param == "memory" else SqliteAuditLog(path, key)
    yield made
    made.close()


@pytest.fixture
def written(path: Path) -> Path:
    """A ledger with five entries."""
    log = SqliteAuditLog(path, journal_key(install_key(path)))
    for number in range(5):
        log.append(refused(number))
    log.close()
    return path


def tamper(path: Path, *statements: str) -> None:
    """As somebody would who may write the file: the triggers are dropped first."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for name in ("keeps_entries", "loses_nothing"):
            connection.execute(f"DROP TRIGGER audit_log_{name}")
        for name in ("only_advances", "stays"):
            connection.execute(f"DROP TRIGGER audit_head_{name}")
        for statement in statements:
            connection.execute(statement)


def test_events_come_back_in_order_and_verify(log):
    heads = [log.append(refused(number)) for number in range(3)]
    assert [event.subject for event in log.events()] == ["task:t0", "task:t1", "task:t2"]
    assert [e.subject for e in log.events(NOON + timedelta(hours=1))] == ["task:t1", "task:t2"]
    found = log.verify(noted=heads[0])
    assert found.is_sound
    assert found.head == heads[-1]


def test_the_newest_event_of_a_kind_is_found(log):
    assert log.last("call.refused") is None
    log.append(refused(0))
    log.append(refused(1))
    log.append(journal_event("policy.changed", NOON, actor="operator", subject="policy"))
    found = log.last("call.refused")
    assert found is not None
    assert found.subject == "task:t1"
    assert log.last("key.revoked") is None


def test_an_empty_journal_verifies(log):
    assert log.verify().is_sound
    assert list(log.events()) == []


def test_processes_and_threads_write_one_chain(path):
    key = journal_key(install_key(path))
    logs = [SqliteAuditLog(path, key) for _ in range(3)]

    def append(log: SqliteAuditLog) -> None:
        for number in range(20):
            log.append(refused(number))

    jobs = [threading.Thread(target=append, args=(log,)) for log in logs]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    found = logs[0].verify()
    assert found.is_sound
    assert found.head.count == 60
    for log in logs:
        log.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET event = '{}' WHERE number = 2",
        "DELETE FROM audit_log WHERE number = 5",
        "DELETE FROM audit_head",
        "UPDATE audit_head SET count = 4",
    ],
)
def test_the_database_refuses_to_change_what_was_written(written, statement):
    with (
        closing(sqlite3.connect(written)) as connection,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        connection.execute(statement)


@pytest.mark.parametrize(
    "statements",
    [
        ("UPDATE audit_log SET event = replace(event, '\"5\"', '\"9\"') WHERE number = 2",),
        ("UPDATE audit_log SET event = CAST(x'ff' AS TEXT) WHERE number = 2",),
        ("DELETE FROM audit_log WHERE number = 3",),
        ("DELETE FROM audit_log WHERE number = 1",),
        (
            "DELETE FROM audit_log WHERE number = 3",
            "UPDATE audit_log SET number = number - 1 WHERE number > 3",
        ),
        (
            "UPDATE audit_log SET number = 99 WHERE number = 2",
            "UPDATE audit_log SET number = 2 WHERE number = 3",
            "UPDATE audit_log SET number = 3 WHERE number = 99",
        ),
        ("INSERT INTO audit_log SELECT 6, event, digest FROM audit_log WHERE number = 5",),
        ("DELETE FROM audit_log WHERE number = 5",),
        (
            "DELETE FROM audit_log WHERE number = 5",
            f"UPDATE audit_head SET count = 4, digest = ({FOURTH})",
        ),
        ("DELETE FROM audit_head",),
        ("DELETE FROM audit_log",),
    ],
)
def test_what_is_done_to_the_file_is_seen(written, statements, capsys):
    tamper(written, *statements)
    assert main(["journal", "verify", "--ledger", str(written)]) == 1
    assert "The journal was touched." in capsys.readouterr().out


def test_a_journal_that_was_erased_is_shown_by_its_noted_head(written, capsys):
    assert main(["journal", "verify", "--ledger", str(written)]) == 0
    head = capsys.readouterr().out.split()[-1]
    assert main(["journal", "verify", "--ledger", str(written), "--noted", head]) == 0
    tamper(written, "DELETE FROM audit_log", "DELETE FROM audit_head")
    assert main(["journal", "verify", "--ledger", str(written)]) == 0
    assert main(["journal", "verify", "--ledger", str(written), "--noted", head]) == 1


def test_the_command_exports_lines_and_verifies_as_json(written, capsys):
    assert main(["journal", "export", "--ledger", str(written), "--since", "2026-11-21"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["facts"]["number"] for line in lines] == [0, 1, 2, 3, 4]
    assert main(["journal", "verify", "--ledger", str(written), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["sound"], document["entries"], document["findings"]) == (True, 5, [])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["verify", "--noted", "7:x"], "COUNT:DIGEST"),
        (["verify", "--since", "2026-11-01"], "belongs to `farthing journal export`"),
        (["export", "--noted", "7:x"], "belongs to `farthing journal verify`"),
    ],
)
def test_the_command_says_what_does_not_fit(written, words, says, capsys):
    assert main(["journal", *words, "--ledger", str(written)]) == 2
    assert says in capsys.readouterr().err


def test_without_the_key_nothing_can_be_verified_and_none_is_made(written, capsys):
    written.with_name("ledger.db.key").unlink()
    assert main(["journal", "verify", "--ledger", str(written)]) == 2
    assert "no key file" in capsys.readouterr().err
    assert not written.with_name("ledger.db.key").exists()


def test_a_ledger_that_is_not_there_is_what_is_missing(tmp_path, capsys):
    for verb in ("verify", "export"):
        assert main(["journal", verb, "--ledger", str(tmp_path / "none.db")]) != 0
        assert "there is no ledger at" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_one_entry_and_none_are_said_in_words(path, capsys):
    log = SqliteAuditLog(path, journal_key(install_key(path)))
    assert main(["journal", "verify", "--ledger", str(path)]) == 0
    assert "Nothing has been recorded" in capsys.readouterr().out
    log.append(refused(0))
    log.close()
    assert main(["journal", "verify", "--ledger", str(path)]) == 0
    assert "One entry, as written." in capsys.readouterr().out


def test_a_ledger_of_an_earlier_version_has_an_empty_journal(path, capsys):
    install_key(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE facts (name TEXT)")
    assert main(["journal", "verify", "--ledger", str(path)]) == 0
    assert list(read_events(path)) == []


def test_retention_leaves_the_journal_alone(written):
    ledger = SqliteLedger(written, gather_seconds=0.001)
    ledger.delete_before(NOON + timedelta(days=900))
    ledger.close()
    assert main(["journal", "verify", "--ledger", str(written)]) == 0
    assert len(list(read_events(written))) == 5


def test_an_entry_that_cannot_be_written_leaves_no_half_behind(written):
    key = journal_key(install_key(written))
    tamper(written, "UPDATE audit_head SET count = 3")  # the next number is taken
    log = SqliteAuditLog(written, key)
    with pytest.raises(EngineBug):
        log.append(refused(9))
    assert len(list(log.events())) == 5
    log.close()
