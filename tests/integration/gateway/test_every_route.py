"""Every row of the table of pages, asked in every way that must not work.

What each role may is tested in ``test_access``; here is what no key makes right: other methods,
other spellings, web pages, foreign names, bodies without end, and guesses. The rows are those of
the table itself, so a new page is under test from its first day.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from farthing.compose import RunningGateway
from farthing.gateway.page_rules import PAGES, PageRule
from tests.integration.gateway.keyed import Keyed, keyed_gateway
from tests.integration.gateway.raw_http import (
    RawAnswer,
    RawClient,
    RawUpstream,
    http_request,
    raw_upstream,
)
from tests.integration.gateway.test_bytes import JSON

METHODS = frozenset("GET HEAD POST PUT PATCH DELETE OPTIONS TRACE CONNECT PROPFIND".split())
CLOSED = [rule for rule in PAGES if rule.roles is not None]
ROWS = [(rule, method) for rule in PAGES for method in sorted(rule.methods)]
CLOSED_ROWS = [(rule, method) for rule, method in ROWS if rule.roles is not None]


@pytest.fixture(scope="module")
def upstream_of_all() -> Iterator[RawUpstream]:
    with raw_upstream() as running:
        yield running


@pytest.fixture(scope="module")
def keyed(
    upstream_of_all: RawUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Keyed]:
    with (
        pytest.MonkeyPatch.context() as patched,
        keyed_gateway(upstream_of_all.url, tmp_path_factory.mktemp("keyed")) as running,
    ):
        # all of it comes from one address; how that is blocked is tested elsewhere
        patched.setattr("farthing.core.access.FailureLimit.is_blocked", lambda *_: False)
        yield running


def path_of(rule: PageRule) -> str:
    return re.sub(r"\{\w+\}", "nobody", rule.path)


def best_key(keyed: Keyed, rule: PageRule) -> str:
    """The key that opens a page: of those that do, the mightiest."""
    assert rule.roles is not None
    return keyed.texts["admin" if "admin" in rule.roles else "viewer"]


def named(value: object) -> str:
    return value.path if isinstance(value, PageRule) else str(value)


def said(answer: RawAnswer) -> str:
    kind: str = json.loads(answer.body)["error"]["type"]
    return kind


@pytest.mark.parametrize("rule", PAGES, ids=named)
@pytest.mark.parametrize("role", [None, "viewer", "admin", "client"])
def test_a_page_takes_no_method_but_its_own(keyed: Keyed, rule: PageRule, role: str | None) -> None:
    path = path_of(rule)
    taken = {method for each in PAGES if each.matches(path) for method in each.methods}
    key = None if role is None else keyed.texts[role]
    for method in METHODS - taken - {"CONNECT"}:
        answer = keyed.ask(method, path, b"{}", key=key, headers=JSON)
        assert (method, answer.status) == (method, 405)
        assert answer.values(b"access-control-allow-origin") == []


@pytest.mark.parametrize("rule", CLOSED, ids=named)
def test_another_spelling_of_a_page_is_no_way_in(
    keyed: Keyed, upstream_of_all: RawUpstream, rule: PageRule
) -> None:
    path = path_of(rule)
    first, rest = path[:2], path[2:]
    spellings = [
        f"/{path}",
        f"{path}/",
        path.upper(),
        f"/%{ord(first[1]):02x}{rest}",
        f"/livez/..{path}",
        f"/livez%2f..{quote(path, safe='')}",
        f"{path};a=b",
        f"{path}%00",
        f"{path}?x=/livez",
        f"/v1/..{path}",
        f"http://localhost{path}",
        f"{path}#/livez",
    ]
    before = len(upstream_of_all.received)
    for spelling in spellings:
        for method in sorted(rule.methods):
            answer = keyed.ask(method, spelling, b"{}", headers=JSON)
            assert answer.status in {400, 401, 404, 405}, (method, spelling)
    assert upstream_of_all.received[before:] == []


@pytest.mark.parametrize(("rule", "method"), CLOSED_ROWS, ids=named)
@pytest.mark.parametrize(
    "field",
    [
        (b"origin", b"https://evil.example"),
        (b"origin", b"null"),
        (b"origin", b""),
        (b"sec-fetch-site", b"cross-site"),
        (b"sec-fetch-site", b"Same-Site"),
    ],
    ids=lambda field: b"=".join(field).decode(),
)
def test_no_web_page_uses_a_page_even_with_the_right_key(
    keyed: Keyed, rule: PageRule, method: str, field: tuple[bytes, bytes]
) -> None:
    key = best_key(keyed, rule)
    assert keyed.ask(method, path_of(rule), b"{}", key=key, headers=[*JSON, field]).status == 403


@pytest.mark.parametrize(("rule", "method"), CLOSED_ROWS, ids=named)
def test_a_name_that_is_rebound_to_this_machine_uses_no_page(
    keyed: Keyed, rule: PageRule, method: str
) -> None:
    key = best_key(keyed, rule).encode()
    lines = b"%b %b HTTP/1.1\r\nhost: evil.example\r\nx-api-key: %b\r\ncontent-length: 0\r\n\r\n"
    with RawClient(keyed.gateway.url) as client:
        client.send(lines % (method.encode(), path_of(rule).encode(), key))
        assert client.answer(is_head=method == "HEAD").status == 403


def changing() -> list[tuple[PageRule, str]]:
    return [(rule, method) for rule, method in ROWS if method in {"POST", "PUT"}]


@pytest.mark.parametrize(("rule", "method"), changing(), ids=named)
def test_a_body_that_is_too_long_for_a_page_is_refused(
    keyed: Keyed, rule: PageRule, method: str
) -> None:
    long = b'{"name":"' + b"a" * 70_000 + b'"}'
    answer = keyed.ask(method, path_of(rule), long, key=best_key(keyed, rule), headers=JSON)
    assert (answer.status, said(answer)) == (413, "request_too_large")


@pytest.mark.parametrize(("rule", "method"), changing(), ids=named)
def test_a_page_that_changes_something_for_good_takes_json_only(
    keyed: Keyed, rule: PageRule, method: str
) -> None:
    if not rule.is_always_closed:
        assert rule.path.endswith("/outcome")  # what a task's end was: no form can say it
        return
    for kind in (b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data"):
        fields = [(b"content-type", kind)]
        answer = keyed.ask(method, path_of(rule), b"{}", key=best_key(keyed, rule), headers=fields)
        assert answer.status == 415


@pytest.mark.parametrize(("rule", "method"), CLOSED_ROWS, ids=named)
def test_without_any_key_what_changes_something_stays_closed(
    gateway: RunningGateway, rule: PageRule, method: str
) -> None:
    with RawClient(gateway.url) as client:
        client.send(http_request(method, path_of(rule), b"{}", JSON))
        status = client.answer(is_head=method == "HEAD").status
    is_closed = rule.is_always_closed or (method not in {"GET", "HEAD"} and "task" not in rule.path)
    assert (status == 401) == is_closed
