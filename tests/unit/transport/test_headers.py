"""Which header fields cross the gateway (RFC 9110, section 7.6.1)."""

from __future__ import annotations

import pytest

from farthing.transport.headers import request_headers, response_headers

HOP_BY_HOP = [
    b"connection",
    b"keep-alive",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
]


@pytest.mark.parametrize("name", HOP_BY_HOP)
def test_a_field_of_one_connection_stays_on_it(name):
    fields = [(name, b"x"), (b"accept", b"*/*")]

    assert request_headers(fields) == [(b"accept", b"*/*")]
    assert response_headers(fields) == [(b"accept", b"*/*")]


def test_a_field_that_connection_names_stays_too():
    fields = [(b"connection", b"keep-alive, X-Mine"), (b"x-mine", b"1"), (b"x-other", b"2")]

    assert request_headers(fields) == [(b"x-other", b"2")]


def test_all_that_the_api_and_its_clients_send_goes_through_in_order_with_duplicates():
    fields = [
        (b"anthropic-beta", b"b-2,a-1"),
        (b"anthropic-version", b"2023-06-01"),
        (b"x-claude-code-session-id", b"s"),
        (b"anthropic-beta", b"c-3"),
        (b"x-api-key", b"k"),
        (b"x-name", b"caf\xe9"),
        (b"traceparent", b"00-1-1-01"),
    ]

    assert request_headers(fields) == fields


def test_the_fields_of_farthing_are_not_sent_upstream():
    fields = [(b"x-farthing-task", b"t"), (b"x-farthing-bypass", b"1"), (b"x-farthings", b"2")]

    assert request_headers(fields) == [(b"x-farthings", b"2")]


def test_the_length_and_the_host_of_a_request_are_said_anew():
    fields = [(b"host", b"localhost:8788"), (b"content-length", b"2"), (b"expect", b"100-continue")]

    assert request_headers(fields) == []


def test_the_length_of_an_answer_is_kept_because_its_body_is():
    assert response_headers([(b"Content-Length", b"2")]) == [(b"content-length", b"2")]


def test_the_names_of_an_answer_are_written_in_lower_case():
    assert response_headers([(b"Request-Id", b"req_1")]) == [(b"request-id", b"req_1")]
