"""The recorder goes on, whatever a call is like, and lets a quiet recording be read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from farthing.gateway.record_files import RecordFiles
from farthing.gateway.recording import Recorded, Recorder
from farthing.traces import read_trace
from tests.waiting import eventually

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ANSWER = b'{"content":[{"type":"text","text":"Hi"}],"model":"claude-sonnet-5"}'
DEEP = b'{"content":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def recorder(folder: Path, quiet: timedelta = timedelta(minutes=10)) -> Recorder:
    files = RecordFiles(folder, redaction="none", cap_bytes=1 << 30, writer="test")
    return Recorder(files, redactor=None, quiet=quiet)


def recorded(number: int, answer: bytes = ANSWER) -> Recorded:
    said = b'{"model":"claude-sonnet-5","messages":[{"role":"user","content":"%d"}]}' % number
    return Recorded(
        exchange_id=f"ex_{number}",
        body=said,
        answer=answer,
        started_at=AT,
        ended_at=AT,
        session_id=None,
        agent_id=None,
        task_type=None,
        request_id=None,
        is_streamed=False,
    )


def ids(folder: Path) -> list[str]:
    return [one.id for path in folder.glob("*.jsonl.gz") for one in read_trace(path)]


def test_an_answer_that_nobody_can_read_is_left_out_and_the_next_call_is_recorded(
    tmp_path: Path,
) -> None:
    running = recorder(tmp_path)
    for number, answer in enumerate([ANSWER, DEEP, ANSWER]):
        running.add(recorded(number, answer))
    running.close()

    assert ids(tmp_path) == ["ex_0#0", "ex_2#0"]
    assert running.left_out == 1


def test_when_no_call_comes_the_recording_can_be_read(tmp_path: Path) -> None:
    running = recorder(tmp_path, quiet=timedelta(milliseconds=50))
    running.add(recorded(1))
    eventually(lambda: ids(tmp_path) == ["ex_1#0"])

    running.add(recorded(2))
    running.close()
    assert sorted(ids(tmp_path)) == ["ex_1#0", "ex_2#0"]
