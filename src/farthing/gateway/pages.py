"""The gateway's own pages: is it alive, is it ready, what did it count, what did a call cost.

Rules of this file (style, section 2.9): an endpoint is cheap shovelling of rows that exist already;
nothing here scans, and nothing shows a prompt, a key or a header.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import unquote

import msgspec

from farthing.core.attribution import clean_name
from farthing.core.keys import VirtualKey
from farthing.core.records import ExchangeRow, Outcome, RowFilter, TaskOutcome
from farthing.driver.ports import Ledger
from farthing.errors import FarthingError, RequestError
from farthing.gateway.access import Forbidden, Gate
from farthing.gateway.asgi import Receive, Scope, Send, answer, answer_error
from farthing.gateway.bodies import read_body
from farthing.gateway.budget_pages import BUDGETS, BudgetPages
from farthing.gateway.circuit_pages import CIRCUITS, CircuitPages
from farthing.gateway.key_pages import KEYS, OPENAPI, KeyPages
from farthing.gateway.metrics import CONTENT_TYPE, Metrics
from farthing.gateway.page_rules import NotFound, WrongMethod
from farthing.gateway.rows import dump_row

__all__ = ["ApiPages", "OwnPages"]

#: where the gate's answer is kept in the scope of a request
_KEY: Final = "farthing.key"
_EXCHANGES: Final = "/farthing/v1/exchanges/"
_TASKS: Final = "/farthing/v1/tasks/"
_OUTCOME: Final = "/outcome"
_MAX_OUTCOME_BYTES: Final = 64 * 1024
_TEXT: Final = b"text/plain; charset=utf-8"


_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


class _OutcomeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    outcome: TaskOutcome
    score: float | None = None
    #: for a task that makes no call itself
    task_type: _Name | None = None
    parent: _Name | None = None


_outcome_decoder = msgspec.json.Decoder(_OutcomeBody)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiPages:
    """The pages of the guard, each kind a module of its own."""

    keys: KeyPages
    budgets: BudgetPages
    circuits: CircuitPages


class OwnPages:
    """Answers what is addressed to the gateway itself."""

    def __init__(
        self,
        *,
        gate: Gate,
        api: ApiPages,
        ledger: Ledger,
        metrics: Metrics | None,
        problem: Callable[[], str | None],
        remark: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._gate = gate
        self._keys = api.keys
        self._budgets = api.budgets
        self._circuits = api.circuits
        self._ledger = ledger
        self._metrics = metrics
        #: why the gateway should get no more calls; None: it is ready
        self._problem = problem
        #: what an operator should know although it is ready
        self._remark = remark

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            scope[_KEY] = self._gate.admit_to_page(scope)
            await self._page(scope)(scope, receive, send)
        except FarthingError as error:
            await answer_error(send, error)

    def _page(self, scope: Scope) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        path: str = scope["path"]
        pages = {"/livez": self._livez, "/readyz": self._readyz, "/metrics": self._show_metrics}
        if path in pages:
            return _only(scope, ("GET", "HEAD"), pages[path])
        if path == OPENAPI:
            return _only(scope, ("GET", "HEAD"), self._keys.describe)
        if path == CIRCUITS:
            return _only(scope, ("GET", "HEAD"), self._circuits.list)
        if path == KEYS:
            return self._keys.create if scope["method"] == "POST" else self._keys.list
        if path.startswith(f"{KEYS}/"):
            return self._keys.rotate if scope["method"] == "POST" else self._keys.revoke
        if path == BUDGETS or path.startswith(f"{BUDGETS}/"):
            return self._budgets
        if path.startswith(_EXCHANGES):
            return _only(scope, ("GET", "HEAD"), self._exchange)
        if path.startswith(_TASKS) and path.endswith(_OUTCOME):
            return _only(scope, ("POST",), self._outcome)
        raise NotFound(f"there is no page {path!r} here; docs/gateway.md lists them")

    async def _livez(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await answer(send, 200, b"ok\n", content_type=_TEXT)

    async def _readyz(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        problem = self._problem()
        if problem is None:
            remark = self._remark()
            text = "ready\n" if remark is None else f"ready\n{remark}\n"
            await answer(send, 200, text.encode(), content_type=_TEXT)
        else:
            await answer(send, 503, f"not ready: {problem}\n".encode(), content_type=_TEXT)

    async def _show_metrics(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        if self._metrics is None:
            raise NotFound("the figures are switched off: gateway.metrics")
        await answer(send, 200, self._metrics.render(), content_type=CONTENT_TYPE)

    async def _exchange(self, scope: Scope, _receive: Receive, send: Send) -> None:
        exchange_id = scope["path"].removeprefix(_EXCHANGES)
        row = self._ledger.row(exchange_id)
        if row is None or not _is_own(scope, row):
            raise NotFound(f"there is no exchange {exchange_id!r} in this ledger")
        await answer(send, 200, dump_row(row))

    async def _outcome(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = scope["raw_path"].decode("latin-1")
        # as attribution writes it: else the outcome would be that of a task without calls
        task_id = clean_name(unquote(raw.removeprefix(_TASKS).removesuffix(_OUTCOME)))
        said = _parse_outcome(await read_body(receive, _MAX_OUTCOME_BYTES))
        if not task_id:
            raise NotFound("the path names no task: POST /farthing/v1/tasks/{id}/outcome")
        outcome = Outcome(
            outcome=said.outcome,
            score=said.score,
            task_type=said.task_type,
            parent_task_id=said.parent,
        )
        if _client(scope) is not None:
            await asyncio.to_thread(self._refuse_another_keys, task_id, scope)
        self._ledger.outcome(task_id, outcome)
        await answer(send, 200, msgspec.json.encode({"task_id": task_id, "recorded": True}))

    def _refuse_another_keys(self, task_id: str, scope: Scope) -> None:
        """Whose key made a task's first call, its task it is."""
        for row in self._ledger.rows(RowFilter(task_id=task_id, limit=1)):
            if not _is_own(scope, row):
                raise Forbidden(f"the task {task_id[:200]!r} is another key's")


def _client(scope: Scope) -> VirtualKey | None:
    """The key of a request that sees only what is its own."""
    key: VirtualKey | None = scope[_KEY]
    return key if key is not None and key.role == "client" else None


def _is_own(scope: Scope, row: ExchangeRow) -> bool:
    key = _client(scope)
    return key is None or row.opened.attribution.key_scope == key.name


def _parse_outcome(body: bytes) -> _OutcomeBody:
    try:
        return _outcome_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RequestError(
            f"the outcome cannot be read: {error}; "
            'write {"outcome": "passed" | "failed" | "abandoned", "score": 0.9}'
        ) from None


def _only(
    scope: Scope,
    methods: tuple[str, ...],
    page: Callable[[Scope, Receive, Send], Awaitable[None]],
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    if scope["method"] not in methods:
        raise WrongMethod(f"{scope['path']!r} takes {' and '.join(methods)} only")
    return page
