"""Who guesses keys is slowed down, and nobody else is."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.gateway.keyed import keyed_gateway
from tests.integration.gateway.raw_http import RawUpstream

WRONG = "sk-farthing-0123456789ab-" + "w" * 43


def test_after_twenty_wrong_keys_only_known_ones_are_served(
    upstream: RawUpstream, tmp_path: Path
) -> None:
    with keyed_gateway(upstream.url, tmp_path) as keyed:
        client, viewer = keyed.texts["client"], keyed.texts["viewer"]
        assert keyed.ask("GET", "/v1/models", key=client).status == 200
        guesses = [keyed.ask("GET", "/v1/models", key=WRONG) for _ in range(30)]
        known = keyed.ask("GET", "/v1/models", key=client)
        unknown = keyed.ask("GET", "/metrics", key=viewer)

    statuses = [guess.status for guess in guesses]
    assert statuses[:20] == [401] * 20
    assert 429 in statuses[20:]
    assert known.status == 200
    assert unknown.status == 429
    assert unknown.values(b"x-should-retry") == [b"false"]
    assert json.loads(unknown.body)["error"]["type"] == "rate_limit_error"
