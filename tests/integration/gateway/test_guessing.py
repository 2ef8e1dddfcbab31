"""Who guesses keys is slowed down, and nobody else is."""

from __future__ import annotations

import json
import time
from pathlib import Path

from farthing.gateway.page_rules import PAGES
from tests.integration.gateway.keyed import keyed_gateway
from tests.integration.gateway.raw_http import RawUpstream
from tests.integration.gateway.test_bytes import JSON

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


def test_who_guesses_is_stopped_on_every_page(upstream: RawUpstream, tmp_path: Path) -> None:
    closed = [(rule.path, each) for rule in PAGES if rule.roles for each in rule.methods]
    statuses: dict[tuple[str, str], list[int]] = {}
    with keyed_gateway(upstream.url, tmp_path) as keyed:
        begun = time.monotonic()
        for _ in range(8):
            for path, method in closed:
                answer = keyed.ask(method, path, b"{}", key=WRONG, headers=JSON)
                statuses.setdefault((path, method), []).append(answer.status)
        seconds = time.monotonic() - begun
        assert keyed.ask("GET", "/livez").status == 200

    everything = [status for row in statuses.values() for status in row]
    assert set(everything) == {401, 429}
    assert all(429 in row for row in statuses.values())
    # twenty at once, and from then on one every three seconds
    assert everything.count(401) <= 20 + seconds / 3 + 1
