"""The head of an HTTP request as an exchange reads it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from farthing.core.attribution import attribute
from farthing.core.exchange_call import Moment
from farthing.core.subscription import is_subscription
from farthing.gateway.call import call_of
from farthing.gateway.routes import Routes

TRACE = (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


async def no_message(*_: Any) -> Any:
    raise AssertionError("nobody reads or writes here")


def headers_of(fields: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    path = "/v1/messages"
    scope = {
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": fields,
    }
    call = call_of(
        scope,
        no_message,
        no_message,
        routes=Routes(),
        exchange_id="ex_1",
        received=Moment(datetime(2026, 11, 21, tzinfo=UTC), 0),
    )
    return dict(call.for_exchange(b"").headers)


def test_several_baggage_fields_are_one_list():
    headers = headers_of(
        [TRACE, (b"baggage", b"a=b"), (b"baggage", b"farthing.task=t9"), (b"baggage", b"c=d")]
    )

    assert headers["baggage"] == "a=b, farthing.task=t9, c=d"
    assert attribute(headers, None, install_key=b"k" * 32).task_id == "t9"


def test_a_beta_is_found_in_the_second_field_too():
    bearer = (b"authorization", b"Bearer of-some-login")
    one, other = (b"anthropic-beta", b"files-2025"), (b"anthropic-beta", b"oauth-2025-04-20")

    assert is_subscription(headers_of([bearer, one, other]))
    assert not is_subscription(headers_of([bearer, one]))


@pytest.mark.parametrize("name", [b"x-farthing-task", b"authorization", b"x-other"])
def test_of_any_other_field_the_first_value_counts(name: bytes):
    assert headers_of([(name, b"one"), (name, b"two")])[name.decode()] == "one"


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("/v1/messages", "/v1/messages"),
        ("/v1/messages/", "/v1/messages/"),
        ("//v1///messages/", "/v1/messages/"),
        ("/v1/files/../messages", "/v1/messages"),
        ("/../../v1/./messages", "/v1/messages"),
        ("/v1/.well-known", "/v1/.well-known"),
        ("//", "/"),
        ("/..", "/"),
    ],
)
def test_a_path_is_read_as_a_server_that_resolves_it_would(path: str, read: str) -> None:
    scope = {
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
    }
    call = call_of(
        scope,
        no_message,
        no_message,
        routes=Routes(),
        exchange_id="ex_1",
        received=Moment(datetime(2026, 11, 21, tzinfo=UTC), 0),
    )

    assert call.path == read
    assert call.target == (path.encode(), b"")
