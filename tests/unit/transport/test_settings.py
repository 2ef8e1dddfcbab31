"""A base URL becomes a server, or a message that says what is wrong with it."""

from __future__ import annotations

import pytest

from farthing.errors import ConfigError
from farthing.transport.settings import Origin


@pytest.mark.parametrize(
    ("url", "host", "port", "authority", "prefix"),
    [
        ("https://api.anthropic.com", "api.anthropic.com", 443, b"api.anthropic.com", b""),
        ("https://api.anthropic.com/", "api.anthropic.com", 443, b"api.anthropic.com", b""),
        ("https://API.Anthropic.com:443", "api.anthropic.com", 443, b"api.anthropic.com", b""),
        ("http://127.0.0.1:8080/a/b/", "127.0.0.1", 8080, b"127.0.0.1:8080", b"/a/b"),
        ("http://[::1]:9", "::1", 9, b"[::1]:9", b""),
        ("http://[::1]", "::1", 80, b"[::1]", b""),
        ("https://bücher.test", "xn--bcher-kva.test", 443, b"xn--bcher-kva.test", b""),
    ],
)
def test_a_url_says_where_to_connect_and_what_to_call_it(url, host, port, authority, prefix):
    origin = Origin.of(url)

    assert (origin.host, origin.port, origin.authority, origin.prefix) == (
        host,
        port,
        authority,
        prefix,
    )
    assert origin.is_https is url.startswith("https")


@pytest.mark.parametrize(
    "url",
    [
        "api.anthropic.com",
        "ftp://api.anthropic.com",
        "https://",
        "https://x:notaport",
        "https://x/?a=b",
        "https://x/#a",
        "https://x/ü",
        f"https://{'x' * 64}.test",
        "https://[::1",
        "",
    ],
)
def test_what_is_no_url_of_a_server_is_said(url):
    with pytest.raises(ConfigError, match="is not an http or https URL"):
        Origin.of(url)


@pytest.mark.parametrize("url", ["https://me:secret@x", "https://me@x", "ftp://me:secret@x"])
def test_a_url_with_a_password_is_refused_without_repeating_it(url):
    with pytest.raises(ConfigError) as caught:
        Origin.of(url)

    assert "secret" not in str(caught.value)
