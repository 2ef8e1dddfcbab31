"""The environment's proxy and CA settings."""

from __future__ import annotations

import pytest

from farthing.errors import ConfigError
from farthing.transport.proxies import ca_files, proxy_for

CA_NAMES = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"]
API = "https://api.anthropic.com"


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in CA_NAMES:
        monkeypatch.delenv(name, raising=False)


def test_no_proxy_without_a_word_about_one():
    assert proxy_for(API) is None


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_the_proxy_is_read_from_the_environment(monkeypatch, name):
    monkeypatch.setenv(name, "http://proxy.test:3128")

    assert proxy_for(API) == "http://proxy.test:3128"


def test_the_proxy_of_the_other_scheme_is_not_ours(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:3128")

    assert proxy_for(API) is None


def test_no_proxy_names_hosts_that_are_reached_directly(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", "localhost,.anthropic.com")

    assert proxy_for(API) is None


def test_a_proxy_without_a_scheme_is_an_http_proxy(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "proxy.test:3128")

    assert proxy_for(API) == "http://proxy.test:3128"


def test_a_socks_proxy_is_refused_without_showing_its_password(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "socks5://user:hunter2@proxy.test:1080")

    with pytest.raises(ConfigError) as caught:
        proxy_for(API)

    assert "socks5://proxy.test:1080" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", CA_NAMES)
def test_the_ca_file_that_other_clients_use_is_used(monkeypatch, name):
    monkeypatch.setenv(name, "/no/such/ca.pem")

    assert ca_files() == ("/no/such/ca.pem", None)
