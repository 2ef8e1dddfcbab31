"""What is decided about a call before anything is asked of anyone: one pure function.

Each part is guarded: whatever of it fails, the call goes upstream with the client's own bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Literal

from farthing.core.attribution import attribute, key_scope, keyed_digest
from farthing.core.batches import BatchBook
from farthing.core.estimate import BlockMemo
from farthing.core.exchange_call import Call, Route, route_of
from farthing.core.exchange_guard import guarded
from farthing.core.exchange_plan import Plan, Planner, plan_nothing
from farthing.core.hold import WorstCase, worst_case
from farthing.core.joining import Joining, retry_count
from farthing.core.records import Attribution, Opened
from farthing.core.subscription import SUBSCRIPTION_NOTE, is_subscription
from farthing.errors import RequestError
from farthing.pricing.catalog import Catalog
from farthing.pricing.money import parse_usd
from farthing.wire.request import Request

__all__ = ["Prepared", "Setup", "prepare"]

_MIB: Final = 1024 * 1024


@dataclass(slots=True, kw_only=True)
class Setup:
    """What all exchanges of a process share."""

    # -- fixed at start
    engine_version: str
    #: keys every digest that rests
    install_key: bytes
    prices: Catalog
    planner: Planner = plan_nothing
    #: the most one task may spend; None: no budget of the operator's
    task_cap_pico: int | None = None
    #: what a budget does that cannot be asked, or cannot price a call
    budget_fault: Literal["open", "closed"] = "open"
    #: a plain answer is held up to this size, so that its headers can say what it cost
    answer_limit_bytes: int = 64 * _MIB
    # -- kept for the life of the process
    joining: Joining = field(default_factory=Joining)
    memo: BlockMemo = field(default_factory=BlockMemo)
    batches: BatchBook = field(default_factory=BatchBook)


@dataclass(slots=True, kw_only=True)
class Prepared:
    """All that is known and decided when the first effect is asked for."""

    route: Route
    exchange_id: str
    attempt: int
    attribution: Attribution
    body_digest: str
    plan: Plan
    model: str | None
    max_tokens: int | None
    is_streamed: bool
    worst: WorstCase | None
    cap_pico: int | None
    #: why the budget that the client asked for cannot be kept
    budget_problem: str | None
    notes: list[str]

    @property
    def scope(self) -> str:
        """The budget this call spends from."""
        return f"task:{self.attribution.task_id}"

    @property
    def reservation_id(self) -> str:
        """One per attempt: an earlier attempt's hold has ended."""
        return f"{self.exchange_id}.{self.attempt}"

    def opened(self, call: Call, setup: Setup, hold_pico: int | None) -> Opened:
        """The intent to be recorded."""
        return Opened(
            exchange_id=self.exchange_id,
            opened_at=call.received.at,
            attribution=self.attribution,
            endpoint=self.route.endpoint,
            path=self.route.path,
            request_bytes=len(call.body),
            body_digest=self.body_digest,
            engine_version=setup.engine_version,
            model_asked=self.model,
            is_streamed=self.is_streamed,
            scope=None if self.cap_pico is None else self.scope,
            reservation_id=None if hold_pico is None else self.reservation_id,
            hold_pico=hold_pico,
            high_pico=self.worst.high_pico if self.worst else (0 if self.route.is_free else None),
            attempt=self.attempt,
        )


_BUDGET: Final = "x-farthing-budget-usd"
_BYPASS: Final = "x-farthing-bypass"
#: model ids are short and plain; what else a client writes there does not rest
_MODEL: Final = re.compile(r"[\w.:@/-]{1,120}", re.ASCII)


def prepare(call: Call, setup: Setup) -> Prepared:
    """Read, attribute, join, plan and bound one call."""
    notes = [SUBSCRIPTION_NOTE] if is_subscription(call.headers) else list[str]()
    route = route_of(call.method, call.path)
    is_model_call = route.endpoint in {"messages", "count_tokens"}
    request = _parsed(call.body, notes) if is_model_call else None
    attribution = _attributed(call, request, setup, notes)
    # SHA-256 has its own instructions on today's machines; the key comes on top of 32 bytes
    digest = keyed_digest(sha256(call.body).digest(), setup.install_key)
    is_priced = route.endpoint == "messages"
    failure = (
        setup.joining.resume(
            digest,
            attribution.key_scope,
            now_ns=call.received.ns,
            count=retry_count(call.headers),
        )
        if is_priced
        else None
    )
    cap, problem = _cap(call, setup) if is_priced else (None, None)
    return Prepared(
        route=route,
        exchange_id=failure.exchange_id if failure else call.exchange_id,
        attempt=failure.attempts + 1 if failure else 1,
        attribution=attribution,
        body_digest=digest,
        plan=_planned(call, request if is_priced else None, setup, notes),
        model=_model(request),
        max_tokens=request.max_tokens if request else None,
        is_streamed=request.stream if request else False,
        worst=_bounded(call, request, setup, notes) if is_priced and request else None,
        cap_pico=cap,
        budget_problem=problem,
        notes=notes,
    )


def _parsed(body: bytes, notes: list[str]) -> Request | None:
    try:
        request = Request.parse(body)
        request.model  # noqa: B018  a name that cannot be read makes the rest unreadable too
    except RequestError:  # the provider says so better than we could
        notes.append("request.unreadable")
        return None
    return request


def _attributed(call: Call, request: Request | None, setup: Setup, notes: list[str]) -> Attribution:
    found = guarded(
        lambda: attribute(call.headers, request, install_key=setup.install_key),
        None,
        code="attribution",
        notes=notes,
    )
    return found or Attribution(
        task_id="unattributed",
        root_task_id="unattributed",
        key_scope=key_scope({}, setup.install_key),
        source="lineage",
    )


def _planned(call: Call, request: Request | None, setup: Setup, notes: list[str]) -> Plan:
    untouched = Plan(body=call.body)
    if request is None:
        return untouched
    if call.flag(_BYPASS):
        return Plan(body=call.body, reasons=("-all:bypass",))
    traits = setup.prices.traits(request.model) if request.model else None
    return guarded(lambda: setup.planner(request, traits), untouched, code="plan", notes=notes)


def _bounded(call: Call, request: Request, setup: Setup, notes: list[str]) -> WorstCase | None:
    return guarded(
        lambda: worst_case(request, prices=setup.prices, memo=setup.memo, now=call.received.at),
        None,
        code="worst_case",
        notes=notes,
    )


def _cap(call: Call, setup: Setup) -> tuple[int | None, str | None]:
    """The tighter of the operator's cap and the client's (a header can lower, never raise)."""
    text = call.headers.get(_BUDGET)
    if text is None:
        return setup.task_cap_pico, None
    try:
        asked = max(0, parse_usd(text.strip()))
    except ValueError:
        return setup.task_cap_pico, f"{_BUDGET} is {text[:40]!r}, no amount such as '0.25'"
    caps = [cap for cap in (asked, setup.task_cap_pico) if cap is not None]
    return min(caps), None


def _model(request: Request | None) -> str | None:
    model = request.model if request else None
    return model if model and _MODEL.fullmatch(model) else None
