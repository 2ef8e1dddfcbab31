from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from farthing.errors import UpstreamError
from farthing.wire.usage import Usage
from farthing.wire.usage_report import ReportedUse, parse_usage_page

RESULT = {
    "uncached_input_tokens": 1500,
    "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
    "cache_read_input_tokens": 20_000,
    "output_tokens": 700,
    "server_tool_use": {"web_search_requests": 3},
    "model": "claude-opus-5-5",
    "service_tier": "standard",
    "context_window": "0-200k",
    "inference_geo": "global",
    "api_key_id": None,
    "workspace_id": None,
    "speed": None,
    "something_new": [1],
}
BUCKET = {
    "starting_at": "2026-11-12T00:00:00Z",
    "ending_at": "2026-11-13T00:00:00Z",
    "results": [RESULT, {"server_tool_use": None}],
}
DAY = datetime(2026, 11, 12, tzinfo=UTC)


def page(**given) -> bytes:
    return json.dumps({"data": [BUCKET], "has_more": False, "next_page": None} | given).encode()


def test_a_line_has_disjoint_counts_and_how_it_was_served():
    full, empty = parse_usage_page(page()).uses

    assert full == ReportedUse(
        starting_at=DAY,
        model="claude-opus-5-5",
        usage=Usage(
            uncached=1500,
            cache_write_5m=500,
            cache_write_1h=1000,
            cache_read=20_000,
            output=700,
            web_search_requests=3,
            service_tier="standard",
            inference_geo="global",
        ),
    )
    assert empty == ReportedUse(starting_at=DAY, model=None, usage=Usage())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"has_more": True, "next_page": "p2"}, "p2"),
        ({"has_more": False, "next_page": "p2"}, None),
    ],
)
def test_a_page_says_whether_there_is_another(given, expected):
    assert parse_usage_page(page(**given)).next_page == expected


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data":[{"starting_at":"x"}]}', b"\xff"])
def test_what_is_no_report_is_an_upstreams_error(body):
    with pytest.raises(UpstreamError, match="usage report"):
        parse_usage_page(body)
