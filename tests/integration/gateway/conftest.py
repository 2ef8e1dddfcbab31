"""A gateway of the test's own on loopback, in front of an upstream that says what it is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from farthing.compose import RunningGateway, running_gateway
from farthing.config import Settings
from tests.integration.gateway.raw_http import RawClient, RawUpstream, raw_upstream


@pytest.fixture
def upstream() -> Iterator[RawUpstream]:
    with raw_upstream() as running:
        yield running


@pytest.fixture
def gateway(upstream: RawUpstream, tmp_path: Path) -> Iterator[RunningGateway]:
    settings = Settings(
        upstream=upstream.url, port=0, ledger=str(tmp_path / "ledger.db"), cache="off"
    )
    with running_gateway(settings) as running:
        yield running


@pytest.fixture
def client(gateway: RunningGateway) -> Iterator[RawClient]:
    with RawClient(gateway.url) as connected:
        yield connected
