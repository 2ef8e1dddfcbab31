"""``/farthing/v1/budgets``: list, set, raise and remove budgets, and how each stands.

The gate has asked for a key of the right role before anything here runs. A change is in the file
before it is answered, and in force when the answer leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import unquote

import msgspec

from farthing.core.budgets import Budget
from farthing.core.budgets_file import RaiseSpec, budget_document, parse_budget, raise_of
from farthing.errors import ConfigError, RequestError
from farthing.gateway.asgi import Receive, Scope, Send, answer
from farthing.gateway.bodies import read_body
from farthing.gateway.page_rules import NotFound, WrongMethod
from farthing.ledger.budgets_desk import BudgetDesk, UnknownBudget
from farthing.ledger.budgets_file import zone_of
from farthing.ledger.budgets_reading import BudgetStanding, standings
from farthing.pricing.money import dump_usd

__all__ = ["BUDGETS", "BudgetPages", "standing_document"]

BUDGETS: Final = "/farthing/v1/budgets"
_RAISES: Final = "/raises"
_MAX_BODY_BYTES: Final = 16 * 1024

_Found = TypeVar("_Found")


def standing_document(standing: BudgetStanding) -> dict[str, Any]:
    """How one key of a budget stands, as pages and ``--json`` show it."""
    return {
        "key": standing.key,
        "limit_usd": dump_usd(standing.limit_pico),
        "spent_usd": dump_usd(standing.spent_pico),
        "held_usd": dump_usd(standing.held_pico),
        "resets_at": standing.resets_at and standing.resets_at.isoformat(),
        "spent_at": standing.spent_at and standing.spent_at.isoformat(),
    }


class BudgetPages:
    """Answers what is about budgets."""

    def __init__(
        self,
        desk: BudgetDesk,
        ledger: Path,
        *,
        now: Callable[[], datetime],
        changed: Callable[[tuple[Budget, ...]], None],
    ) -> None:
        self._desk = desk
        self._ledger = ledger
        self._now = now
        #: told what is in force from now on
        self._changed = changed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request below ``BUDGETS``."""
        path, method = scope["path"], scope["method"]
        name = unquote(path.removeprefix(BUDGETS).removeprefix("/"))
        is_raise = name.endswith(_RAISES)
        if method in {"GET", "HEAD"}:
            await self._show(name, send)
        elif method == "PUT" and name and not is_raise:
            await self._set(name, scope, receive, send)
        elif method == "DELETE" and name and not is_raise:
            await self._remove(name, scope, send)
        elif method == "POST" and is_raise:
            await self._raise(name.removesuffix(_RAISES), scope, receive, send)
        else:
            raise WrongMethod(f"{path[:200]!r} does not take {method[:20]}")

    async def _show(self, name: str, send: Send) -> None:
        document = await self._do(lambda: self._documents(name or None))
        await _say(send, document[0] if name else {"budgets": document})

    async def _set(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        said = _object(await read_body(receive, _MAX_BODY_BYTES))
        if said.setdefault("name", name) != name:
            raise RequestError("the name in the body is not the one in the path; leave it out")
        actor = _actor(scope)
        found = await self._do(
            lambda: self._desk.set(parse_budget(said, zone_of=zone_of), actor=actor)
        )
        await self._answer(found, send)

    async def _remove(self, name: str, scope: Scope, send: Send) -> None:
        actor = _actor(scope)
        found = await self._do(lambda: self._desk.remove(name, actor=actor))
        await self._answer(found, send)

    async def _raise(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        said, actor = _object(await read_body(receive, _MAX_BODY_BYTES)), _actor(scope)
        try:
            more = raise_of(msgspec.convert(said, RaiseSpec))
        except (msgspec.ValidationError, ConfigError) as error:
            raise RequestError(f"the raise cannot be read: {error}") from None
        found = await self._do(lambda: self._desk.lift(name, more, actor=actor))
        await self._answer(found, send)

    async def _answer(self, budget: Budget, send: Send) -> None:
        """What is in force now, in force before the answer leaves."""
        # read here, not on a thread: while that waits its turn, another's later change comes in
        self._changed(self._desk.all())
        await _say(send, budget_document(budget))

    def _documents(self, name: str | None) -> list[dict[str, Any]]:
        now = self._now()
        budgets = self._desk.all() if name is None else [self._desk.one(name)]
        return [
            budget_document(each)
            | {"stands": [standing_document(s) for s in standings(self._ledger, each, now)]}
            for each in budgets
        ]

    async def _do(self, work: Callable[[], _Found]) -> _Found:
        """Off the event loop, because it waits for the disk."""
        try:
            return await asyncio.to_thread(work)
        except UnknownBudget as error:
            raise NotFound(str(error)) from None
        except ConfigError as error:  # what a client of the API wrote
            raise RequestError(str(error)) from None


async def _say(send: Send, document: dict[str, Any]) -> None:
    await answer(send, 200, msgspec.json.encode(document))


def _actor(scope: Scope) -> str:
    key = scope.get("farthing.key")
    return "operator" if key is None else f"key {key.name}"


def _object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(f"the request is no JSON object: {error}") from None
