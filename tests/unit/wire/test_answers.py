"""Plain answers and batch result lines, as far as bookkeeping reads them."""

from __future__ import annotations

import pytest

from farthing.errors import UpstreamError
from farthing.wire.answers import BatchResult, MessageUsage, batch_result, usage_of_message
from farthing.wire.envelope import ErrorEnvelope
from farthing.wire.usage import Usage

MESSAGE = (
    b'{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5-5",'
    b'"content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn","stop_sequence":null,'
    b'"usage":{"input_tokens":12,"output_tokens":4,"service_tier":"batch"}}'
)
SUMMARY = MessageUsage(
    usage=Usage(uncached=12, output=4, service_tier="batch"),
    model="claude-sonnet-5-5",
    message_id="msg_1",
    stop_reason="end_turn",
)


def test_a_message_says_who_answered_and_why_it_stopped() -> None:
    assert usage_of_message(MESSAGE) == SUMMARY


def test_a_message_may_leave_out_all_but_its_usage() -> None:
    assert usage_of_message(b'{"usage":{}}') == MessageUsage(
        usage=Usage(), model=None, message_id=None, stop_reason=None
    )


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (b"null", None),
        (b'{"cache_miss_reason":null}', b'{"cache_miss_reason":null}'),
        (b'["of another shape"]', b'["of another shape"]'),
    ],
)
def test_diagnostics_are_kept_unread_and_cost_no_usage(said: bytes, kept: bytes | None) -> None:
    found = usage_of_message(MESSAGE[:-1] + b',"diagnostics":%b}' % said)

    assert found == SUMMARY.__class__(
        usage=SUMMARY.usage,
        model=SUMMARY.model,
        message_id=SUMMARY.message_id,
        stop_reason=SUMMARY.stop_reason,
        diagnostics=kept,
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"id":"msg_1"}',
        b'{"usage":null}',
        b'{"usage":{"output_tokens":-1}}',
        b'{"usage":{},"model":"\xff"}',
        b'{"usage":{},"content":' + b"[" * 100_000,
    ],
)
def test_what_is_no_message_is_the_upstreams_fault(body: bytes) -> None:
    with pytest.raises(UpstreamError, match="not a message"):
        usage_of_message(body)


def test_the_complaint_shows_nothing_of_the_answer() -> None:
    with pytest.raises(UpstreamError) as caught:
        usage_of_message(b'{"content":"secret words","usage":{"output_tokens":"secret words"}}')

    assert "secret" not in str(caught.value)


def test_a_succeeded_line_carries_its_message() -> None:
    line = b'{"custom_id":"row-1","result":{"type":"succeeded","message":%b}}' % MESSAGE

    assert batch_result(line) == BatchResult(
        custom_id="row-1", outcome="succeeded", message=SUMMARY
    )


def test_an_errored_line_has_its_type_two_levels_deep() -> None:
    line = (
        b'{"custom_id":"row-2","result":{"type":"errored","error":{"type":"error","error":'
        b'{"type":"invalid_request_error","message":"no"},"request_id":"req_1"}}}'
    )

    assert batch_result(line) == BatchResult(
        custom_id="row-2",
        outcome="errored",
        error=ErrorEnvelope(type="invalid_request_error", message="no", request_id="req_1"),
    )


def test_an_errored_line_without_a_readable_error_is_still_errored() -> None:
    line = b'{"custom_id":"row-2","result":{"type":"errored"}}'

    assert batch_result(line) == BatchResult(custom_id="row-2", outcome="errored")


def test_canceled_and_expired_lines_carry_nothing() -> None:
    canceled = b'{"custom_id":"row-3","result":{"type":"canceled"}}'
    expired = b'{"custom_id":"row-4","result":{"type":"expired"}}'

    assert batch_result(canceled) == BatchResult(custom_id="row-3", outcome="canceled")
    assert batch_result(expired) == BatchResult(custom_id="row-4", outcome="expired")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b'{"custom_id":"row-1"}',
        b'{"custom_id":"row-1","result":{"type":"unheard of"}}',
        b'{"custom_id":"\xff","result":{"type":"expired"}}',
        b'{"custom_id":"r","result":{"type":"expired","x":' + b"[" * 100_000,
    ],
)
def test_what_is_no_batch_result_is_the_upstreams_fault(line: bytes) -> None:
    with pytest.raises(UpstreamError, match="not a batch result"):
        batch_result(line)


def test_a_succeeded_line_without_a_message_is_the_upstreams_fault() -> None:
    with pytest.raises(UpstreamError, match="not a message"):
        batch_result(b'{"custom_id":"row-1","result":{"type":"succeeded"}}')
