"""The meter over whole, cut, broken and strange streams."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.wire.answers import MessageUsage
from farthing.wire.envelope import ErrorEnvelope
from farthing.wire.meter import StreamMeter
from farthing.wire.sse import encode_event
from farthing.wire.usage import Iteration, Usage


def event(name: str, **members: object) -> bytes:
    return encode_event(name, json.dumps({"type": name, **members}).encode())


def started(**usage: object) -> bytes:
    message: dict[str, object] = {
        "id": "msg_01X",
        "model": "claude-opus-5-5",
        "content": [],
        "stop_reason": None,
    }
    return event("message_start", message=message | {"usage": usage})


def ended(reason: str | None, **usage: object) -> bytes:
    return event("message_delta", delta={"stop_reason": reason}, usage=usage)


def text(words: str) -> bytes:
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": words})


START = started(input_tokens=20, cache_read_input_tokens=4000, output_tokens=1)
STOP = event("message_stop")
STREAM = b"".join(
    [
        START,
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("ping"),
        text("an error in message_delta, or event: error\n\nevent: error\ndata: {}"),
        text("é😀" * 100),
        event("something_new", usage={"output_tokens": 10**9}),
        event("content_block_stop", index=0),
        ended("end_turn", output_tokens=12, iterations=[{"type": "message", "input_tokens": 20}]),
        STOP,
    ]
)
COUNTED = Usage(
    uncached=20,
    cache_read=4000,
    output=12,
    iterations=(Iteration(type="message", model=None, usage=Usage(uncached=20)),),
)


def metered(*chunks: bytes) -> StreamMeter:
    meter = StreamMeter()
    for chunk in chunks:
        meter.feed(chunk)
    return meter


def cut(stream: bytes, borders: Sequence[int]) -> list[bytes]:
    starts = [0, *sorted(borders)]
    return [stream[a:b] for a, b in zip(starts, [*starts[1:], len(stream)], strict=True)]


def seen(meter: StreamMeter) -> Mapping[str, object]:
    return {
        "message": meter.message,
        "finished": meter.finished,
        "final": meter.final_usage_seen,
        "error": meter.error,
        "problem": str(meter.problem),
    }


@given(st.lists(st.integers(min_value=0, max_value=len(STREAM)), max_size=20))
def test_any_cut_of_a_stream_counts_the_same(borders: list[int]) -> None:
    meter = metered(*cut(STREAM, borders))

    assert meter.message == MessageUsage(
        usage=COUNTED, model="claude-opus-5-5", message_id="msg_01X", stop_reason="end_turn"
    )
    assert (meter.finished, meter.final_usage_seen) == (True, True)
    assert (meter.error, meter.problem) == (None, None)


@given(
    st.lists(
        st.sampled_from([START, STOP, text("x"), event("ping"), ended(None, output_tokens=3)])
        | st.sampled_from([event("error", error={"type": "api_error"}), ended("refusal")])
        | st.sampled_from([b"event: message_delta\ndata: {\n\n", b"\r\n", b": comment\n"]),
        max_size=12,
    ).map(b"".join),
    st.lists(st.integers(min_value=0, max_value=1500), max_size=12),
)
def test_any_cut_of_any_stream_reads_the_same(stream: bytes, borders: list[int]) -> None:
    assert seen(metered(*cut(stream, borders))) == seen(metered(stream))


@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise(noise: bytes) -> None:
    assert metered(noise, b"\n\n", STREAM).usage is not None


def test_before_the_first_report_nothing_is_known() -> None:
    meter = metered(event("ping"))

    assert (meter.usage, meter.message, meter.model) == (None, None, None)
    assert not meter.final_usage_seen


def test_a_stream_cut_before_its_end_leaves_the_last_known_usage() -> None:
    meter = metered(START, text("half a word"))

    assert meter.usage == Usage(uncached=20, cache_read=4000, output=1)
    assert (meter.finished, meter.final_usage_seen) == (False, False)


def test_a_stream_cut_after_the_last_delta_has_its_final_usage() -> None:
    meter = metered(START, ended("tool_use", output_tokens=12))

    assert (meter.finished, meter.final_usage_seen) == (False, True)


def test_a_delta_without_a_stop_reason_is_not_the_last() -> None:
    meter = metered(START, ended(None, output_tokens=5))
    assert meter.usage == Usage(uncached=20, cache_read=4000, output=5)
    assert not meter.final_usage_seen

    meter.feed(STOP)
    assert meter.final_usage_seen


def test_a_delta_without_usage_is_no_report() -> None:
    meter = metered(START, event("message_delta", delta={"stop_reason": "end_turn"}), STOP)

    assert meter.stop_reason == "end_turn"
    assert not meter.final_usage_seen


def test_a_delta_without_a_delta_still_counts() -> None:
    meter = metered(START, event("message_delta", usage={"output_tokens": 5}))

    assert meter.usage == Usage(uncached=20, cache_read=4000, output=5)


def test_cumulative_reports_replace_and_never_add() -> None:
    meter = metered(
        started(input_tokens=20, output_tokens=1),
        ended(None, output_tokens=50, input_tokens=700, server_tool_use={"web_search_requests": 1}),
        ended("end_turn", output_tokens=90, cache_creation_input_tokens=30),
    )

    assert meter.usage == Usage(uncached=700, output=90, cache_write_5m=30, web_search_requests=1)


def test_an_error_event_is_kept_with_its_type() -> None:
    error = {"type": "overloaded_error", "message": "Overloaded"}
    meter = metered(START, event("error", error=error))

    assert meter.error == ErrorEnvelope(type="overloaded_error", message="Overloaded")
    assert meter.error.status == 529
    assert not meter.final_usage_seen


def test_an_error_event_without_an_envelope_is_still_an_error() -> None:
    meter = metered(START, b"event: error\ndata: out of order\n\n")

    assert meter.error is not None
    assert meter.error.type == "api_error"


@pytest.mark.parametrize(
    "damaged",
    [
        b"event: message_delta\ndata: {\n\n",
        b'event: message_delta\ndata: {"delta":{"stop_reason":"\xff"}}\n\n',
        b'event: message_delta\ndata: {"usage":{"output_tokens":-1}}\n\n',
        b'event: message_delta\ndata: {"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n\n",
        b'event: message_delta\ndata: {"x":"' + b"x" * 1024 * 1024 + b'"}\n\n',
    ],
)
def test_a_report_that_cannot_be_read_makes_the_usage_not_final(damaged: bytes) -> None:
    meter = metered(START, damaged, ended("end_turn", output_tokens=12), STOP)

    assert meter.usage == Usage(uncached=20, cache_read=4000, output=12)
    assert "cannot be metered" in str(meter.problem)
    assert not meter.final_usage_seen


def test_diagnostics_of_a_stream_are_kept_unread() -> None:
    said = {"cache_miss_reason": {"type": "tools_changed"}}
    start = {"id": "msg_1", "usage": {"input_tokens": 1}, "diagnostics": said}
    found = metered(event("message_start", message=start)).message

    assert found is not None
    assert found.diagnostics is not None
    assert json.loads(found.diagnostics) == said


def test_a_start_without_usage_names_the_answer() -> None:
    meter = metered(event("message_start", message={"id": "msg_2", "model": "claude-haiku-5-5"}))

    assert (meter.message_id, meter.model) == ("msg_2", "claude-haiku-5-5")
    assert meter.usage is None


def test_a_huge_delta_is_not_kept() -> None:
    meter = metered(START, b"event: content_block_delta\ndata: ")
    for _ in range(200):
        meter.feed(b"x" * 65536)
    meter.feed(b"\n\n" + ended("end_turn", output_tokens=12))

    assert meter.final_usage_seen


def test_content_is_seen_once_a_block_has_begun():
    meter = StreamMeter()
    meter.feed(b'event: message_start\ndata: {"type":"message_start","message":{}}\n\n')
    before = meter.has_content
    meter.feed(b'event: content_block_start\ndata: {"type":"content_block_start"}\n\n')
    meter.feed(b"event: ping\ndata: {}\n\n")

    assert (before, meter.has_content) == (False, True)
