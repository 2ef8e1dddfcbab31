"""Fetches the provider's usage report: every page, with the admin key and nothing else of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal
from urllib.parse import urlencode

from farthing.config import Settings
from farthing.errors import ConfigError, UpstreamError
from farthing.transport import Upstream, UpstreamSettings
from farthing.wire.envelope import parse_error
from farthing.wire.usage_report import ReportedUse, parse_usage_page

__all__ = ["UsageQuery", "fetch_usage"]

_PATH: Final = b"/v1/organizations/usage_report/messages"
_VERSION: Final = (b"anthropic-version", b"2023-06-01")
#: the most buckets a page may have (API facts, section 7)
_LIMITS: Final = {"1h": 168, "1d": 31}
_GROUPS: Final = ("model", "service_tier", "inference_geo", "speed")
_PAGES: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuery:
    """Which part of the report."""

    starting_at: datetime
    ending_at: datetime
    width: Literal["1h", "1d"]
    #: empty: of all
    api_key_ids: Sequence[str] = ()
    workspace_ids: Sequence[str] = ()


def fetch_usage(settings: Settings, query: UsageQuery) -> list[ReportedUse]:
    """The lines of the report, oldest first; ``UpstreamError`` where it cannot be had."""
    if settings.admin_key is None:
        raise ConfigError(
            "the usage report needs an admin key: set FARTHING_ADMIN_KEY, or upstream.admin_key in "
            "the settings file"
        )
    upstream = UpstreamSettings(
        url=settings.upstream,
        connect_seconds=settings.connect_seconds,
        silence_seconds=settings.silence_seconds or None,
        trust_env=settings.trust_env,
    )
    return asyncio.run(_fetch(upstream, settings.admin_key, query))


async def _fetch(settings: UpstreamSettings, key: str, query: UsageQuery) -> list[ReportedUse]:
    headers = [_VERSION, (b"x-api-key", key.encode("latin-1")), (b"accept-encoding", b"identity")]
    uses: list[ReportedUse] = []
    members = _members(query)
    async with Upstream(settings) as upstream:
        for _ in range(_PAGES):
            target = (_PATH, urlencode(members).encode())
            page = parse_usage_page(await _read(upstream, target, headers))
            uses += page.uses
            if page.next_page is None:
                return uses
            members = [*_members(query), ("page", page.next_page)]
    raise UpstreamError(f"the usage report has more than {_PAGES} pages: name a later --since")


async def _read(
    upstream: Upstream, target: tuple[bytes, bytes], headers: Sequence[tuple[bytes, bytes]]
) -> bytes:
    answer = await upstream.send("GET", target, headers)
    try:
        body = b"".join([chunk async for chunk in answer.chunks()])
    finally:
        answer.close()
    if answer.status != 200:
        said = parse_error(body)
        why = said.type if said is not None else "no reason given"
        raise UpstreamError(
            f"the usage report was refused with {answer.status} ({why}): check the admin key"
        )
    return body


def _members(query: UsageQuery) -> list[tuple[str, str]]:
    return [
        ("starting_at", _text(query.starting_at)),
        ("ending_at", _text(query.ending_at)),
        ("bucket_width", query.width),
        ("limit", str(_LIMITS[query.width])),
        *(("group_by[]", name) for name in _GROUPS),
        *(("api_key_ids[]", name) for name in query.api_key_ids),
        *(("workspace_ids[]", name) for name in query.workspace_ids),
    ]


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
