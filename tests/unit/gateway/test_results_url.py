from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.gateway.results_url import client_origin, origin_of, with_results_urls

UPSTREAM = "https://api.anthropic.com"
CLIENT = "http://127.0.0.1:8787"
URL = f"{UPSTREAM}/v1/messages/batches/msgbatch_1/results"
MOVED = f"{CLIENT}/v1/messages/batches/msgbatch_1/results"


def changed(body: bytes) -> bytes | None:
    return with_results_urls(body, upstream=UPSTREAM, client=CLIENT)


def batch(url: object) -> bytes:
    # spaced, with an escape, a number beyond a double and a field nobody knows
    url_text = json.dumps(url).encode()
    return b'{ "x-\\u00e9": 1.00, "n":12345678901234567890,\n "results_url" : ' + url_text + b" }\n"


def test_the_url_of_a_batch_moves_and_every_other_byte_stays():
    assert changed(batch(URL)) == batch(MOVED)


def test_each_url_of_a_list_moves():
    rows = [batch(URL), batch(None), b"7", batch(URL)]
    body = b'{"data": [' + b" , ".join(rows) + b'], "has_more":false}'

    assert changed(body) == body.replace(UPSTREAM.encode(), CLIENT.encode())


def test_an_escaped_url_is_understood():
    assert changed(batch(URL).replace(b"/v1", b"\\/v1")) == batch(MOVED)


def test_a_name_given_twice_moves_twice():
    body = b'{"results_url":"%b","results_url":"%b"}' % (URL.encode(), URL.encode())

    assert changed(body) == body.replace(URL.encode(), MOVED.encode())


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.test/v1/messages/batches/msgbatch_1/results",
        "http://api.anthropic.com/v1/messages/batches/msgbatch_1/results",
        "https://api.anthropic.com:444/v1/messages/batches/msgbatch_1/results",
        "https://api.anthropic.com:x/v1/messages/batches/msgbatch_1/results",
        f"{URL}?x=1",
        f"{URL}#x",
        f"{URL}/more",
        f"{UPSTREAM}/v1/messages/batches/a/b/results",
        f"{UPSTREAM}/v1/files/file_1/content",
        UPSTREAM,
        "file:///v1/messages/batches/msgbatch_1/results",
        "not a url",
        "",
        None,
        7,
        {"results_url": URL},
    ],
)
def test_any_other_url_stays(url):
    assert changed(batch(url)) is None


@pytest.mark.parametrize("url", [f"{UPSTREAM}:443{URL.removeprefix(UPSTREAM)}", URL.upper()])
def test_one_origin_has_several_spellings(url):
    # the path is matched as written: only scheme and host ignore case
    assert (changed(batch(url)) is not None) is (url != URL.upper())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"results_url",
        b'"results_url"',
        b'["results_url"]',
        b'{"results_url":',
        b'{"data":["results_url"]}',
        b'{"data":{"results_url":"%b"}}' % URL.encode(),
        b'{"results_url":"\xff"}',
    ],
)
def test_what_is_no_batch_stays(body):
    assert changed(body) is None


@given(st.binary(max_size=200))
def test_no_body_breaks_it(noise: bytes):
    changed(b'{"results_url":' + noise)
    changed(noise + b"results_url")


@pytest.mark.parametrize(
    ("headers", "origin"),
    [
        ([(b"host", b"127.0.0.1:8787")], CLIENT),
        ([(b"host", b"a"), (b"x-forwarded-proto", b" HTTPS ")], "https://a"),
        ([(b"host", b"a"), (b"x-forwarded-host", b"llm.corp:8443, b")], "http://llm.corp:8443"),
        ([(b"host", b"[::1]:8787")], "http://[::1]:8787"),
        ([(b"host", b'evil"host')], None),
        ([(b"host", b"user@host")], None),
        ([(b"host", b"host/path")], None),
        ([(b"host", b"a"), (b"x-forwarded-proto", b"gopher")], None),
        ([], None),
    ],
)
def test_the_origin_is_what_the_client_or_its_proxy_says(headers, origin):
    assert client_origin(headers) == origin


@pytest.mark.parametrize("url", ["http://[", "https://", "mailto:a@b", "https://a:70000"])
def test_what_is_no_address_has_no_origin(url):
    assert origin_of(url) is None
