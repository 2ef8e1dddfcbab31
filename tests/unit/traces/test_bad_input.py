"""Whatever lies in a folder: counted and reported, never raised, the rest still read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farthing.pricing import catalog
from farthing.traces.audit import Audit, build_document
from farthing.traces.claude_code.records import parse_lines
from farthing.traces.importing import Import, import_paths
from farthing.traces.lines import read_lines
from farthing.traces.problems import CAUSES, Problems
from tests.unit.traces.recorded import read, session

SESSION = session("s1").dump()
LINES = SESSION.splitlines(keepends=True)


def audited(folder: Path) -> tuple[dict, Import]:
    state, audit = Import(), Audit(catalog())
    for conversation in import_paths([folder], state):
        audit.add(conversation)
    return build_document(audit, state), state


def problems_of(folder: Path) -> dict[str, int]:
    document, _ = audited(folder)
    return {problem["cause"]: problem["count"] for problem in document["input"]["problems"]}


def calls_of(folder: Path) -> int:
    return int(audited(folder)[0]["totals"]["calls"])


@pytest.mark.parametrize(
    ("junk", "cause"),
    [
        (b'{"type":"assistant","message":{"id":"msg', "malformed"),
        (b"\x00\xff\xfe\x80\x01 not json", "malformed"),
        (b'{"type":"hologram","x":1}', "unknown_record"),
        (b'{"hello":"world"}', "foreign_record"),
        (b'{"type":"user","message":"a string"}', "foreign_record"),
        (b'{"type":"assistant","uuid":"u"}', "foreign_record"),
        (b'{"type":"user","uuid":"u","message":{"role":"user"}}', "foreign_record"),
        (b"[1,2,3]", "foreign_record"),
        (b'"text"', "foreign_record"),
        (b"[" * 100_000, "foreign_record"),
        (b'{"toolUseResult":' + b"[" * 100_000, "malformed"),
        (b'{"type":"user","message":{"role":"user","content":"\xed\xa0\x80"}}x', "malformed"),
    ],
)
def test_a_bad_line_is_counted_and_the_rest_is_read(tmp_path, junk, cause):
    (tmp_path / "s1.jsonl").write_bytes(LINES[0] + junk + b"\n" + b"".join(LINES[1:]))

    assert problems_of(tmp_path) == {cause: 1}
    assert calls_of(tmp_path) == 3


def test_a_transcript_cut_in_the_middle_of_its_last_line_is_read_up_to_there(tmp_path):
    (tmp_path / "s1.jsonl").write_bytes(SESSION[:-20])

    assert problems_of(tmp_path) == {"malformed": 1}
    assert calls_of(tmp_path) == 3


def test_a_compressed_file_cut_short_gives_what_it_still_has(tmp_path):
    long_session = session("s1", turns=300).dump()
    packed = gzip.compress(long_session, mtime=0)
    (tmp_path / "s1.jsonl.gz").write_bytes(packed[: len(packed) // 2])

    document, state = audited(tmp_path)

    assert state.problems.count("cut") == 1
    assert 50 < document["totals"]["calls"] < 300


def test_a_compressed_file_with_damaged_bytes_is_counted(tmp_path):
    packed = bytearray(gzip.compress(SESSION, mtime=0))
    packed[len(packed) // 2] ^= 0xFF
    (tmp_path / "s1.jsonl.gz").write_bytes(bytes(packed))
    session("s2").write(tmp_path)

    document, state = audited(tmp_path)

    assert set(state.problems.by_cause) <= {"cut", "malformed", "foreign_file"}
    assert state.problems.by_cause
    assert document["totals"]["calls"] >= 3


def test_files_in_no_known_format_are_named(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"prompt":"x","outcomes":{}}\n')
    (tmp_path / "b.json").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    (tmp_path / "ignored.png").write_bytes(b"\x89PNG")
    session("s1").write(tmp_path)

    assert problems_of(tmp_path) == {"foreign_file": 2}
    assert calls_of(tmp_path) == 3


def test_an_empty_file_is_no_problem(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"")

    assert problems_of(tmp_path) == {}


def test_a_file_that_cannot_be_opened_is_counted(tmp_path):
    (tmp_path / "gone.jsonl").symlink_to(tmp_path / "nowhere.jsonl")
    session("s1").write(tmp_path)

    assert problems_of(tmp_path) == {"unreadable": 1}
    assert calls_of(tmp_path) == 3


def test_a_path_that_does_not_exist_is_counted(tmp_path):
    assert problems_of(tmp_path / "nowhere") == {"missing": 1}


def test_an_empty_folder_is_an_empty_audit(tmp_path):
    document, _ = audited(tmp_path)

    assert document["totals"]["calls"] == 0
    assert document["totals"]["cost_usd"] is None
    assert document["advice"] == []


def test_a_line_beyond_the_limit_is_skipped_and_the_next_one_read(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"a" * 100 + b"\nshort\n" + b"b" * 100)
    problems = Problems()

    assert list(read_lines(path, problems, limit=50)) == [b"short"]
    assert problems.count("oversized") == 2


@pytest.mark.parametrize("length", [49, 50])
def test_a_line_at_the_limit_is_read_and_one_byte_more_is_not(tmp_path, length):
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"a" * length + b"\nnext\n")

    assert len(list(read_lines(path, Problems(), limit=50))) == (2 if length == 49 else 1)


def test_only_the_first_places_are_kept_as_examples():
    problems = Problems()
    for number in range(10):
        problems.note("malformed", f"file{number}")

    assert problems.by_cause["malformed"].count == 10
    assert problems.by_cause["malformed"].examples == ["file0", "file1", "file2"]


def test_every_cause_is_explained():
    assert all(CAUSES.values())


json_members = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
places = st.sampled_from(
    [
        ("message",),
        ("message", "content"),
        ("message", "usage"),
        ("message", "usage", "input_tokens"),
        ("message", "usage", "iterations"),
        ("message", "id"),
        ("message", "model"),
        ("timestamp",),
        ("uuid",),
        ("parentUuid",),
        ("type",),
        ("isSidechain",),
        ("cwd",),
        ("microcompactMetadata",),
    ]
)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, len(LINES) - 1), places, json_members), max_size=4))
def test_no_value_in_any_field_stops_an_audit(tmp_path_factory, changes):
    records = [json.loads(line) for line in LINES]
    for index, place, value in changes:
        target = records[index]
        for name in place[:-1]:
            target = target.get(name) if isinstance(target, dict) else None
        if isinstance(target, dict):
            target[place[-1]] = value
    folder = tmp_path_factory.mktemp("odd")
    (folder / "s1.jsonl").write_text("\n".join(json.dumps(record) for record in records))

    document, _ = audited(folder)

    assert document["totals"]["calls"] <= 6


@given(st.binary(max_size=200))
def test_no_bytes_stop_the_reading_of_a_line(junk):
    list(parse_lines(junk, "here", Problems()))


@settings(max_examples=30)
@given(st.integers(0, len(SESSION)), st.binary(max_size=20))
def test_no_damage_anywhere_stops_an_audit(tmp_path_factory, position, junk):
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "s1.jsonl").write_bytes(SESSION[:position] + junk + SESSION[position + 7 :])

    document, _ = audited(folder)

    assert document["totals"]["calls"] <= 4


def test_a_trace_with_impossible_numbers_is_audited(tmp_path):
    line = {
        "id": "a#0",
        "source": "s",
        "started_at": "2026-10-10T09:00:00+00:00",
        "messages": [{"role": "user", "content": "x"}],
        "calls": [
            {"prompt_messages": -5, "at": 1e300, "usage": {"input_tokens": 10**30}},
            {"prompt_messages": 10**9, "at": -1e300, "usage": {"output_tokens": 1}},
        ],
    }
    header = {"format": "farthing-trace", "version": 1}
    (tmp_path / "t.jsonl").write_text(f"{json.dumps(header)}\n{json.dumps(line)}\n")

    document, _ = audited(tmp_path)

    assert document["totals"]["calls"] == 2
    assert document["totals"]["uncounted_calls"] == 1


def test_reading_can_be_repeated_with_the_same_result(tmp_path):
    session("s1").write(tmp_path)

    assert read(tmp_path)[0] == read(tmp_path)[0]
