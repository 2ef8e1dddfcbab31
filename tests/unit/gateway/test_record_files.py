"""Recorded traffic in files: full ones are complete, the oldest go, only their owner reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from farthing.gateway.record_files import RecordFiles
from farthing.traces import read_trace
from farthing.traces.format import Conversation

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def record_files(folder: Path, *, cap_bytes: int = 1 << 30) -> RecordFiles:
    return RecordFiles(
        folder, redaction="none", cap_bytes=cap_bytes, writer="test", rotate_bytes=1000
    )


def write(files: RecordFiles, number: int, size_bytes: int = 400) -> None:
    conversation = Conversation(id=f"c{number}", source="farthing")
    files.write(conversation, size_bytes, START + timedelta(seconds=number))


def ids(folder: Path) -> list[list[str]]:
    return [[one.id for one in read_trace(path)] for path in sorted(folder.glob("*.jsonl.gz"))]


def test_a_full_file_is_complete_and_another_begins(tmp_path: Path) -> None:
    files = record_files(tmp_path)
    for number in range(5):
        write(files, number)

    assert ids(tmp_path) == [["c0", "c1", "c2"]]
    files.close()
    assert ids(tmp_path) == [["c0", "c1", "c2"], ["c3", "c4"]]


def test_beyond_the_cap_the_oldest_go_and_the_newest_stays(tmp_path: Path) -> None:
    one = record_files(tmp_path / "one")
    write(one, 0, 1000)
    size = sum(path.stat().st_size for path in (tmp_path / "one").iterdir())

    files = record_files(tmp_path / "many", cap_bytes=5 * size // 2)
    for number in range(6):
        write(files, number, 1000)
    assert ids(tmp_path / "many") == [["c4"], ["c5"]]

    tiny = record_files(tmp_path / "tiny", cap_bytes=1)
    for number in range(3):
        write(tiny, number, 1000)
    assert ids(tmp_path / "tiny") == [["c2"]]


def test_what_a_killed_gateway_left_counts_and_goes_when_it_is_the_oldest(tmp_path: Path) -> None:
    for number in range(3):  # each is killed before its file is complete
        write(record_files(tmp_path), number)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert [name.endswith(".part") for name in left] == [True] * 3
    for name in left:
        (tmp_path / name).write_bytes(b"x" * 1000)

    files = record_files(tmp_path, cap_bytes=2500)
    assert sorted(path.name for path in tmp_path.iterdir()) == left[1:]

    write(files, 5, 1000)
    assert ids(tmp_path) == [["c5"]]
    assert len(list(tmp_path.iterdir())) == 2 + 1


def test_a_lower_cap_holds_from_the_start(tmp_path: Path) -> None:
    files = record_files(tmp_path)
    for number in range(3):
        write(files, number, 1000)

    record_files(tmp_path, cap_bytes=1)
    assert ids(tmp_path) == [["c2"]]


@pytest.mark.parametrize("is_complete", [False, True])
def test_only_the_owner_may_read_them(tmp_path: Path, *, is_complete: bool) -> None:
    folder = tmp_path / "made" / "deep"
    files = record_files(folder)
    write(files, 0)
    if is_complete:
        files.close()

    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]


def test_a_restart_within_one_second_replaces_nothing(tmp_path: Path) -> None:
    for number in (0, 1):
        files = record_files(tmp_path)
        files.write(Conversation(id=f"c{number}", source="farthing"), 10, START)
        files.close()

    assert sorted(ids(tmp_path)) == [["c0"], ["c1"]]


def test_after_a_file_that_could_not_be_completed_another_begins(tmp_path: Path) -> None:
    folder = tmp_path / "recorded"
    files = record_files(folder)
    write(files, 0)
    (part,) = folder.iterdir()
    part.unlink()
    with pytest.raises(OSError, match="No such file"):
        files.close()

    write(files, 1)
    files.close()
    assert ids(folder) == [["c1"]]
