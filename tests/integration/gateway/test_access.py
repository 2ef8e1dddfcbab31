"""Who may come in: every route the gateway serves, with every kind of key there is."""

from __future__ import annotations

import ast
import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from farthing.compose import RunningGateway, running_gateway
from farthing.compose.access import key_desk, watch_keys
from farthing.config import Settings
from farthing.core.keys import ROLES
from farthing.driver.keys import KeyDesk, LiveKeys, NewKey
from farthing.errors import ConfigError
from farthing.gateway.access import is_loopback, source_of
from farthing.gateway.key_pages import openapi_document
from farthing.gateway.page_rules import PAGES, PageRule
from farthing.ledger.audit_log import read_events
from farthing.ledger.keys import SqliteKeys
from tests.integration.gateway.keyed import PROVIDER_KEY, Keyed, keyed_gateway, make_keys
from tests.integration.gateway.raw_http import (
    RawAnswer,
    RawClient,
    RawUpstream,
    http_answer,
    http_request,
    raw_upstream,
)
from tests.integration.gateway.test_bytes import BODIES, JSON, MESSAGE
from tests.meta.source import ROOT
from tests.waiting import eventually

WRONG = "sk-farthing-0123456789ab-" + "w" * 43
#: what a request may come with; "forged": the id of a key that exists, and another secret
CREDENTIALS = ("none", "wrong", "forged", *ROLES, "revoked", "expired")
#: routes of the Claude API, known and unknown
RELAYED = (
    ("POST", "/v1/messages"),
    ("POST", "/v1/messages?beta=true"),
    ("POST", "/v1/messages/count_tokens"),
    ("POST", "/v1/messages/batches"),
    ("GET", "/v1/messages/batches/b1/results"),
    ("GET", "/v1/models"),
    ("POST", "/v1/files"),
    ("DELETE", "/v1/files/f1"),
    ("HEAD", "/api/hello"),
    ("OPTIONS", "/v1/messages"),
    ("GET", "/"),
    ("POST", "/nobody/knows"),
    ("GET", "/farthing"),
    ("GET", "//farthing/v1/keys"),
)


@pytest.fixture(scope="module")
def upstream_of_all() -> Iterator[RawUpstream]:
    with raw_upstream() as running:
        yield running


@pytest.fixture(scope="module")
def keyed(
    upstream_of_all: RawUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Keyed]:
    with keyed_gateway(upstream_of_all.url, tmp_path_factory.mktemp("keyed")) as running:
        yield running


@pytest.fixture
def own(upstream: RawUpstream, tmp_path: Path) -> Iterator[Keyed]:
    with keyed_gateway(upstream.url, tmp_path) as running:
        yield running


def text_of(keyed: Keyed, credential: str) -> str | None:
    if credential == "none":
        return None
    if credential == "forged":
        return keyed.texts["admin"][:-43] + "w" * 43
    return keyed.texts.get(credential, WRONG)


def present(keyed: Keyed, credential: str, method: str, path: str) -> RawAnswer:
    body = b"{}" if method == "POST" else b""
    return keyed.ask(method, path, body, key=text_of(keyed, credential), headers=JSON)


def error_of(answer: RawAnswer) -> tuple[int, str, list[bytes]]:
    body = json.loads(answer.body)
    assert body["type"] == "error"
    return answer.status, body["error"]["type"], answer.values(b"x-should-retry")


UNAUTHENTICATED = (401, "authentication_error", [b"false"])
FORBIDDEN = (403, "permission_error", [b"false"])


# -- every route with every credential ------------------------------------------------------------


@pytest.fixture(autouse=True)
def nobody_is_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """All tests come from one address; how it is blocked has tests of its own below."""
    monkeypatch.setattr("farthing.core.access.FailureLimit.is_blocked", lambda *_: False)


def pages() -> list[tuple[PageRule, str, str]]:
    return [(rule, method, rule.path) for rule in PAGES for method in sorted(rule.methods)]


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize(("rule", "method", "path"), pages(), ids=lambda each: str(each)[-40:])
def test_a_page_opens_for_its_roles_and_for_nobody_else(
    keyed: Keyed, rule: PageRule, method: str, path: str, credential: str
) -> None:
    answer = present(keyed, credential, method, path.format(id="x", name="nobody", budget="none"))

    if rule.roles is None or credential in rule.roles:
        assert answer.status not in {401, 403}
    elif method == "HEAD":
        assert answer.status == (403 if credential in ROLES else 401)
    else:
        assert error_of(answer) == (FORBIDDEN if credential in ROLES else UNAUTHENTICATED)


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize(("method", "path"), RELAYED)
def test_a_call_to_claude_passes_with_a_clients_key_only(
    keyed: Keyed, upstream_of_all: RawUpstream, method: str, path: str, credential: str
) -> None:
    before = len(upstream_of_all.received)
    if credential == "client":
        upstream_of_all.reply(b"HTTP/1.1 204 No Content\r\n\r\n")
    answer = present(keyed, credential, method, path)
    sent = upstream_of_all.received[before:]

    if credential == "client":
        assert answer.status == 204
        assert [received.values(b"x-api-key") for received in sent] == [[PROVIDER_KEY.encode()]]
        return
    assert sent == []
    assert answer.status == (403 if credential in ROLES else 401)
    assert answer.values(b"x-should-retry") == [b"false"]


@pytest.mark.parametrize("credential", ["none", "wrong", "admin"])
@pytest.mark.parametrize(
    "path", ["/livez", "/metrics", "/farthing/", "/farthing/v1/keys/a/b/c", "/farthing/v1/unheard"]
)
def test_what_has_no_row_in_the_table_is_not_served(
    keyed: Keyed, path: str, credential: str
) -> None:
    taken = {method for rule in PAGES if rule.matches(path) for method in rule.methods}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - taken:
        assert present(keyed, credential, method, path).status in {404, 405}


def named_in_source() -> set[str]:
    """Every path that a module of pages writes down."""
    found = set[str]()
    for module in (ROOT / "src/farthing/gateway").glob("*pages.py"):
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
                if text.startswith(("/farthing/", "/livez", "/readyz", "/metrics")):
                    found.add(text.partition(" ")[0])
    return found


def test_every_path_in_the_code_of_the_pages_has_a_row() -> None:
    listed = [rule.path for rule in PAGES]
    assert "/farthing/v1/keys" in named_in_source()
    assert [
        path for path in named_in_source() if not any(row.startswith(path) for row in listed)
    ] == []


def test_the_openapi_document_has_the_same_routes_as_the_table() -> None:
    paths = json.loads(openapi_document())["paths"]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    listed = {
        (method, rule.path)
        for rule in PAGES
        for method in rule.methods - {"HEAD"}
        if rule.path.startswith("/farthing/")
    }

    assert described == listed


# -- what a key may ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        lambda text: [(b"x-api-key", text)],
        lambda text: [(b"authorization", b"Bearer " + text)],
        lambda text: [(b"authorization", b"bearer " + text)],
        lambda text: [(b"x-api-key", b"sk-ant-mine"), (b"authorization", b"Bearer " + text)],
        lambda text: [(b"x-api-key", text), (b"authorization", b"Bearer sk-ant-oat-mine")],
    ],
)
def test_a_key_comes_as_x_api_key_or_as_bearer_and_no_credential_goes_upstream(
    own: Keyed, upstream: RawUpstream, headers
) -> None:
    upstream.reply(http_answer(MESSAGE))
    fields = [*JSON, *headers(own.texts["client"].encode())]
    answer = own.ask("POST", "/v1/messages", BODIES["plain"], headers=fields)
    [received] = upstream.received

    assert answer.status == 200
    assert received.values(b"x-api-key") == [PROVIDER_KEY.encode()]
    assert received.values(b"authorization") == []
    assert received.body == BODIES["plain"]


def test_a_call_is_attributed_to_its_key_whatever_the_client_says(
    own: Keyed, upstream: RawUpstream
) -> None:
    upstream.reply(http_answer(MESSAGE))
    headers = [*JSON, (b"x-farthing-key", b"somebody-else")]
    own.ask("POST", "/v1/messages", BODIES["plain"], key=own.texts["client"], headers=headers)
    [row] = own.gateway.ledger.rows()

    assert row.opened.attribution.key_scope == "the-client"


def another_client(own: Keyed, **wanted: object) -> str:
    said = json.dumps({"name": "other", **wanted}).encode()
    made = own.ask("POST", "/farthing/v1/keys", said, key=own.texts["admin"], headers=JSON)
    text: str = json.loads(made.body)["key"]
    return text


def test_a_client_sees_and_judges_what_is_its_own(own: Keyed, upstream: RawUpstream) -> None:
    other = another_client(own)
    upstream.reply(http_answer(MESSAGE))
    mine, judged = own.texts["client"], b'{"outcome":"passed"}'
    headers = [*JSON, (b"x-farthing-task", b"t1")]
    answer = own.ask("POST", "/v1/messages", BODIES["plain"], key=mine, headers=headers)
    row = f"/farthing/v1/exchanges/{answer.values(b'x-farthing-exchange-id')[0].decode()}"
    outcome = "/farthing/v1/tasks/t1/outcome"

    seen = [own.ask("GET", row, key=key).status for key in (mine, other, own.texts["viewer"])]
    told = [own.ask("POST", outcome, judged, key=key).status for key in (mine, other)]
    assert (seen, told) == ([200, 404, 200], [200, 403])


@pytest.mark.parametrize(
    ("path", "body", "is_allowed"),
    [
        ("/v1/messages", {"model": "claude-haiku-4-5"}, True),
        ("/v1/messages", {"model": "claude-opus-4-5"}, False),
        ("/v1/messages", {}, False),
        ("/v1/messages", {"model": ["claude-haiku-4-5"]}, False),
        ("/v1/messages/count_tokens", {"model": "claude-opus-4-5"}, False),
        (
            "/v1/messages",
            {"model": "claude-haiku-4-5", "fallbacks": [{"model": "claude-opus-4-5"}]},
            False,
        ),
        (
            "/v1/messages",
            {"model": "claude-haiku-4-5", "tools": [{"name": "a", "model": "claude-opus-4-5"}]},
            False,
        ),
        (
            "/v1/messages",
            {
                "model": "claude-haiku-4-5",
                "tools": [{"name": "a", "input_schema": {"model": "claude-opus-4-5"}}],
            },
            True,
        ),
        ("/v1/messages", b'{"model":"claude-opus-4-5","model":"claude-haiku-4-5"}', False),
        ("/v1/messages", b'{"model":"claude-haiku-4-5","model":"claude-opus-4-5"}', False),
        ("/v1/messages", b'{"mod\\u0065l":"claude-opus-4-5"}', False),
        ("/v1/messages/batches", {"requests": []}, False),
        ("/v1/complete", {"model": "claude-haiku-4-5"}, False),
        ("/v1/files", {}, True),
    ],
)
def test_a_key_limited_to_a_model_sends_no_other(
    own: Keyed, upstream: RawUpstream, path: str, body: dict[str, object] | bytes, is_allowed: bool
) -> None:
    key = another_client(own, models=["claude-haiku-*"])
    upstream.received.clear()
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = own.ask("POST", path, raw, key=key, headers=JSON)

    assert len(upstream.received) == is_allowed
    if not is_allowed:
        assert error_of(answer) == FORBIDDEN


def test_a_limited_key_reads_what_there_is(own: Keyed) -> None:
    key = another_client(own, models=["claude-haiku-*"])
    assert own.ask("GET", "/v1/messages/batches", key=key).status == 200


# -- how soon a change works ---------------------------------------------------------------------


def test_a_key_revoked_by_a_command_stops(own: Keyed) -> None:
    key = own.texts["client"]
    assert own.ask("GET", "/v1/models", key=key).status == 200
    with key_desk(own.ledger) as (desk, _):
        desk.revoke("the-client", actor="test")

    assert eventually(lambda: own.ask("GET", "/v1/models", key=key).status == 401)


def test_what_a_command_changes_is_in_force_within_a_second(tmp_path: Path) -> None:
    """On an event loop, where who is due earlier runs earlier: whatever the machine does."""

    async def revoke(live: LiveKeys, desk: KeyDesk) -> None:
        job = asyncio.create_task(watch_keys(live))
        await asyncio.sleep(0)
        desk.revoke("the-client", actor="test")
        await asyncio.sleep(1)
        job.cancel()

    ledger = tmp_path / "ledger.db"
    make_keys(ledger)
    with key_desk(ledger) as (desk, store), closing(SqliteKeys(ledger)) as seen:
        live = LiveKeys(seen)
        before = live.ring
        assert [key.revoked_at for key in store.listed() if key.name == "the-client"] == [None]
        asyncio.run(revoke(live, desk))
        assert live.ring is not before


def test_a_key_revoked_over_http_stops_at_once(own: Keyed) -> None:
    admin, key = own.texts["admin"], own.texts["client"]
    assert own.ask("DELETE", "/farthing/v1/keys/the-client", key=admin).status == 200
    answer = own.ask("GET", "/v1/models", key=key)

    assert error_of(answer) == UNAUTHENTICATED
    assert b"revoked" in answer.body


def test_the_first_key_closes_an_open_gateway(gateway: RunningGateway) -> None:
    def status() -> int:
        with RawClient(gateway.url) as client:
            client.send(http_request("GET", "/v1/models"))
            return client.answer().status

    assert status() == 200
    with key_desk(gateway.ledger.path) as (desk, _):
        desk.create(NewKey(name="first"), actor="test")
    eventually(lambda: status() == 401)


def test_without_a_provider_key_a_virtual_key_goes_nowhere(
    gateway: RunningGateway, upstream: RawUpstream
) -> None:
    with key_desk(gateway.ledger.path) as (desk, _):
        text = desk.create(NewKey(name="first"), actor="test").text
    running = Keyed(gateway, gateway.ledger.path, {})
    eventually(lambda: running.ask("GET", "/v1/models").status == 401)
    answer = running.ask("GET", "/v1/models", key=text)

    assert answer.status == 500
    assert b"FARTHING_API_KEY" in answer.body
    assert all(text.encode() not in str(each.headers).encode() for each in upstream.received)


def test_keys_are_made_rotated_and_listed_over_http(own: Keyed) -> None:
    admin = own.texts["admin"]
    said = b'{"name":"ci","models":["claude-haiku-*"],"expires_at":"2099-01-01T00:00:00Z"}'
    made = own.ask("POST", "/farthing/v1/keys", said, key=admin, headers=JSON)
    first = json.loads(made.body)["key"]
    turned = own.ask("POST", "/farthing/v1/keys/ci/rotate", b"{}", key=admin, headers=JSON)
    second = json.loads(turned.body)["key"]
    listed = own.ask("GET", "/farthing/v1/keys", key=own.texts["viewer"])

    assert (made.status, turned.status) == (201, 200)
    assert made.values(b"cache-control") == [b"no-store"]
    assert [own.ask("GET", "/v1/models", key=key).status for key in (first, second)] == [401, 200]
    [ci] = [key for key in json.loads(listed.body)["keys"] if key["name"] == "ci"]
    assert (ci["state"], ci["models"]) == ("active", ["claude-haiku-*"])
    events = [e for e in read_events(own.ledger) if e.subject == "ci"]
    assert [(e.kind, e.actor) for e in events] == [
        ("key.created", "key the-admin"),
        ("key.rotated", "key the-admin"),
    ]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{}", 400),
        (b'{"name":"CI"}', 400),
        (b'{"name":"the-client"}', 409),
        (b'{"name":"ci","role":"root"}', 400),
        (b'{"name":"ci","more":1}', 400),
        (b'{"name":"ci","levers":["magic"]}', 400),
        (b'{"name":"ci","expires_at":"2001-01-01T00:00:00Z"}', 409),
        (b'{"name":"' + b"a" * 20_000 + b'"}', 413),
    ],
)
def test_what_no_key_can_be_is_refused(own: Keyed, body: bytes, status: int) -> None:
    admin = own.texts["admin"]
    assert own.ask("POST", "/farthing/v1/keys", body, key=admin, headers=JSON).status == status


# -- web pages and names of somebody else --------------------------------------------------------


def get(running: RunningGateway, path: str, *headers: tuple[bytes, bytes]) -> int:
    lines = b"".join(b"%b: %b\r\n" % field for field in headers)
    with RawClient(running.url) as client:
        client.send(b"GET %b HTTP/1.1\r\n%b\r\n" % (path.encode(), lines))
        return client.answer().status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"127.0.0.1:8787", 404),
        (b"localhost", 404),
        (b"LOCALHOST:1", 404),
        (b"[::1]:8787", 404),
        (b"a.localhost", 404),
        (b"named.example", 404),
        (b"evil.example", 403),
        (b"127.0.0.1.evil.example", 403),
        (b"localhost.evil.example:8787", 403),
        (b"", 403),
    ],
)
def test_on_loopback_the_host_must_be_a_name_of_this_machine(
    upstream: RawUpstream, tmp_path: Path, host: bytes, status: int
) -> None:
    settings = Settings(
        upstream=upstream.url,
        port=0,
        ledger=str(tmp_path / "ledger.db"),
        hosts=("Named.example",),
    )
    with running_gateway(settings) as running:
        assert get(running, "/farthing/v1/exchanges/x", (b"host", host)) == status
        assert get(running, "/livez", (b"host", host)) == 200
        assert get(running, "/v1/models", (b"host", host)) == 200


@pytest.mark.parametrize(("host", "status"), [(b"localhost", 200), (b"evil.example", 403)])
def test_a_rebound_name_does_not_spend_the_gateways_key(
    upstream: RawUpstream, tmp_path: Path, host: bytes, status: int
) -> None:
    ledger = str(tmp_path / "ledger.db")
    settings = Settings(upstream=upstream.url, port=0, ledger=ledger, api_key=PROVIDER_KEY)
    with running_gateway(settings) as running:
        assert get(running, "/v1/models", (b"host", host)) == status
    assert len(upstream.received) == (status == 200)


@pytest.mark.parametrize(
    ("header", "is_refused"),
    [
        ((b"origin", b"https://evil.example"), True),
        ((b"origin", b"null"), True),
        ((b"sec-fetch-site", b"cross-site"), True),
        ((b"sec-fetch-site", b"same-site"), True),
        ((b"sec-fetch-site", b"same-origin"), False),
        ((b"sec-fetch-site", b"none"), False),
    ],
)
def test_a_web_page_changes_nothing_even_with_a_key(
    own: Keyed, header: tuple[bytes, bytes], is_refused: bool
) -> None:
    answer = own.ask(
        "POST",
        "/farthing/v1/keys",
        b'{"name":"ci"}',
        key=own.texts["admin"],
        headers=[*JSON, header],
    )
    assert answer.status == (403 if is_refused else 201)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (b"application/json", 201),
        (b"Application/JSON; charset=utf-8", 201),
        (b"text/plain", 415),
        (b"application/x-www-form-urlencoded", 415),
        (b"", 415),
    ],
)
def test_a_form_makes_no_key(own: Keyed, content_type: bytes, status: int) -> None:
    answer = own.ask(
        "POST",
        "/farthing/v1/keys",
        b'{"name":"ci"}',
        key=own.texts["admin"],
        headers=[(b"content-type", content_type)],
    )
    assert answer.status == status


# -- where a key is needed -----------------------------------------------------------------------


def test_without_keys_the_pages_of_keys_stay_closed(gateway: RunningGateway) -> None:
    assert get(gateway, "/farthing/v1/keys", (b"host", b"localhost")) == 401
    assert get(gateway, "/metrics", (b"host", b"localhost")) == 200


def test_beyond_loopback_pages_need_a_key_and_calls_pass_with_the_clients_own(
    upstream: RawUpstream, tmp_path: Path
) -> None:
    settings = Settings(
        upstream=upstream.url, host="0.0.0.0", port=0, ledger=str(tmp_path / "ledger.db")
    )
    with running_gateway(settings) as running:
        port = running.url.rpartition(":")[2]
        there = RunningGateway(f"http://127.0.0.1:{port}", running.ledger, running.metrics)
        host = (b"host", b"gateway.example")
        statuses = [get(there, path, host) for path in ("/livez", "/metrics", "/v1/models")]

    assert statuses == [200, 401, 200]


def test_keys_may_be_required_before_there_is_one(upstream: RawUpstream, tmp_path: Path) -> None:
    settings = Settings(
        upstream=upstream.url,
        port=0,
        ledger=str(tmp_path / "ledger.db"),
        api_key=PROVIDER_KEY,
        require_key=True,
    )
    with running_gateway(settings) as running:
        assert get(running, "/v1/models", (b"host", b"localhost")) == 401
    assert upstream.received == []


@pytest.mark.parametrize(
    ("given", "has_keys", "starts"),
    [
        ({}, False, True),
        ({}, True, False),
        ({"require_key": True}, False, False),
        ({"api_key": PROVIDER_KEY}, True, True),
        ({"api_key": PROVIDER_KEY, "host": "0.0.0.0"}, False, False),
        ({"api_key": PROVIDER_KEY, "host": "0.0.0.0"}, True, True),
        ({"api_key": PROVIDER_KEY, "host": "0.0.0.0", "require_key": True}, False, True),
    ],
)
def test_a_gateway_starts_only_where_its_key_is_safe_and_of_use(
    tmp_path: Path, given: dict[str, object], has_keys: bool, starts: bool
) -> None:
    ledger = tmp_path / "ledger.db"
    if has_keys:
        with key_desk(ledger) as (desk, _):
            desk.create(NewKey(name="ci"), actor="test")
            desk.revoke("ci", actor="test")
    settings = Settings(upstream="http://127.0.0.1:9", port=0, ledger=str(ledger), **given)  # type: ignore[arg-type]  # a table's values
    if starts:
        with running_gateway(settings):
            return
    with pytest.raises(ConfigError), running_gateway(settings):
        pass


# -- names and sources ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "is_so"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("localhost.", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("notlocalhost", False),
        ("", False),
    ],
)
def test_a_loopback_is_told_from_other_names(host: str, is_so: bool) -> None:
    assert is_loopback(host) is is_so


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8::1", "2001:db8::"),
        ("2001:db8:0:0:ffff::9", "2001:db8::"),
        ("2001:db8:0:1::1", "2001:db8:0:1::"),
        ("a name", "elsewhere"),
        (None, "elsewhere"),
    ],
)
def test_a_source_is_an_address_or_a_network_of_one_customer(
    address: str | None, source: str
) -> None:
    assert source_of(address) == source
