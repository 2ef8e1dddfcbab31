"""The way upstream where it is not plain: a company's CA, a proxy from the environment, both."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from farthing.compose import running_gateway
from farthing.config import Settings
from farthing.errors import ConfigError
from tests.integration.gateway.raw_http import (
    RawAnswer,
    RawClient,
    RawUpstream,
    chunked,
    http_answer,
    http_request,
)
from tests.integration.gateway.test_bytes import BODIES, JSON, MESSAGE, STREAM, without_framing
from tests.integration.gateway.tls import (
    Certificates,
    Served,
    make_certificates,
    tls_upstream,
    tunnel_proxy,
)

CA_VARIABLES = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"]
PROXIES = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*CA_VARIABLES, *PROXIES):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def claude(certificates: Certificates) -> Iterator[Served]:
    with tls_upstream(certificates, MESSAGE) as served:
        yield served


@contextmanager
def asked(upstream: str, folder: Path, **given: Any) -> Iterator[tuple[RawAnswer, list[str]]]:
    """One call through a gateway of its own: the answer and the states of the rows."""
    settings = Settings(upstream=upstream, port=0, ledger=str(folder / "ledger.db"), **given)
    with running_gateway(settings) as running, RawClient(running.url) as client:
        client.send(http_request("POST", "/v1/messages", BODIES["plain"], JSON))
        answer = client.answer()
        running.ledger.flush()
        yield answer, [row.state for row in running.ledger.rows()]


@pytest.mark.parametrize("name", CA_VARIABLES)
def test_a_ca_that_the_environment_names_is_trusted(
    certificates: Certificates,
    claude: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setenv(name, str(certificates.ca))
    with asked(f"https://127.0.0.1:{claude.port}", tmp_path) as (answer, states):
        assert (answer.status, answer.body, states) == (200, MESSAGE, ["settled"])


@pytest.mark.parametrize("trust_env", [True, False])
def test_a_certificate_nobody_vouches_for_is_a_502_and_nothing_was_sent(
    certificates: Certificates,
    claude: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trust_env: bool,
) -> None:
    if not trust_env:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.ca))
    upstream = f"https://127.0.0.1:{claude.port}"
    with asked(upstream, tmp_path, trust_env=trust_env) as (answer, states):
        said = json.loads(answer.body)
        assert (answer.status, said["type"], states) == (502, "error", ["released"])
        assert "certificate" in said["error"]["message"]
    assert claude.lines == []


def test_a_ca_file_that_is_not_there_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with (
        pytest.raises(ConfigError, match="cannot read the CA"),
        asked("https://claude.test", tmp_path),
    ):
        pass


def test_https_goes_through_the_proxy_of_the_environment_as_a_tunnel(
    certificates: Certificates, claude: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca))
    with tunnel_proxy(claude.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@127.0.0.1:{proxy.port}")
        with asked("https://claude.test", tmp_path) as (answer, states):
            assert (answer.status, answer.body, states) == (200, MESSAGE, ["settled"])

    assert proxy.lines == [b"CONNECT claude.test:443 HTTP/1.1"]
    credentials = base64.b64encode(b"user:secret")
    assert proxy.headers[0][b"proxy-authorization"] == b"Basic " + credentials
    assert claude.lines == [b"POST /v1/messages HTTP/1.1"]


def test_a_proxy_that_is_down_is_a_502_that_names_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@127.0.0.1:9")
    with asked("https://claude.test", tmp_path) as (answer, states):
        assert (answer.status, states) == (502, ["released"])
        assert b"proxy" in answer.body
        assert b"secret" not in answer.body


def test_no_proxy_and_trust_env_off_both_go_straight(
    certificates: Certificates, claude: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    # 127.0.0.1 is in NO_PROXY here
    with asked(f"https://127.0.0.1:{claude.port}", tmp_path) as (answer, _):
        assert answer.status == 200


# -- plain http through a proxy, which sees all of it ---------------------------------------------


@pytest.fixture
def forwarded(
    upstream: RawUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RawClient]:
    """A client of a gateway whose every call the proxy of the environment takes and answers."""
    monkeypatch.setenv("HTTP_PROXY", upstream.url)
    settings = Settings(
        upstream="http://claude.test/base",
        port=0,
        ledger=str(tmp_path / "ledger.db"),
        cache="off",
    )
    with running_gateway(settings) as running, RawClient(running.url) as client:
        yield client


@pytest.mark.parametrize("name", BODIES)
def test_a_body_passes_a_proxy_as_it_was_sent(
    forwarded: RawClient, upstream: RawUpstream, name: str
) -> None:
    forwarded.send(http_request("POST", "/v1/messages?beta=true", BODIES[name], JSON))

    assert forwarded.answer().status == 200
    [received] = upstream.received
    assert received.line == b"POST http://claude.test/base/v1/messages?beta=true HTTP/1.1"
    assert received.body == BODIES[name]


@pytest.mark.parametrize(("method", "body"), [("POST", BODIES["plain"]), ("GET", b"")])
def test_header_bytes_pass_a_proxy_as_they_were_sent(
    forwarded: RawClient, upstream: RawUpstream, method: str, body: bytes
) -> None:
    odd = [(b"x-utf8", "é→日本".encode()), (b"x-latin1", b"caf\xe9 \xff"), (b"x-empty", b"")]
    fields = [*odd, *JSON]
    forwarded.send(http_request(method, "/v1/models", body, fields))

    assert forwarded.answer().status == 200
    assert without_framing(upstream.received[-1].headers) == fields


def test_a_body_in_pieces_and_an_answer_in_pieces_pass_a_proxy(
    forwarded: RawClient, upstream: RawUpstream
) -> None:
    upstream.reply(list(chunked(*STREAM)))
    head = b"POST /v1/files HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    forwarded.send(head, b"3\r\nabc\r\n", b"2\r\nde\r\n", b"0\r\n\r\n")

    assert forwarded.answer().body == b"".join(STREAM)
    assert upstream.received[-1].body == b"abcde"


def test_an_answer_that_a_proxy_cuts_is_a_502_and_an_interval(
    upstream: RawUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", upstream.url)
    upstream.reply(lambda connection: connection.sendall(http_answer(MESSAGE)[:-20]))
    with asked("http://claude.test", tmp_path) as (answer, states):
        assert (answer.status, states) == (502, ["unsettled"])
