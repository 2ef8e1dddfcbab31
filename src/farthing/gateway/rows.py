"""A row of the ledger as JSON: money as decimal strings, times as ISO 8601, no text of anybody.

Every member is there, also where a row is written without what it leaves at its default.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import asdict

from farthing.core.records import ExchangeRow, Settlement
from farthing.pricing.money import dump_usd

__all__ = ["dump_row"]

_PICO = "_pico"


def dump_row(row: ExchangeRow) -> bytes:
    """One exchange for whoever asks what it cost."""
    document: dict[str, Any] = {"state": row.state, **_plain(row.opened)}
    if row.settlement is not None:
        document |= _settled(row.settlement)
    document |= {"outcome": row.outcome, "score": row.score}
    return msgspec.json.encode(document)


def _settled(settlement: Settlement) -> dict[str, Any]:
    members: dict[str, Any] = _plain(msgspec.structs.replace(settlement, cost=None, batch=None))
    for known in ("exchange_id", "state", "batch"):  # said already, or the ledger's own affair
        members.pop(known)
    cost = settlement.cost
    members["cost"] = None if cost is None else cost.dump()
    members["saved_usd"] = _saved(settlement)
    return members


def _saved(settlement: Settlement) -> str | None:
    if settlement.cost is None or settlement.baseline_pico is None:
        return None
    return dump_usd(settlement.baseline_pico - settlement.cost.total)


def _plain(value: Any, name: str = "") -> Any:
    """As JSON says it; ``high_pico`` becomes ``high_usd``, so that nobody has to know our unit."""
    if isinstance(value, msgspec.Struct):
        members = asdict(value).items()
        return {_named(field): _plain(member, field) for field, member in members}
    if isinstance(value, tuple):
        return [_plain(member, name) for member in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return dump_usd(value) if name.endswith(_PICO) and value is not None else value


def _named(field: str) -> str:
    return field.removesuffix(_PICO) + "_usd" if field.endswith(_PICO) else field
