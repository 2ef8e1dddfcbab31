"""One bill per call, in whatever order its copies come."""

from __future__ import annotations

import os
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.traces.codec import TraceWriter
from farthing.traces.dedupe import SeenCalls
from farthing.traces.format import is_billed
from farthing.traces.outputs import output_tokens
from tests.unit.traces.recorded import Transcript, raw, read, text, usage


def total_output(found):
    calls = [call for conversation in found for call in conversation.calls]
    billed = sum(output_tokens(call.usage) for call in calls if is_billed(call))
    return billed + sum(call.late_output_tokens for call in calls)


def written(folder, name, count, age):
    made = Transcript(session=name)
    made.user("hi", 0)
    made.answer("msg_1", [text("x")], usage(uncached=5, output=count), 1)
    path = made.write(folder)
    os.utime(path, (age, age))
    return path


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=8))
def test_a_call_ends_with_the_largest_output_any_copy_knew(counts):
    seen = SeenCalls()
    first = seen.admit("msg", counts[0])
    rest = [seen.admit("msg", count) for count in counts[1:]]

    assert first is None
    assert counts[0] + sum(late or 0 for late in rest) == max(counts)
    assert len(seen) == 1


@pytest.mark.parametrize("order", list(permutations([3, 40, 100])))
def test_sums_do_not_depend_on_the_order_of_files(tmp_path, order):
    for age, count in enumerate(order):
        written(tmp_path, f"s{age}", count, age)

    found, _ = read(tmp_path)

    assert total_output(found) == 100
    assert sum(is_billed(c) for one in found for c in one.calls) == 1


@pytest.mark.parametrize("trace_first", [True, False])
def test_a_trace_beside_its_transcripts_bills_nothing_twice(tmp_path, trace_first):
    paths = [written(tmp_path, f"s{age}", count, age) for age, count in enumerate([3, 100])]
    trace = tmp_path / "t.jsonl"
    with TraceWriter(trace) as writer:
        for conversation in read(*paths)[0]:
            writer.write(conversation)
    for path in paths:
        os.utime(path, (50, 50))
    os.utime(trace, (1, 1) if trace_first else (99, 99))

    assert total_output(read(tmp_path)[0]) == 100
    assert total_output(read(trace)[0]) == 100


@pytest.mark.parametrize("value", [None, {}, {"output_tokens": None}, {"output_tokens": "x"}, [1]])
def test_an_output_that_cannot_be_read_is_none(value):
    assert output_tokens(raw(value)) == 0
