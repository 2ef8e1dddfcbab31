"""A row of the ledger as JSON: money as decimal strings, times as ISO 8601, no text of anybody."""

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
    document: dict[str, Any] = {"state": row.state}
    document |= {name: _plain(value) for name, value in asdict(row.opened).items()}
    if row.settlement is not None:
        document |= _settled(row.settlement)
    document |= {"outcome": row.outcome, "score": row.score}
    return msgspec.json.encode(_money_as_strings(document))


def _settled(settlement: Settlement) -> dict[str, Any]:
    members = {name: _plain(value) for name, value in asdict(settlement).items()}
    members.pop("exchange_id")
    members.pop("state")
    cost = settlement.cost
    members["cost"] = None if cost is None else cost.dump()
    members["saved_usd"] = _saved(settlement)
    return members


def _saved(settlement: Settlement) -> str | None:
    if settlement.cost is None or settlement.baseline_pico is None:
        return None
    return dump_usd(settlement.baseline_pico - settlement.cost.total)


def _money_as_strings(document: dict[str, Any]) -> dict[str, Any]:
    """``high_pico`` becomes ``high_usd``: no reader should have to know our unit."""
    return {
        name.removesuffix(_PICO) + "_usd" if name.endswith(_PICO) else name: (
            dump_usd(value) if name.endswith(_PICO) and value is not None else value
        )
        for name, value in document.items()
    }


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
