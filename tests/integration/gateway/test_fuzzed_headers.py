"""Whatever the head of a request says: no fault of ours, no crash, and nobody in without a key."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from farthing.gateway.heads import MAX_HEAD_BYTES
from farthing.gateway.page_rules import PAGES
from tests.integration.gateway.keyed import PROVIDER_KEY, Keyed, keyed_gateway
from tests.integration.gateway.raw_http import (
    RawAnswer,
    RawClient,
    RawUpstream,
    Received,
    http_request,
    raw_upstream,
)
from tests.integration.gateway.test_bytes import BODIES

Field = tuple[bytes, bytes]
_EXAMPLES = int(os.environ.get("FARTHING_EXAMPLES", "2000"))
_FUZZED = settings(
    max_examples=_EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)

#: fields that something in the gateway reads
_READ = (
    b"x-api-key authorization host origin cookie content-type content-encoding accept-encoding"
    b" expect connection upgrade te trailer range if-none-match anthropic-version anthropic-beta"
    b" baggage traceparent tracestate x-farthing-task x-farthing-parent x-farthing-key"
    b" x-farthing-levers x-farthing-bypass x-farthing-budget-usd x-farthing-type x-farthing-tags"
    b" x-forwarded-for x-http-method-override sec-fetch-site forwarded keep-alive"
).split()
_TOKEN = st.text("!#$%&'*+-.^_`|~0123456789abcXYZ", min_size=1, max_size=30).map(str.encode)
_NAMES = st.one_of(st.sampled_from(_READ), _TOKEN)
#: what HTTP lets a value be, which is more than text in any encoding
_VALUES = st.one_of(
    st.binary(max_size=200).map(lambda raw: bytes(b for b in raw if b >= 0x20 and b != 0x7F)),
    st.sampled_from(
        [
            b"",
            b"\t",
            b"close",
            b"websocket, upgrade",
            b"100-continue",
            b"-1",
            b"1e999",
            b"nan",
            b"application/json",
            b"gzip, br;q=0",
            b"a=b;c=\xc3\x28,=,",
            b"\xf0\x9f\x92\xa3" * 20,
            b"x" * 2_000,
            b"," * 500,
        ]
    ),
)
_ALLOWED = st.lists(st.tuples(_NAMES, _VALUES), max_size=12)
_ANYTHING = st.lists(
    st.tuples(_NAMES | st.binary(min_size=1, max_size=12), _VALUES | st.binary(max_size=200)),
    max_size=12,
)
_FIELDS = st.one_of(_ALLOWED, _ALLOWED, _ALLOWED, _ANYTHING)
_PATHS = st.one_of(
    st.sampled_from([rule.path for rule in PAGES]),
    st.sampled_from(
        [
            "/v1/messages",
            "/v1/messages?beta=true",
            "/v1/messages/count_tokens",
            "/v1/messages/batches",
            "/v1/models/%ff%00%2e%2e",
            "//v1/messages",
            "*",
            "http://evil.example/v1/messages",
            "/farthing/v1/../v1/keys",
            "/farthing/v1/keys/%2e%2e%2f",
        ]
    ),
)
_METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
_OPEN = {rule.path for rule in PAGES if rule.roles is None}


class Upstream:
    """What came upstream since one last looked; in a failure's report it is one line."""

    def __init__(self, running: RawUpstream) -> None:
        self.url = running.url
        self._running = running

    def arrived(self) -> list[Received]:
        found = self._running.received.copy()
        self._running.received.clear()
        return found


@pytest.fixture(scope="module")
def upstream_of_all() -> Iterator[Upstream]:
    with raw_upstream() as running:
        yield Upstream(running)


@pytest.fixture(scope="module")
def keyed(upstream_of_all: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    with (
        pytest.MonkeyPatch.context() as patched,
        keyed_gateway(upstream_of_all.url, tmp_path_factory.mktemp("fuzzed")) as running,
    ):
        # all of it comes from one address; how that is blocked is tested elsewhere
        patched.setattr("farthing.core.access.FailureLimit.is_blocked", lambda *_: False)
        yield running


def asked(keyed: Keyed, method: str, path: str, fields: list[Field]) -> RawAnswer | None:
    """The answer; None where the connection ended, as for what is no HTTP."""
    with RawClient(keyed.gateway.url) as client:
        try:
            client.send(http_request(method, path, BODIES["plain"], fields))
            return client.answer(is_head=method == "HEAD")
        except (ConnectionError, ValueError):
            return None


def assert_alive(keyed: Keyed) -> None:
    assert keyed.ask("GET", "/v1/models", key=keyed.texts["client"]).status == 200


@pytest.mark.long
@_FUZZED
@given(fields=_FIELDS, method=_METHODS, path=_PATHS)
def test_no_head_without_a_key_opens_anything_or_breaks_something(
    keyed: Keyed, upstream_of_all: Upstream, fields: list[Field], method: str, path: str
) -> None:
    upstream_of_all.arrived()
    answer = asked(keyed, method, path, fields)
    event("none" if answer is None else str(answer.status))

    assert upstream_of_all.arrived() == []
    if answer is not None and path not in _OPEN:
        assert 400 <= answer.status < 500
    assert_alive(keyed)


@pytest.mark.long
@_FUZZED
@given(
    fields=_FIELDS,
    place=st.integers(0, 12),
    name=st.sampled_from([b"x-api-key", b"X-Api-Key", b"Authorization"]),
    method=_METHODS.filter(lambda method: method != "HEAD"),  # this upstream answers with a body
)
def test_with_a_clients_key_somewhere_in_it_a_head_passes_or_is_refused(
    keyed: Keyed,
    upstream_of_all: Upstream,
    fields: list[Field],
    place: int,
    name: bytes,
    method: str,
) -> None:
    key = keyed.texts["client"].encode()
    given = [*fields[:place], (name, b"Bearer " * (name[:1] == b"A") + key), *fields[place:]]
    upstream_of_all.arrived()
    answer = asked(keyed, method, "/v1/messages", given)
    event("none" if answer is None else str(answer.status))

    assert answer is None or answer.status < 500
    for received in upstream_of_all.arrived():
        assert received.values(b"x-api-key") == [PROVIDER_KEY.encode()]
        assert received.values(b"authorization") == []
        assert key not in b"".join(value for _, value in received.headers)
    assert_alive(keyed)


@pytest.mark.parametrize("first", ["right", "wrong"])
@pytest.mark.parametrize("name", [b"x-api-key", b"authorization"])
def test_of_a_key_given_twice_the_first_counts(
    keyed: Keyed, upstream_of_all: Upstream, name: bytes, first: str
) -> None:
    key, wrong = keyed.texts["client"].encode(), b"sk-farthing-" + b"w" * 56
    values = [key, wrong] if first == "right" else [wrong, key]
    scheme = b"Bearer " if name == b"authorization" else b""
    upstream_of_all.arrived()
    answer = asked(keyed, "GET", "/v1/models", [(name, scheme + value) for value in values])

    assert answer is not None
    assert answer.status == (200 if first == "right" else 401)
    sent = upstream_of_all.arrived()
    assert [each.values(b"x-api-key") for each in sent] == (
        [[PROVIDER_KEY.encode()]] if first == "right" else []
    )


@pytest.mark.parametrize(
    "long",
    [
        b"GET /v1/models?%b HTTP/1.1\r\n" % (b"a" * 40_000_000),
        b"GET /v1/models HTTP/1.1\r\nx-a: %b\r\n\r\n" % (b"a" * 40_000_000),
        b"GET /v1/models HTTP/1.1\r\n" + b"x-a: b\r\n" * 2_000_000,
        b"GET /v1/models HTTP/1.1\r\nx-a: %b" % (b"a" * MAX_HEAD_BYTES),
    ],
    ids=["target", "value", "fields", "no end"],
)
def test_a_head_without_an_end_is_not_kept(keyed: Keyed, long: bytes) -> None:
    with RawClient(keyed.gateway.url) as client:
        with suppress(ConnectionError):  # it hung up long before the end
            client.send(long)
        answer = client.answer()

    assert answer.status == 431
    assert b"longer than 131072 bytes" in answer.body
    assert answer.values(b"x-should-retry") == [b"false"]
    assert_alive(keyed)


def test_a_head_just_below_the_limit_is_read_and_so_is_the_next_one(keyed: Keyed) -> None:
    key = (b"x-api-key", keyed.texts["client"].encode())
    long = http_request("GET", "/v1/models", b"", [key, (b"x-a", b"a" * (MAX_HEAD_BYTES - 400))])
    with RawClient(keyed.gateway.url) as client:
        for _ in range(3):
            client.send(long)
            assert client.answer().status == 200


def test_trailers_without_an_end_are_not_kept(keyed: Keyed) -> None:
    key = keyed.texts["client"].encode()
    with RawClient(keyed.gateway.url) as client:
        client.send(
            b"POST /v1/files HTTP/1.1\r\nhost: localhost\r\nx-api-key: %b\r\n" % key,
            b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
        )
        trailers = b"x-a: %b\r\n" % (b"a" * 100_000) * 1_000
        with pytest.raises(ConnectionError):
            client.send(trailers)
    assert_alive(keyed)
