"""The audit as one JSON document: what ``--json`` prints and what the reports are drawn from.

Rule of this file: exact money is a decimal string in ``cost_usd`` (null: no price); what is divided
or foreseen is a decimal string in a field that starts with ``estimated_``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from farthing.pricing.money import dump_usd
from farthing.traces.audit.advice import Advice, advise, recorded_days
from farthing.traces.audit.analysis import DIMENSIONS, Audit
from farthing.traces.audit.tally import TOKEN_FIELDS, Ranking, Share, Tally
from farthing.traces.importing import Import
from farthing.traces.instants import dump_instant
from farthing.traces.problems import CAUSES, Problems

__all__ = ["DOCUMENT", "VERSION", "PolicyOutcome", "build_document"]

DOCUMENT: Final = "farthing-audit"
VERSION: Final = 1

#: estimates are not worth more digits; a millionth of a dollar
_ESTIMATE_STEP: Final = 10**6
_LISTED: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyOutcome:
    """What a replay says another policy would have cost on the same calls: predicted."""

    policy: str
    estimated_pico: float
    #: the same replay of the policy that was recorded, to compare with
    recorded_pico: float


def build_document(
    audit: Audit, imported: Import, policies: Sequence[PolicyOutcome] = ()
) -> dict[str, Any]:
    """Everything the audit found, as JSON types; ``policies`` only where a replay was asked for."""
    days = recorded_days(audit)
    sizes = {
        "conversations": audit.conversations,
        "sessions": len(audit.groups["session"]),
        "projects": len(audit.groups["project"]),
    }
    return {
        "document": DOCUMENT,
        "version": VERSION,
        "period": _period(audit, days),
        "totals": _tally(audit.total) | sizes,
        "components": _components(audit.total),
        "by": {name: _group(audit, name) for name in DIMENSIONS},
        **_findings(audit),
        "not_in_sums": {
            "replayed_calls": audit.replayed_calls,
            "progress_only": _tally(audit.progress_only),
        },
        "notes": list(_notes(audit)),
        "policies": [_policy(outcome) for outcome in policies],
        "advice": [_advice(item, days) for item in advise(audit)],
        "input": _input(imported),
    }


def _findings(audit: Audit) -> dict[str, Any]:
    return {
        "origins": _origins(audit),
        "chunks": _named(audit.names, "times"),
        "misses": [
            {"cause": cause, **_share(share, times="calls")}
            for cause, share in audit.misses.top()
            if share.times
        ],
        "repeated_reads": _named(audit.repeated, "reads"),
        "serial_turns": _named(audit.serial, "turns"),
        "unused_tools": _unused_tools(audit),
        "pauses": {
            "of_5_to_60_minutes": audit.pauses.up_to_hour,
            "of_1_to_24_hours": audit.pauses.up_to_day,
            "of_more_than_a_day": audit.pauses.longer,
        },
        "large_results": _share(audit.large_results),
        "unattended": _tally(audit.unattended),
    }


def _period(audit: Audit, days: float) -> dict[str, Any]:
    first, last = audit.first_at, audit.last_at
    return {
        "first_at": None if first is None else dump_instant(first),
        "last_at": None if last is None else dump_instant(last),
        "days": round(days, 3),
        "since": audit.since.isoformat() if audit.since else None,
    }


def _tally(tally: Tally) -> dict[str, Any]:
    priced = tally.calls - tally.unpriced_calls - tally.uncounted_calls
    return {
        "calls": tally.calls,
        "prompt_tokens": tally.prompt,
        **{f"{name}_tokens": getattr(tally, name) for name in TOKEN_FIELDS},
        "web_search_requests": tally.web_search_requests,
        "cost_usd": dump_usd(tally.total) if priced or tally.cost else None,
        "estimated_missed_usd": _estimate(tally.missed_pico),
        "unpriced_calls": tally.unpriced_calls,
        "unpriced_tokens": tally.unpriced_tokens,
        "uncounted_calls": tally.uncounted_calls,
    }


def _components(tally: Tally) -> list[dict[str, Any]]:
    parts = [
        {
            "name": name,
            "tokens": getattr(tally, name),
            "cost_usd": dump_usd(tally.cost.get(name, 0)),
        }
        for name in TOKEN_FIELDS
    ]
    fees = tally.cost.get("server_tools", 0)
    if fees:
        parts.append({"name": "server_tools", "tokens": 0, "cost_usd": dump_usd(fees)})
    return parts


def _group(audit: Audit, name: str) -> list[dict[str, Any]]:
    items = audit.groups[name].items()
    if name == "day":
        ordered = sorted(items)
    else:
        ordered = sorted(items, key=lambda item: (-item[1].total, -item[1].prompt, item[0]))
    return [
        {
            "key": key,
            **_tally(tally),
            "by_component_usd": {part: dump_usd(cost) for part, cost in tally.cost.items()},
        }
        for key, tally in ordered
    ]


def _origins(audit: Audit) -> list[dict[str, Any]]:
    whole = sum(share.token_turns for _, share in audit.origins) or 1.0
    return [
        {
            "kind": kind,
            "tool": tool or None,
            **_share(share),
            "share_ratio": round(share.token_turns / whole, 6),
        }
        for (kind, tool), share in audit.origins.top(_LISTED)
        if share.times
    ]


def _share(share: Share, times: str = "times") -> dict[str, Any]:
    return {
        times: share.times,
        "tokens": round(share.tokens),
        "token_turns": round(share.token_turns),
        "estimated_usd": _estimate(share.estimated_pico),
    }


def _named(ranking: Ranking[str], times: str) -> list[dict[str, Any]]:
    return [
        {"name": name, **_share(share, times)}
        for name, share in ranking.top(_LISTED)
        if share.times
    ]


def _unused_tools(audit: Audit) -> list[dict[str, Any]]:
    unused = (item for item in audit.offered_tools.top() if item[0] not in audit.used_tools)
    return [
        {"project": project, "tool": tool, **_share(share)} for (project, tool), share in unused
    ][:_LISTED]


def _advice(advice: Advice, days: float) -> dict[str, Any]:
    return {
        "title": advice.title,
        "action": advice.action,
        "risk": advice.risk,
        "estimated_usd_per_month": _estimate(advice.per_month_pico(days)),
        "estimated_usd": _estimate(advice.estimated_pico),
        "at_most": advice.at_most,
        "basis": advice.basis,
        "status": "predicted",
    }


def _policy(outcome: PolicyOutcome) -> dict[str, Any]:
    return {
        "policy": outcome.policy,
        "estimated_usd": _estimate(outcome.estimated_pico),
        "estimated_saving_usd": _estimate(outcome.recorded_pico - outcome.estimated_pico),
        "status": "predicted",
    }


def _notes(audit: Audit) -> Iterable[str]:
    total, progress = audit.total, audit.progress_only
    if audit.partial_output_calls:
        yield (
            f"{audit.partial_output_calls} of {total.calls} calls were recorded with only the "
            "start of their output count: output dollars are a lower bound."
        )
    if total.unpriced_calls:
        yield (
            f"{total.unpriced_calls} calls ran on models without a price: "
            f"{total.unpriced_tokens:,} tokens, not in any dollar figure."
        )
    if total.uncounted_calls:
        yield f"{total.uncounted_calls} calls have no usage: their tokens are unknown."
    if progress.calls:
        yield (
            f"{progress.calls} sub-agent calls ({progress.prompt:,} prompt tokens) are known only "
            "from progress records, their own files are missing: not in the sums."
        )
    if audit.claude_code_calls:
        yield "Dollars are the API's list prices; on a subscription they are notional."
    if recorded_days(audit) < 7 and total.calls:
        yield f"The month is scaled up from {recorded_days(audit):.1f} days."


def _input(imported: Import) -> dict[str, Any]:
    return {
        "files": len(imported.files),
        "bytes": imported.bytes_read,
        "kinds": dict(sorted(imported.kinds.items())),
        "problems": _problems(imported.problems),
    }


def _problems(problems: Problems) -> list[dict[str, Any]]:
    return [
        {
            "cause": cause,
            "meaning": CAUSES[cause],
            "count": problem.count,
            "examples": problem.examples,
        }
        for cause, problem in sorted(problems.by_cause.items())
    ]


def _estimate(pico: float) -> str:
    return dump_usd(round(pico / _ESTIMATE_STEP) * _ESTIMATE_STEP)
