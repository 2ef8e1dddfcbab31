"""The Admin API's usage and cost reports, from the emulator's own books.

Source: API facts, section 7. Buckets are aligned to their width; fields not grouped by are null.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from farthing.lab.emulator.call import Call
from farthing.lab.emulator.paging import query_members, whole_number
from farthing.lab.emulator.prices import cost_items
from farthing.lab.emulator.records import Line
from farthing.lab.emulator.refusal import invalid

__all__ = ["cost_report", "usage_report"]

_WIDTHS = {"1m": (60, 60, 1440), "1h": (3600, 24, 168), "1d": (86_400, 7, 31)}
_GROUPS = (
    "account_id", "api_key_id", "context_window", "inference_geo", "model", "service_account_id",
    "service_tier", "speed", "workspace_id",
)  # fmt: skip
_FILTERS = {
    "models": "model",
    "api_key_ids": "api_key_id",
    "workspace_ids": "workspace_id",
    "service_tiers": "service_tier",
    "inference_geos": "inference_geo",
    "speeds": "speed",
}


def usage_report(query: str, lines: Sequence[Line], call: Call) -> dict[str, Any]:
    """``GET /v1/organizations/usage_report/messages``."""
    members = query_members(query)
    width = members.get("bucket_width", ["1d"])[-1]
    if width not in _WIDTHS:
        raise invalid(f"bucket_width: Input should be '1m', '1h' or '1d', got {width!r}")
    groups = _groups(members, _GROUPS)
    wanted = [line for line in _own(lines, call) if _passes(line, members)]
    return _buckets(members, width, wanted, call, lambda rows: _usage_results(rows, groups))


def cost_report(query: str, lines: Sequence[Line], call: Call) -> dict[str, Any]:
    """``GET /v1/organizations/cost_report``."""
    members = query_members(query)
    if members.get("bucket_width", ["1d"])[-1] != "1d":
        raise invalid("bucket_width: Input should be '1d'")
    groups = _groups(members, ("workspace_id", "description"))
    return _buckets(
        members, "1d", _own(lines, call), call, lambda rows: _cost_results(rows, groups)
    )


def _own(lines: Iterable[Line], call: Call) -> list[Line]:
    return [line for line in lines if line.organization == call.account.organization]


def _groups(members: Mapping[str, list[str]], known: Sequence[str]) -> list[str]:
    groups = members.get("group_by", [])
    for name in groups:
        if name not in known:
            raise invalid(f"group_by: Input should be one of {', '.join(known)}, got {name!r}")
    return groups


def _instant(members: Mapping[str, list[str]], name: str) -> float | None:
    if name not in members:
        return None
    text = members[name][-1].replace(" ", "+")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid(f"{name}: Input should be a valid RFC 3339 datetime") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _buckets(
    members: Mapping[str, list[str]], width: str, lines: Sequence[Line], call: Call, results: Any
) -> dict[str, Any]:
    seconds, default, most = _WIDTHS[width]
    start = _instant(members, "starting_at")
    if start is None:
        raise invalid("starting_at: Field required")
    end = _instant(members, "ending_at") or call.now + seconds
    limit = whole_number(members, "limit", default, most)
    first = int(members.get("page", [str(int(start // seconds) * seconds)])[-1])
    data: list[dict[str, Any]] = []
    at = first
    while at < end and len(data) < limit:
        rows = [line for line in lines if at <= line.at < at + seconds and line.at >= start]
        data.append(
            {"starting_at": _text(at), "ending_at": _text(at + seconds), "results": results(rows)}
        )
        at += seconds
    more = at < end
    return {"data": data, "has_more": more, "next_page": str(at) if more else None}


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _dimensions(line: Line) -> dict[str, str | None]:
    accounting, _ = line.bill.everything
    return {
        "account_id": None,
        "api_key_id": line.key_id,
        "context_window": "0-200k" if accounting.total <= 200_000 else "200k-1M",
        "inference_geo": line.bill.geo,
        "model": line.model.id,
        "service_account_id": None,
        "service_tier": line.bill.tier,
        "speed": line.bill.speed,
        "workspace_id": line.workspace_id,
    }


def _passes(line: Line, members: Mapping[str, list[str]]) -> bool:
    own = _dimensions(line)
    return all(own[name] in members[key] for key, name in _FILTERS.items() if key in members)


def _usage_results(lines: Sequence[Line], groups: Sequence[str]) -> list[dict[str, Any]]:
    grouped: dict[tuple[str | None, ...], list[Line]] = defaultdict(list)
    for line in lines:
        own = _dimensions(line)
        grouped[tuple(own[name] if name in groups else None for name in _GROUPS)].append(line)
    return [
        {**_tokens(rows), **dict(zip(_GROUPS, key, strict=True))} for key, rows in grouped.items()
    ]


def _tokens(lines: Sequence[Line]) -> dict[str, Any]:
    parts = [line.bill.everything for line in lines]
    return {
        "uncached_input_tokens": sum(accounting.uncached for accounting, _ in parts),
        "cache_creation": {
            "ephemeral_1h_input_tokens": sum(accounting.write_1h for accounting, _ in parts),
            "ephemeral_5m_input_tokens": sum(accounting.write_5m for accounting, _ in parts),
        },
        "cache_read_input_tokens": sum(accounting.read for accounting, _ in parts),
        "output_tokens": sum(output for _, output in parts),
        "server_tool_use": {"web_search_requests": sum(line.bill.searches for line in lines)},
    }


def _cost_results(lines: Sequence[Line], groups: Sequence[str]) -> list[dict[str, Any]]:
    described = "description" in groups
    sums: dict[tuple[str | None, ...], int] = defaultdict(int)
    for line in lines:
        own = _dimensions(line)
        workspace = line.workspace_id if "workspace_id" in groups else None
        for kind, amount in cost_items(line).items():
            if amount:
                facts = (
                    own["model"],
                    kind,
                    own["service_tier"],
                    own["context_window"],
                    own["inference_geo"],
                )
                sums[workspace, *(facts if described else (None,) * 5)] += amount
    return [_cost_row(key, amount) for key, amount in sums.items()]


def _cost_row(key: tuple[str | None, ...], pico_usd: int) -> dict[str, Any]:
    workspace, model, kind, tier, window, geo = key
    search = kind == "web_search"
    return {
        "amount": str(Decimal(pico_usd) / 10**10),  # a decimal string of cents
        "currency": "USD",
        "cost_type": None if kind is None else ("web_search" if search else "tokens"),
        "token_type": None if search else kind,
        "model": model,
        "service_tier": tier,
        "context_window": window,
        "inference_geo": geo,
        "description": None if kind is None else f"{model} usage - {kind}",
        "workspace_id": workspace,
    }
