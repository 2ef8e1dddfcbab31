"""A gateway with keys of every kind, for tests of who may come in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from farthing.compose import RunningGateway, running_gateway
from farthing.compose.access import key_desk
from farthing.config import Settings
from farthing.core.keys import ROLES
from farthing.driver.keys import NewKey
from farthing.ledger.keys import SqliteKeys
from tests.integration.gateway.raw_http import RawAnswer, RawClient, http_request

PROVIDER_KEY = "sk-ant-api03-the-provider-key-of-the-gateway"


@dataclass
class Keyed:
    """A gateway, and the texts of its keys by what they are."""

    gateway: RunningGateway
    ledger: Path
    texts: dict[str, str]

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        key: str | None = None,
        headers: list[tuple[bytes, bytes]] | None = None,
    ) -> RawAnswer:
        fields = list(headers or [])
        if key is not None:
            fields.append((b"x-api-key", key.encode()))
        with RawClient(self.gateway.url) as client:
            client.send(http_request(method, path, body, fields))
            return client.answer(is_head=method == "HEAD")


def make_keys(ledger: Path) -> dict[str, str]:
    """One key of each role, and one each that is revoked and expired."""
    with key_desk(ledger) as (desk, _):
        texts: dict[str, str] = {
            role: desk.create(NewKey(name=f"the-{role}", role=role), actor="test").text
            for role in ROLES
        }
        for state in ("revoked", "expired"):
            wanted = NewKey(name=f"the-{state}", role="admin")
            texts[state] = desk.create(wanted, actor="test").text
        desk.revoke("the-revoked", actor="test")
    expire(ledger, "the-expired")
    return texts


def expire(ledger: Path, name: str) -> None:
    with closing(SqliteKeys(ledger)) as store:
        [key] = [key for key in store.listed() if key.name == name]
        over = datetime.now(UTC) - timedelta(seconds=1)
        assert store.change(replace(key, expires_at=over, version=key.version + 1))


@contextmanager
def keyed_gateway(upstream: str, folder: Path, **given: Any) -> Iterator[Keyed]:
    ledger = folder / "ledger.db"
    texts = make_keys(ledger)
    settings = Settings(
        upstream=upstream, port=0, ledger=str(ledger), api_key=PROVIDER_KEY, **given
    )
    with running_gateway(settings) as gateway:
        yield Keyed(gateway, ledger, texts)
