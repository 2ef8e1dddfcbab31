from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib.resources import files

import pytest

from farthing.errors import LedgerError
from farthing.ledger.migrating import (
    Migration,
    applied_number,
    migrate,
    migrations,
    statements,
)

FIRST = Migration(number=1, name="first", sql="CREATE TABLE a (x INTEGER);\n")
SECOND = Migration(number=2, name="second", sql="CREATE TABLE b (x INTEGER);\n")
BROKEN = Migration(number=2, name="broken", sql="CREATE TABLE b (x INTEGER);\nNOT SQL;\n")


@pytest.fixture
def database():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    yield connection
    connection.close()


def objects(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    found = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
    return sorted((name, " ".join(sql.split())) for name, sql in found)


def test_migrating_from_zero_gives_the_schema_that_is_written_down(database):
    migrate(database)

    written = sqlite3.connect(":memory:")
    written.executescript((files("farthing.ledger") / "schema.sql").read_text("utf-8"))
    assert objects(database) == objects(written)
    written.close()


def test_migrations_are_numbered_without_a_gap():
    assert [step.number for step in migrations()] == list(range(1, len(migrations()) + 1))


def test_migrating_twice_applies_nothing_twice(database):
    assert migrate(database) == [step.number for step in migrations()]
    assert migrate(database) == []


def test_a_database_of_the_previous_version_is_brought_up(database):
    migrate(database, migrations()[:1])

    assert migrate(database) == [step.number for step in migrations()[1:]]


def test_a_step_that_fails_leaves_neither_tables_nor_a_record(database):
    with pytest.raises(sqlite3.OperationalError):
        migrate(database, (FIRST, BROKEN))

    assert applied_number(database) == 1
    assert [name for name, _ in objects(database)] == ["a", "migrations"]


def test_a_database_of_the_same_version_is_accepted_and_a_newer_one_is_refused(database):
    migrate(database, (FIRST,))
    migrate(database, (FIRST,))

    with pytest.raises(LedgerError, match=r"schema 1, this farthing knows up to 0.*upgrade"):
        migrate(database, ())


def test_a_step_that_another_process_has_just_taken_is_not_taken_again(tmp_path):
    """Both have seen that there is nothing; one of them is the first."""
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as ours:

        def other_is_first(statement: str) -> None:
            if statement.startswith("BEGIN"):
                ours.set_trace_callback(None)
                with closing(sqlite3.connect(path, isolation_level=None)) as theirs:
                    assert migrate(theirs, (FIRST,)) == [1]

        ours.set_trace_callback(other_is_first)
        assert migrate(ours, (FIRST, SECOND)) == [2]
        assert [name for name, _ in objects(ours)] == ["a", "b", "migrations"]


def test_each_record_keeps_the_digest_of_its_file(database):
    migrate(database)

    recorded = database.execute("SELECT number, sha256 FROM migrations").fetchall()
    assert recorded == [(step.number, step.sha256) for step in migrations()]


def test_statements_may_span_lines_and_hold_comments_and_semicolons():
    sql = "-- one\nCREATE TABLE a (\n  x TEXT -- what; ever\n);\n\nINSERT INTO a VALUES (';');\n"

    assert list(statements(sql)) == [
        "CREATE TABLE a (\n  x TEXT -- what; ever\n);",
        "INSERT INTO a VALUES (';');",
    ]
