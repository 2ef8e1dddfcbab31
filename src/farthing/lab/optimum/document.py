"""The optimum as rows of a replay's document: amounts, and each policy's ratio to them.

Ratios are of input dollars. They are taken only where every call is priced: a ratio of a part to
the whole would flatter.
"""

from __future__ import annotations

from typing import Any, Final

from farthing.lab.optimum.bound import Optimum, Share
from farthing.pricing import dump_usd, parse_usd

__all__ = ["add_optimum"]

#: the document's words for the figures of ``Share``
_KEYS: Final = {
    "with_pings": "with_pings_pico",
    "without_pings": "without_pings_pico",
    "upgraded": "upgraded_pico",
    "floor": "floor_pico",
}


def add_optimum(document: dict[str, Any], found: Optimum) -> None:
    """Write the bound and the ratios into a document that ``replay`` made."""
    document["optimum"] = {
        **_amounts(found),
        "by_conversation": [
            {"id": key, **_amounts(share)} for key, share in found.by_conversation.items()
        ],
    }
    for policy in document["policies"]:
        policy["optimum_ratio"] = _ratios(policy, found)
        for bill in policy["by_conversation"]:
            share = found.by_conversation.get(bill["id"])
            is_whole = not policy["refused"]
            bill["optimum_ratio"] = _ratios(bill, share) if share and is_whole else None
        policy["worst_conversation"] = _worst(policy["by_conversation"], found)


def _amounts(share: Share) -> dict[str, str]:
    return {f"{key}_usd": dump_usd(getattr(share, name)) for key, name in _KEYS.items()}


def _ratios(bill: dict[str, Any], share: Share) -> dict[str, float] | None:
    if bill["input_usd"] is None or bill["unpriced_calls"] or bill.get("refused"):
        return None
    amounts = {key: getattr(share, name) for key, name in _KEYS.items()}
    own = int(parse_usd(bill["input_usd"]))
    return {key: own / amount for key, amount in amounts.items() if amount} or None


def _worst(bills: list[dict[str, Any]], found: Optimum) -> dict[str, Any] | None:
    """The conversation furthest above its share of the optimum with pings, as a ratio."""
    ranked = [bill for bill in bills if bill["optimum_ratio"]]
    if not ranked:
        return None
    worst = max(ranked, key=lambda bill: bill["optimum_ratio"]["with_pings"])
    share = found.by_conversation[worst["id"]].with_pings_pico
    return {
        "id": worst["id"],
        "ratio": worst["optimum_ratio"]["with_pings"],
        "excess_usd": dump_usd(int(parse_usd(worst["input_usd"])) - share),
    }
