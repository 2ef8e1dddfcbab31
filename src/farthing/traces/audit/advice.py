"""The to-do list: what the sums say to change, each line with its dollars and how to do it.

Rule of this file: an amount is what the recorded habit cost, or what a change would have saved on
the recorded calls, scaled to a month. Amounts overlap (a file read twice may also be large), so the
list is ranked and never summed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from farthing.traces.audit.analysis import LARGE_RESULT_TOKENS, Audit
from farthing.traces.audit.misses import Cause
from farthing.traces.audit.pieces import PREFIX
from farthing.traces.audit.tally import Ranking

__all__ = ["DAYS_PER_MONTH", "SECONDS_PER_DAY", "Advice", "advise", "recorded_days"]

DAYS_PER_MONTH: Final = 30.44
SECONDS_PER_DAY: Final = 86_400.0

#: below this an item is noise
_WORTH_SAYING_PICO: Final = 10**10  # 0.01 USD
_BATCH_RATIO: Final = 0.5
_TRIMMED_TOKENS: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One thing to do."""

    title: str
    action: str
    #: "exact": the model sees the same tokens; "equivalent" or "lossy": it does not
    risk: str
    #: 10⁻¹² USD on the recorded calls; an estimate
    estimated_pico: float
    #: True: no more than this; False: what the arithmetic gives
    at_most: bool
    basis: str

    def per_month_pico(self, days: float) -> float:
        """Scaled from the recorded days to a month."""
        return self.estimated_pico * DAYS_PER_MONTH / days


def recorded_days(audit: Audit) -> float:
    """How many days the calls span; at least one."""
    if audit.first_at is None or audit.last_at is None:
        return 1.0
    return max(1.0, (audit.last_at - audit.first_at) / SECONDS_PER_DAY)


def advise(audit: Audit) -> list[Advice]:
    """All that is worth saying, dearest first."""
    found = [advice for make in _MAKERS if (advice := make(audit)) is not None]
    worth = [advice for advice in found if advice.estimated_pico >= _WORTH_SAYING_PICO]
    return sorted(worth, key=lambda advice: (-advice.estimated_pico, advice.title))


def _longer_ttl(audit: Audit) -> Advice | None:
    return Advice(
        title="Ask for the one-hour prompt cache",
        action='export ENABLE_PROMPT_CACHING_1H=1 (SDK: "ttl": "1h" in cache_control)',
        risk="exact",
        estimated_pico=audit.ttl.gain_of_1h,
        at_most=False,
        basis="rewrites after 5-60 minute pauses, less the dearer writes",
    )


def _shorter_ttl(audit: Audit) -> Advice | None:
    return Advice(
        title="Write the prompt cache for five minutes instead of an hour",
        action="export FORCE_PROMPT_CACHING_5M=1",
        risk="exact",
        estimated_pico=audit.ttl.gain_of_5m,
        at_most=False,
        basis="dearer one-hour writes, less the rewrites that pauses would have caused",
    )


def _pauses(audit: Audit) -> Advice | None:
    if audit.ttl.gain_of_1h > 0:
        return None
    return _missed(
        audit,
        Cause.EXPIRED_5M,
        "Do not come back to a long session after 5-60 minutes",
        "run /compact before a pause, or /clear when the next task is another one",
        "lossy",
    )


def _long_pauses(audit: Audit) -> Advice | None:
    return _missed(
        audit,
        Cause.EXPIRED_1H,
        "Start fresh after more than an hour",
        "run /clear (or /compact before you leave): all of it is written again",
        "lossy",
    )


def _still_prefix(audit: Audit) -> Advice | None:
    return _missed(
        audit,
        Cause.PREFIX_CHANGED,
        "Keep the prefix still in mid-session",
        "settle MCP servers, /effort and fast mode before the first prompt",
        "exact",
    )


def _one_model(audit: Audit) -> Advice | None:
    return _missed(
        audit,
        Cause.MODEL_CHANGED,
        "Choose the model before the first prompt",
        "use /model only after /clear; each model has a prompt cache of its own",
        "exact",
    )


def _missed(audit: Audit, cause: Cause, title: str, action: str, risk: str) -> Advice | None:
    share = audit.misses.share(cause.value)
    return Advice(
        title=title,
        action=action,
        risk=risk,
        estimated_pico=share.estimated_pico,
        at_most=True,
        basis=f"{share.times} calls paid again for {share.tokens:,.0f} tokens",
    )


def _caching_on(audit: Audit) -> Advice | None:
    share = audit.misses.share(Cause.NOT_ASKED.value)
    return Advice(
        title="Turn prompt caching on",
        # automatic mode alone would mark the last message, which others do not share
        action='"cache_control": {"type": "ephemeral"} on the system prompt and the last message',
        risk="exact",
        estimated_pico=share.estimated_pico - audit.caching_premium_pico,
        at_most=False,
        basis=f"{share.times} calls sent a prompt again within five minutes of the last one",
    )


def _long_results(audit: Audit) -> Advice | None:
    share = audit.large_results
    return Advice(
        title=f"Cap tool results at {LARGE_RESULT_TOKENS:,} tokens",
        action="set BASH_MAX_OUTPUT_LENGTH, MAX_MCP_OUTPUT_TOKENS; read line ranges",
        risk="lossy",
        estimated_pico=share.estimated_pico,
        at_most=True,
        basis=f"{share.times} results were longer; this is what their excess cost in context",
    )


def _reread(audit: Audit) -> Advice | None:
    return Advice(
        title="Do not read an unchanged file twice",
        action='CLAUDE.md: "A file you read and did not change is still in context."',
        risk="equivalent",
        estimated_pico=_sum(audit.repeated),
        at_most=False,
        basis=f"{_times(audit.repeated)} reads brought in what was already there",
    )


def _parallel(audit: Audit) -> Advice | None:
    return Advice(
        title="Look at several things in one turn",
        action='CLAUDE.md: "Make independent reads and searches in one turn."',
        risk="equivalent",
        estimated_pico=_sum(audit.serial),
        at_most=True,
        basis=f"{_times(audit.serial)} turns read the whole history again for one more look",
    )


def _batch(audit: Audit) -> Advice | None:
    calls = audit.unattended.calls
    return Advice(
        title="Send calls nobody waits for as a batch",
        action="use the Message Batches API (half the price, an answer within 24 hours)",
        risk="exact",
        estimated_pico=audit.unattended.total * _BATCH_RATIO,
        at_most=True,
        basis=f"{calls} single calls without tools or a person behind them",
    )


def _unused_tools(audit: Audit) -> Advice | None:
    unused = [item for item in audit.offered_tools if item[0] not in audit.used_tools]
    return Advice(
        title="Leave out tools that are never called",
        action="remove: " + ", ".join(sorted({tool for (_, tool), _ in unused})[:6]),
        risk="equivalent",
        estimated_pico=sum(share.estimated_pico for _, share in unused),
        at_most=False,
        basis=f"{len(unused)} tool definitions were sent with every call and never used",
    )


def _lighter_start(audit: Audit) -> Advice | None:
    share = audit.origins.share((PREFIX, ""))
    if not share.times or share.tokens / share.times < 3 * _TRIMMED_TOKENS:
        return None
    mean = share.tokens / share.times
    return Advice(
        title=f"Start lighter: {_TRIMMED_TOKENS:,} tokens less in system prompt and tools",
        action="run /context; disable unused MCP servers, shorten CLAUDE.md",
        risk="equivalent",
        estimated_pico=share.estimated_pico * _TRIMMED_TOKENS / mean,
        at_most=False,
        basis=f"{mean:,.0f} tokens on average are in every call before the first word",
    )


def _sum(ranking: Ranking[str]) -> float:
    return sum(share.estimated_pico for _, share in ranking)


def _times(ranking: Ranking[str]) -> int:
    return sum(share.times for _, share in ranking)


_MAKERS: Final[tuple[Callable[[Audit], Advice | None], ...]] = (
    _longer_ttl,
    _shorter_ttl,
    _pauses,
    _long_pauses,
    _still_prefix,
    _one_model,
    _caching_on,
    _long_results,
    _reread,
    _parallel,
    _batch,
    _unused_tools,
    _lighter_start,
)
