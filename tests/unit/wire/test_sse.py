"""The event parser: line ends, fields, borders of chunks, limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.wire.sse import SseEvent, SseParser, encode_event

PING = b'event: ping\ndata: {"type":"ping"}\n\n'
NAMES = ["wanted", "other", "ping", "", "wanted too"]

#: pieces from which streams are made: everything the grammar knows, and some nonsense
FRAGMENTS = st.sampled_from(
    [
        *(b"event: wanted", b"event:wanted", b"event: other", b"event", b"event: ", b"wanted"),
        *(b"data: {}", b"data:x", b"data", b"data:  two", b": comment", b"id: 7", b"retry: 10"),
        *(b"\n", b"\r\n", b"\r", b"\n\n", b"\xef\xbb\xbf", "data: é€😀".encode(), b"\xff\xfe"),
        *(b"data: " + b"long" * 100, b"event: other" + b"r" * 300),
    ]
)
streams = st.lists(FRAGMENTS, max_size=40).map(b"".join)
well_formed = st.lists(
    st.tuples(st.sampled_from(NAMES), st.binary(max_size=40).map(lambda data: data.hex().encode()))
)


def read(*chunks: bytes, only: list[str] | None = None, limit: int = 10**6) -> list[SseEvent]:
    parser = SseParser(only=only, max_event_bytes=limit)
    return [event for chunk in chunks for event in parser.feed(chunk)]


def cut(stream: bytes, borders: list[int]) -> list[bytes]:
    """``stream`` cut at ``borders``, which may repeat (an empty chunk) or lie beyond its end."""
    starts = [0, *sorted(borders)]
    return [stream[a:b] for a, b in zip(starts, [*starts[1:], len(stream)], strict=True)]


borders = st.lists(st.integers(min_value=0, max_value=600), max_size=12)


@given(streams, borders)
def test_the_borders_of_chunks_mean_nothing(stream: bytes, at: list[int]) -> None:
    assert read(*cut(stream, at)) == read(stream)


@given(streams)
def test_a_stream_may_come_byte_by_byte(stream: bytes) -> None:
    assert read(*(bytes([byte]) for byte in stream)) == read(stream)


@given(streams, borders)
def test_asking_for_some_events_is_choosing_among_all(stream: bytes, at: list[int]) -> None:
    chosen = [event for event in read(stream) if event.name in ("wanted", "other")]

    assert read(*cut(stream, at), only=["wanted", "other"]) == chosen


@given(streams, borders)
def test_a_limit_leaves_out_large_events_and_changes_no_other(stream: bytes, at: list[int]) -> None:
    every = iter(read(stream))

    limited = read(*cut(stream, at), limit=60)

    assert all(event in every for event in limited)  # consumes: a subsequence, in order
    assert all(len(event.data) <= 60 for event in limited)


@given(well_formed)
def test_what_is_encoded_is_read(events: list[tuple[str, bytes]]) -> None:
    stream = b"".join(encode_event(name, data) for name, data in events)

    assert read(stream) == [SseEvent(name, data) for name, data in events]


def test_an_event_is_written_as_the_provider_writes_it() -> None:
    assert encode_event("ping", b'{"type":"ping"}') == PING


def test_an_event_without_a_name_is_written_without_one() -> None:
    assert encode_event("", b"x") == b"data: x\n\n"


def test_data_of_several_lines_is_written_as_several_lines() -> None:
    assert encode_event("e", b"a\nb") == b"event: e\ndata: a\ndata: b\n\n"
    assert read(b"event: e\ndata: a\ndata: b\n\n") == [SseEvent("e", b"a\nb")]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_of_the_standard_is_understood(end: bytes) -> None:
    stream = end.join([b"event: a", b"data: 1", b"", b"data: 2", b"", b""])

    assert read(stream) == [SseEvent("a", b"1"), SseEvent("", b"2")]


def test_an_event_ended_by_cr_does_not_wait_for_the_next_chunk() -> None:
    parser = SseParser()

    assert parser.feed(b"data: 1\r\r") == [SseEvent("", b"1")]
    assert parser.feed(b"\ndata: 2\r\n\r") == [SseEvent("", b"2")]
    assert parser.feed(b"") == []
    assert parser.feed(b"\n") == []
    assert parser.feed(b"data: 3\n\n") == [SseEvent("", b"3")]


def test_one_space_after_the_colon_is_no_part_of_the_value() -> None:
    assert read(b"event:a\ndata:  1\n\n") == [SseEvent("a", b" 1")]


def test_a_line_without_a_colon_is_a_field_without_a_value() -> None:
    assert read(b"data\ndata\n\n") == [SseEvent("", b"\n")]


def test_comments_ids_and_unknown_fields_are_passed_over() -> None:
    assert read(b": hello\nid: 1\nretry: 5\nother: x\ndata: 1\n\n") == [SseEvent("", b"1")]


def test_an_event_without_data_is_none() -> None:
    assert read(b"event: a\n\ndata: 1\n\n") == [SseEvent("", b"1")]


def test_the_last_name_counts() -> None:
    assert read(b"event: a\nevent: b\ndata: 1\n\n") == [SseEvent("b", b"1")]


def test_an_unfinished_event_is_not_handed_out() -> None:
    assert read(b"data: 1\n") == []


def test_a_byte_order_mark_at_the_start_is_passed_over() -> None:
    assert read(b"\xef\xbb", b"\xbfdata: 1\n\n\xef\xbb\xbfdata: 2\n\n") == [SseEvent("", b"1")]


def test_a_name_that_is_no_utf8_is_still_a_name() -> None:
    assert read(b"event: \xff\ndata: 1\n\n") == [SseEvent("�", b"1")]


def test_an_event_may_be_as_large_as_the_limit_and_no_larger() -> None:
    parser = SseParser(max_event_bytes=100)

    at_limit = parser.feed(b"data: " + b"x" * 99 + b"\n\n")
    beyond = parser.feed(b"data: " + b"x" * 100 + b"\n\ndata: 1\n\n")

    assert [len(event.data) for event in at_limit] == [99]
    assert beyond == [SseEvent("", b"1")]
    assert parser.oversized_events == 1


def test_an_endless_line_is_not_kept() -> None:
    parser = SseParser(max_event_bytes=100)

    events = [event for _ in range(50) for event in parser.feed(b"data: xxxxxxxxx")]
    events += parser.feed(b"\ndata: more\n\ndata: 1\n\n")

    assert events == [SseEvent("", b"1")]
    assert parser.oversized_events == 1


def test_an_endless_event_is_not_kept() -> None:
    parser = SseParser(max_event_bytes=100)

    events = [event for _ in range(101) for event in parser.feed(b"data\n")]
    events += parser.feed(b"\n")

    assert events == []
    assert parser.oversized_events == 1


def test_only_wanted_events_can_be_too_large() -> None:
    parser = SseParser(only=["wanted"], max_event_bytes=100)

    parser.feed(b"event: other\ndata: " + b"x" * 200)
    parser.feed(b"x" * 200 + b"\n\ndata: " + b"x" * 200 + b"\n\n")
    assert parser.oversized_events == 0

    parser.feed(b"event: wanted\ndata: " + b"x" * 200 + b"\n\n")
    assert parser.oversized_events == 1


def test_the_name_of_an_event_may_follow_its_data() -> None:
    assert read(b"data: 1\n", b"event: wanted\n\n", only=["wanted"]) == [SseEvent("wanted", b"1")]
    assert read(b"data: 1\n", b"event: other\n\n", only=["wanted"]) == []


def test_a_wanted_event_may_begin_anywhere_in_a_dull_stream() -> None:
    chunks = [PING, PING[:20], PING[20:] + b"event: wan", b"ted\ndata: 1\n", b"\n", PING]

    assert read(*chunks, only=["wanted"]) == [SseEvent("wanted", b"1")]
