"""The error envelope, read and written, and what a client does with it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.errors import (
    BudgetExceeded,
    ConfigError,
    EditConflict,
    EngineBug,
    FarthingError,
    LedgerError,
    LoopDetectedError,
    UpstreamError,
)
from farthing.wire.envelope import (
    STATUS_OF_TYPE,
    ErrorEnvelope,
    dump_error,
    dump_refusal,
    is_retryable,
    parse_error,
    status_of,
    type_of,
)

texts = st.text(st.characters(exclude_categories=["Cs"]))
details = st.dictionaries(texts, st.integers() | texts).map(
    lambda value: json.dumps(value).encode()
)


@given(
    st.builds(
        ErrorEnvelope,
        type=texts,
        message=texts,
        request_id=st.none() | texts,
        details=st.none() | details,
    )
)
def test_an_envelope_survives_writing_and_reading(envelope: ErrorEnvelope) -> None:
    assert parse_error(dump_error(envelope)) == envelope


def test_an_envelope_is_written_as_the_provider_writes_it() -> None:
    envelope = ErrorEnvelope(
        type="rate_limit_error",
        message="slow down",
        request_id="req_011",
        details=b'{"error_code":"ramp_limit_exceeded"}',
    )

    assert dump_error(envelope) == (
        b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down",'
        b'"details":{"error_code":"ramp_limit_exceeded"}},"request_id":"req_011"}'
    )


def test_what_is_absent_is_not_written() -> None:
    assert dump_error(ErrorEnvelope(type="api_error", message="")) == (
        b'{"type":"error","error":{"type":"api_error","message":""}}'
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502 Bad Gateway</html>",
        b"[]",
        b'{"type":"error"}',
        b'{"error":"out of service"}',
        b'{"error":{"type":"\xff"}}',
        b'{"x":' + b"[" * 100_000,
    ],
)
def test_another_body_is_no_envelope(body: bytes) -> None:
    assert parse_error(body) is None


def test_null_details_are_absent_details() -> None:
    envelope = parse_error(b'{"error":{"type":"api_error","details":null},"request_id":null}')

    assert envelope == ErrorEnvelope(type="api_error", message="")


def test_the_error_code_is_read_from_the_details() -> None:
    body = b'{"error":{"type":"x","message":"","details":{"error_code":"thread_not_found"}}}'
    envelope = parse_error(body)

    assert envelope is not None
    assert envelope.error_code == "thread_not_found"


@pytest.mark.parametrize("details", [None, b"{}", b'{"error_code":7}', b'"text"'])
def test_details_without_a_code_have_none(details: bytes | None) -> None:
    assert ErrorEnvelope(type="x", message="", details=details).error_code is None


@pytest.mark.parametrize(("type_", "status"), STATUS_OF_TYPE.items())
def test_type_and_status_name_each_other(type_: str, status: int) -> None:
    assert (status_of(type_), type_of(status)) == (status, type_)
    assert ErrorEnvelope(type=type_, message="").status == status


@pytest.mark.parametrize(
    ("status", "type_"),
    [
        (400, "invalid_request_error"),
        (418, "invalid_request_error"),
        (499, "invalid_request_error"),
        (399, "api_error"),
        (502, "api_error"),
    ],
)
def test_a_status_outside_the_table_is_typed_by_its_class(status: int, type_: str) -> None:
    assert type_of(status) == type_


def test_an_unknown_type_is_a_server_error() -> None:
    assert status_of("something_new_error") == 500


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, False),
        (402, False),
        (407, False),
        (408, True),
        (409, True),
        (410, False),
        (428, False),
        (429, True),
        (430, False),
        (499, False),
        (500, True),
        (529, True),
    ],
)
def test_the_sdk_retries_by_status(status: int, expected: bool) -> None:
    assert is_retryable(status, {}) is expected


def test_the_header_decides_before_the_status() -> None:
    assert is_retryable(400, {"x-should-retry": "true"})
    assert not is_retryable(529, {"x-should-retry": "false"})


def test_another_header_value_decides_nothing() -> None:
    assert is_retryable(529, {"x-should-retry": "maybe"})
    assert not is_retryable(400, {"x-should-retry": "True"})


def test_a_budget_refusal_is_a_402_that_is_not_tried_again() -> None:
    answer = dump_refusal(BudgetExceeded("team 'a' has spent its 5 USD"), request_id="req_f1")

    assert answer.status == 402
    assert not is_retryable(answer.status, answer.headers)
    assert parse_error(answer.body) == ErrorEnvelope(
        type="billing_error",
        message="team 'a' has spent its 5 USD",
        request_id="req_f1",
        details=b'{"error_code":"farthing.budget.exceeded"}',
    )


@pytest.mark.parametrize(
    ("error", "status", "type_", "retried"),
    [
        (EditConflict(), 400, "invalid_request_error", False),
        (ConfigError(), 500, "api_error", False),
        (LoopDetectedError(), 402, "billing_error", False),
        (UpstreamError(), 502, "api_error", True),
        (LedgerError(), 500, "api_error", True),
        (EngineBug(), 500, "api_error", True),
    ],
)
def test_each_error_of_ours_becomes_an_answer(
    error: FarthingError, status: int, type_: str, retried: bool
) -> None:
    answer = dump_refusal(error)
    envelope = parse_error(answer.body)

    assert envelope is not None
    assert (answer.status, envelope.type) == (status, type_)
    assert envelope.request_id is None
    assert is_retryable(answer.status, answer.headers) is retried
