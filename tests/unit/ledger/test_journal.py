from __future__ import annotations

import pytest

from farthing.ledger.journal import Journal, read_lines, segment_path, segments


@pytest.fixture
def database(tmp_path):
    return tmp_path / "ledger.db"


def lines(database):
    return [line for segment in segments(database) for line in read_lines(segment)]


def test_what_was_appended_is_read_back_in_order(database):
    journal = Journal(database)
    journal.append(b"one\n")
    journal.append(b"two\n")

    assert lines(database) == [b"one", b"two"]
    journal.close()


def test_a_line_without_its_end_was_never_acknowledged(database):
    journal = Journal(database)
    journal.append(b"one\n")
    journal.close()
    with segments(database)[0].open("ab") as file:
        file.write(b"tw")

    assert lines(database) == [b"one"]


def test_a_new_journal_never_appends_to_what_another_process_left(database):
    for text in (b"one\n", b"two\n"):
        journal = Journal(database)
        journal.append(text)
        journal.close()

    assert [list(read_lines(segment)) for segment in segments(database)] == [[b"one"], [b"two"]]


def test_rotation_names_the_segments_before_it(database):
    journal = Journal(database)
    journal.append(b"one\n")

    before = journal.rotate()
    journal.append(b"two\n")

    assert before == [segment_path(database, 1)]
    assert list(read_lines(segment_path(database, 2))) == [b"two"]
    journal.close()


@pytest.mark.parametrize(("length", "is_full"), [(99, False), (100, True)])
def test_a_segment_is_full_at_its_size(database, length, is_full):
    journal = Journal(database, segment_bytes=100)
    journal.append(b"x" * (length - 1) + b"\n")

    assert journal.is_full is is_full
    journal.close()


def test_only_its_owner_may_read_it(database):
    Journal(database).close()

    assert segments(database)[0].stat().st_mode & 0o777 == 0o600


def test_other_files_beside_the_database_are_no_segments(database):
    for name in ("ledger.db-wal", "ledger.db.intents-x", "other.db.intents-00000001"):
        (database.parent / name).touch()

    assert segments(database) == []


def test_a_folder_that_does_not_exist_has_no_segments(tmp_path):
    assert segments(tmp_path / "no" / "ledger.db") == []


def test_after_a_line_cut_short_by_a_full_disk_the_next_one_starts_afresh(database):
    resource = pytest.importorskip("resource", reason="limits on file size need POSIX")
    signal = pytest.importorskip("signal")
    journal = Journal(database)
    journal.append(b"one\n")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6, limits[1]))
    try:
        with pytest.raises(OSError):
            journal.append(b"lost\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert segments(database)[0].stat().st_size == 6

    journal.append(b"two\n")

    assert lines(database) == [b"one", b"lo", b"two"]
    journal.close()
