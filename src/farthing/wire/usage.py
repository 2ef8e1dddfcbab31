"""Usage: what the provider counted, in disjoint buckets.

The wire's ``input_tokens`` excludes cached tokens and half of the tools around include them, so no
field here has that name: ``prompt`` is the sum, the rest never overlap.

Theory of operation. A usage object is reported once (a plain answer, a batch result) or in pieces
(a stream: ``message_start``, then cumulative ``message_delta``s that replace it field by field). So
each piece is read into a ``ReportedUsage``, where None means *not said*; pieces are laid over one
another with ``over``; and only ``total`` turns what was not said into zero.

Rules from outside (API facts, sections 2.5, 2.6, 4.3, 6.2; provider's pages on prompt caching,
streaming and compaction as of 2026-11):

- absent and null are both zero; fields we do not know are left alone;
- writes without a breakdown by TTL are 5-minute writes, and so is what a later, larger total adds
  to an earlier breakdown: server tools write with their own 5-minute breakpoint;
- thinking is inside the output count, never on top of it;
- ``iterations`` counts what the top level leaves out (compaction, advisor, declined attempts).
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from farthing.errors import UpstreamError

__all__ = ["Iteration", "ReportedUsage", "Usage", "parse_reported_usage", "parse_usage"]

#: the entries of ``iterations`` whose prompt is the conversation itself; a ``compaction`` entry
#: counts the summariser's prompt, an ``advisor_message`` another model's
_CONVERSATION = frozenset({"message", "fallback_message"})


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Disjoint token counts of one answer, and what else its price depends on."""

    uncached: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    cache_read: int = 0
    output: int = 0
    #: the share of ``output`` that was thinking; contained in it
    output_thinking: int = 0
    web_search_requests: int = 0
    web_fetch_requests: int = 0
    code_execution_requests: int = 0
    #: as served, not as asked: "standard", "priority", "batch" or what comes next
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    #: "redeemed": the provider bills this answer as if an earlier one had been on this model
    fallback_credit: str | None = None
    iterations: tuple[Iteration, ...] = ()

    @property
    def prompt(self) -> int:
        """All input tokens: uncached, written and read."""
        return self.uncached + self.cache_write_5m + self.cache_write_1h + self.cache_read

    @property
    def context(self) -> int:
        """The prompt of the last pass over the conversation: how large it has grown by now."""
        for iteration in reversed(self.iterations):
            if iteration.type in _CONVERSATION:
                return iteration.usage.prompt
        return self.prompt


class Iteration(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of ``usage.iterations``: a sampling pass that is billed at its own model."""

    type: str
    #: None: the model of the request
    model: str | None
    usage: Usage


# A trillion tokens in one answer is a broken upstream, not a bill: refused here, it cannot
# overflow a sum later.
_Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class _CacheCreation(msgspec.Struct, frozen=True):
    ephemeral_5m_input_tokens: _Count | None = None
    ephemeral_1h_input_tokens: _Count | None = None


class _OutputDetails(msgspec.Struct, frozen=True):
    thinking_tokens: _Count | None = None


class _ServerTools(msgspec.Struct, frozen=True):
    web_search_requests: _Count | None = None
    web_fetch_requests: _Count | None = None
    code_execution_requests: _Count | None = None


class _CreditStatus(msgspec.Struct, frozen=True):
    type: str | None = None


class _Credit(msgspec.Struct, frozen=True):
    status: _CreditStatus | str | None = None


_NO_CREATION = _CacheCreation()
_NO_DETAILS = _OutputDetails()
_NO_TOOLS = _ServerTools()


class ReportedUsage(msgspec.Struct, frozen=True):
    """A usage object as one event or body reports it; None: not said there."""

    input_tokens: _Count | None = None
    cache_creation_input_tokens: _Count | None = None
    cache_read_input_tokens: _Count | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens: _Count | None = None
    output_tokens_details: _OutputDetails | None = None
    server_tool_use: _ServerTools | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    fallback_credit: _Credit | None = None
    iterations: tuple[_ReportedIteration, ...] | None = None

    def over(self, earlier: ReportedUsage) -> ReportedUsage:
        """What is known when ``self`` is said after ``earlier``: field by field, the later wins."""
        said = {name: value for name, value in _members(self) if value is not None}
        if self.cache_creation_input_tokens is not None and self.cache_creation is None:
            said["cache_creation"] = _carried(earlier, self.cache_creation_input_tokens)
        return msgspec.structs.replace(earlier, **said)

    def total(self) -> Usage:
        """The disjoint counts; what was never said is zero."""
        write_5m, write_1h = _writes(self)
        tools = self.server_tool_use or _NO_TOOLS
        details = self.output_tokens_details or _NO_DETAILS
        return Usage(
            uncached=self.input_tokens or 0,
            cache_write_5m=write_5m,
            cache_write_1h=write_1h,
            cache_read=self.cache_read_input_tokens or 0,
            output=self.output_tokens or 0,
            output_thinking=details.thinking_tokens or 0,
            web_search_requests=tools.web_search_requests or 0,
            web_fetch_requests=tools.web_fetch_requests or 0,
            code_execution_requests=tools.code_execution_requests or 0,
            service_tier=self.service_tier,
            speed=self.speed,
            inference_geo=self.inference_geo,
            fallback_credit=None if self.fallback_credit is None else _credit(self.fallback_credit),
            iterations=tuple([entry.iteration() for entry in self.iterations])
            if self.iterations
            else (),
        )


class _ReportedIteration(ReportedUsage, frozen=True):
    type: str = ""
    model: str | None = None

    def iteration(self) -> Iteration:
        return Iteration(type=self.type, model=self.model, usage=self.total())


_decoder = msgspec.json.Decoder(ReportedUsage)


def parse_usage(raw: bytes) -> Usage:
    """The disjoint counts in one complete usage object."""
    return parse_reported_usage(raw).total()


def parse_reported_usage(raw: bytes) -> ReportedUsage:
    """One usage object as it stands there, complete or not."""
    try:
        return _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamError(f"the answer's usage cannot be read: {error}") from None


def _members(usage: ReportedUsage) -> list[tuple[str, object]]:
    return [(name, getattr(usage, name)) for name in ReportedUsage.__struct_fields__]


def _carried(earlier: ReportedUsage, total: int) -> _CacheCreation:
    """The breakdown of a new total that came without one: the 1-hour share is what it was."""
    write_1h = min(_writes(earlier)[1], total)
    return _CacheCreation(total - write_1h, write_1h)


def _writes(usage: ReportedUsage) -> tuple[int, int]:
    """Tokens written for 5 minutes and for 1 hour."""
    total = usage.cache_creation_input_tokens or 0
    breakdown = usage.cache_creation or _NO_CREATION
    write_1h = breakdown.ephemeral_1h_input_tokens or 0
    # a total above its parts means a part we cannot name; it was written, so it is not free
    return max(breakdown.ephemeral_5m_input_tokens or 0, total - write_1h), write_1h


def _credit(credit: _Credit) -> str | None:
    status = credit.status
    return status.type if isinstance(status, _CreditStatus) else status
