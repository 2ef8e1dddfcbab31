"""The Admin API's usage report: what an organization was counted for, per bucket and model.

Rules from outside (API facts, section 7; provider's page on the usage and cost API, 2026-11):
``uncached_input_tokens`` is what Messages call ``input_tokens``; fields that were not grouped by
are null; a page says whether there is another.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec

from farthing.errors import UpstreamError
from farthing.wire.usage import Usage

__all__ = ["ReportedUse", "UsagePage", "parse_usage_page"]

_Count = Annotated[int, msgspec.Meta(ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedUse:
    """One line of a bucket."""

    starting_at: datetime
    model: str | None
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagePage:
    """One page of a report."""

    uses: tuple[ReportedUse, ...]
    #: None: the last one
    next_page: str | None


class _Creation(msgspec.Struct, frozen=True):
    ephemeral_1h_input_tokens: _Count = 0
    ephemeral_5m_input_tokens: _Count = 0


class _ServerTools(msgspec.Struct, frozen=True):
    web_search_requests: _Count = 0


class _Result(msgspec.Struct, frozen=True):
    uncached_input_tokens: _Count = 0
    cache_creation: _Creation = _Creation()
    cache_read_input_tokens: _Count = 0
    output_tokens: _Count = 0
    server_tool_use: _ServerTools | None = None
    model: str | None = None
    service_tier: str | None = None
    inference_geo: str | None = None
    speed: str | None = None

    def usage(self) -> Usage:
        tools = self.server_tool_use or _ServerTools()
        return Usage(
            uncached=self.uncached_input_tokens,
            cache_write_5m=self.cache_creation.ephemeral_5m_input_tokens,
            cache_write_1h=self.cache_creation.ephemeral_1h_input_tokens,
            cache_read=self.cache_read_input_tokens,
            output=self.output_tokens,
            web_search_requests=tools.web_search_requests,
            service_tier=self.service_tier,
            inference_geo=self.inference_geo,
            speed=self.speed,
        )


class _Bucket(msgspec.Struct, frozen=True):
    starting_at: datetime
    results: tuple[_Result, ...]


class _Page(msgspec.Struct, frozen=True):
    data: tuple[_Bucket, ...]
    has_more: bool = False
    next_page: str | None = None


_decoder = msgspec.json.Decoder(_Page)


def parse_usage_page(body: bytes) -> UsagePage:
    """One page of ``/v1/organizations/usage_report/messages``."""
    try:
        page = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UpstreamError(f"the usage report cannot be read: {error}") from None
    uses = (
        ReportedUse(starting_at=bucket.starting_at, model=result.model, usage=result.usage())
        for bucket in page.data
        for result in bucket.results
    )
    return UsagePage(uses=tuple(uses), next_page=page.next_page if page.has_more else None)
