"""Traces written and read back, one conversation at a time."""

from __future__ import annotations

import gzip
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farthing.errors import TraceError
from farthing.traces.codec import TraceWriter, read_trace
from farthing.traces.format import Call, Conversation, Message
from farthing.traces.problems import Problems
from tests.unit.traces.recorded import raw

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
calls = st.builds(
    Call,
    prompt_messages=st.integers(0, 50),
    usage=json_values.map(raw),
    at=st.none() | st.floats(0, 1e6),
    replayed=st.booleans(),
    message_id=st.none() | st.text(max_size=8),
)
conversations = st.builds(
    Conversation,
    id=st.text(max_size=12),
    source=st.text(max_size=5),
    system=json_values.map(raw),
    messages=st.lists(
        st.builds(
            Message, role=st.sampled_from(["user", "assistant"]), content=json_values.map(raw)
        ),
        max_size=4,
    ),
    calls=st.lists(calls, max_size=3),
    outcome=st.none(),
)


def encoded(found: list[Conversation]) -> list[bytes]:
    return [msgspec.json.encode(conversation) for conversation in found]


@settings(max_examples=30)
@given(st.lists(conversations, max_size=4), st.sampled_from(["t.jsonl", "t.jsonl.gz"]))
def test_what_is_written_is_read_back(tmp_path_factory, written, name):
    path = tmp_path_factory.mktemp("trace") / name
    with TraceWriter(path) as writer:
        for conversation in written:
            writer.write(conversation)

    assert encoded(list(read_trace(path))) == encoded(written)
    assert writer.conversations == len(written)


def test_the_same_trace_is_the_same_gzip_bytes(tmp_path):
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        with TraceWriter(tmp_path / name) as writer:
            writer.write(Conversation(id="a", source="s"))

    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()


def test_gzip_is_told_by_content_not_by_name(tmp_path):
    path = tmp_path / "plainly-named.jsonl"
    with TraceWriter(tmp_path / "t.jsonl") as writer:
        writer.write(Conversation(id="a", source="s"))
    path.write_bytes(gzip.compress((tmp_path / "t.jsonl").read_bytes()))

    assert [found.id for found in read_trace(path)] == ["a"]


def test_pretty_printed_content_still_takes_one_line(tmp_path):
    pretty = json.dumps({"a": [1, "line\nend"]}, indent=2).encode()
    with TraceWriter(tmp_path / "t.jsonl") as writer:
        writer.write(Conversation(id="a", source="s", system=msgspec.Raw(pretty)))

    assert len((tmp_path / "t.jsonl").read_bytes().splitlines()) == 2
    found = next(read_trace(tmp_path / "t.jsonl"))
    assert json.loads(bytes(found.system)) == {"a": [1, "line\nend"]}


def test_a_file_without_a_header_is_not_a_trace(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes(b'{"id":"a","source":"s"}\n')

    with pytest.raises(TraceError, match="foreign_file"):
        list(read_trace(path))


def test_a_newer_version_is_refused_not_guessed_at(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes(b'{"format":"farthing-trace","version":2}\n{"id":"a","source":"s"}\n')
    problems = Problems()

    assert list(read_trace(path, problems)) == []
    assert problems.count("version") == 1
    with pytest.raises(TraceError, match="version"):
        list(read_trace(path))


def test_damaged_lines_are_counted_and_the_rest_is_read(tmp_path):
    path = tmp_path / "t.jsonl"
    header = b'{"format":"farthing-trace","version":1}\n'
    path.write_bytes(header + b'{"id":"a","so\n{"id":7}\n{"id":"b","source":"s"}\n')
    problems = Problems()

    assert [found.id for found in read_trace(path, problems)] == ["b"]
    assert (problems.count("malformed"), problems.count("foreign_record")) == (1, 1)


def test_without_a_list_of_problems_damage_raises(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes(b'{"format":"farthing-trace","version":1}\n{"id":"a","so\n')

    with pytest.raises(TraceError, match="malformed"):
        list(read_trace(path))


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(TraceError, match="cannot write"):
        TraceWriter(tmp_path / "no" / "such" / "folder.jsonl")
    with pytest.raises(TraceError, match="cannot write"):
        TraceWriter(tmp_path / "no" / "such" / "folder.jsonl.gz")


def test_a_trace_has_its_name_only_when_it_is_complete(tmp_path):
    path = tmp_path / "t.jsonl"
    writer = TraceWriter(path)

    assert not path.exists()
    writer.close()
    assert [found.name for found in tmp_path.iterdir()] == ["t.jsonl"]


def test_a_trace_that_failed_leaves_nothing_behind(tmp_path):
    with pytest.raises(KeyError), TraceWriter(tmp_path / "t.jsonl.gz"):
        raise KeyError

    assert list(tmp_path.iterdir()) == []
