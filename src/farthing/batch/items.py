"""Rows of a batch as the provider wants them: built, checked before anything is sent, read back.

The provider checks an item's parameters only when its turn comes, so a batch that was accepted can
still fail row by row (API facts, section 3; provider's page on batches, 2026-11). What the rules of
``farthing.wire.validity`` see is therefore refused here, with the row's number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from farthing.core.task_models import TaskModels, select_model
from farthing.errors import InvalidRequest, RequestError
from farthing.pricing import traits
from farthing.wire.request import Request
from farthing.wire.validity import check_valid

__all__ = ["Defaults", "items_of"]

_CUSTOM_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}", re.ASCII)
_MOST_ROWS: Final = 100_000
#: of a row in short form; anything else is one of the API's own parameters
_SHORT_FORM: Final = frozenset({"custom_id", "task_type", "user_message"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What holds for every row that does not say otherwise."""

    model: str | None
    system: Any
    max_tokens: int
    policy: TaskModels | str | None


def items_of(rows: Iterable[Mapping[str, Any]], defaults: Defaults) -> list[dict[str, Any]]:
    """Each row as ``{"custom_id", "params"}``; ``RequestError`` names the first that is wrong."""
    items = list[dict[str, Any]]()
    seen = set[str]()
    for number, row in enumerate(rows):
        item = _item(row, defaults, where=f"row {number}")
        if item["custom_id"] in seen:
            raise RequestError(f"row {number}: custom_id {item['custom_id']!r} is there twice")
        seen.add(item["custom_id"])
        items.append(item)
    if not 0 < len(items) <= _MOST_ROWS:
        raise RequestError(f"a batch has 1 to {_MOST_ROWS:,} rows, not {len(items):,}: split it")
    return items


def _item(row: Mapping[str, Any], defaults: Defaults, *, where: str) -> dict[str, Any]:
    custom_id = row.get("custom_id")
    if not isinstance(custom_id, str) or not _CUSTOM_ID.fullmatch(custom_id):
        raise RequestError(
            f"{where}: custom_id {custom_id!r} must be 1 to 64 letters, digits, '_' or '-'"
        )
    params = dict(row["params"]) if "params" in row else _params(row, defaults, where=where)
    try:
        request = Request.parse(json.dumps(params).encode())
        check_valid(request, traits(str(params.get("model"))), is_batch=True)
    except InvalidRequest as error:
        message = f"{where} ({custom_id!r}): {error}"
        raise InvalidRequest(message, violations=error.violations) from None
    return {"custom_id": custom_id, "params": params}


def _params(row: Mapping[str, Any], defaults: Defaults, *, where: str) -> dict[str, Any]:
    """A row in short form, with the API's own names for whatever else it says."""
    if not isinstance(row.get("user_message"), str):
        raise RequestError(f"{where}: give a text as 'user_message', or the whole request 'params'")
    routed = select_model(str(row.get("task_type", "")), policy=defaults.policy)
    params: dict[str, Any] = {
        "model": defaults.model or routed,
        "max_tokens": defaults.max_tokens,
        "messages": [{"role": "user", "content": row["user_message"]}],
    }
    if defaults.system:
        params["system"] = defaults.system
    return params | {name: value for name, value in row.items() if name not in _SHORT_FORM}
