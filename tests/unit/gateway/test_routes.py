"""Which call is which, and how large its body may be."""

from __future__ import annotations

import pytest

from farthing.gateway.routes import Routes

MB = 1024 * 1024


@pytest.mark.parametrize(
    ("method", "path", "kind", "name"),
    [
        ("POST", "/v1/messages", "messages", "/v1/messages"),
        ("POST", "/v1/messages/", "messages", "/v1/messages/"),
        ("GET", "/v1/messages", "other", "/v1/messages"),
        ("POST", "/v1/messages/count_tokens", "count_tokens", "/v1/messages/count_tokens"),
        ("POST", "/v1/messages/batches", "other", "/v1/messages/batches"),
        (
            "GET",
            "/v1/messages/batches/msgbatch_013Zva2CMHLNnXjNJJKqJ2EF",
            "other",
            "/v1/messages/batches/{id}",
        ),
        (
            "GET",
            "/v1/messages/batches/msgbatch_01/results",
            "other",
            "/v1/messages/batches/{id}/results",
        ),
        ("GET", "/v1/models/claude-opus-4-5", "other", "/v1/models/{id}"),
        ("GET", "/v1/files/file_011/content", "other", "/v1/files/{id}/content"),
        ("HEAD", "/api/hello", "other", "/api/hello"),
        ("POST", "/v1/what/comes/next", "other", "/v1/what/comes/next"),
        ("GET", "/", "other", "/"),
    ],
)
def test_a_call_has_a_kind_and_a_name_without_ids(method, path, kind, name):
    route = Routes().of(method, path)

    assert (route.kind, route.name) == (kind, name)


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/v1/messages", 32 * MB),
        ("/v1/messages/count_tokens", 32 * MB),
        ("/v1/messages/batches", 256 * MB),
        ("/v1/files", 500 * MB),
    ],
)
def test_the_limits_are_the_providers(path, limit):
    assert Routes().of("POST", path).max_body_bytes == limit


def test_a_name_is_short_however_long_the_path():
    assert Routes().of("GET", "/a" * 1000).name.count("/") < 6
