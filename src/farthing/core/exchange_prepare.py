"""What is decided about a call before anything is asked of anyone: one pure function.

Each part is guarded: whatever of it fails, the call goes upstream with the client's own bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from farthing.core.attribution import attribute, clean_name, key_scope, keyed_digest
from farthing.core.batches import BatchBook
from farthing.core.breaker import Breakers
from farthing.core.budgets_board import BudgetBoard
from farthing.core.engine import Engine
from farthing.core.engine_values import Reading
from farthing.core.estimate import BlockMemo
from farthing.core.exchange_call import Call, Route, route_of
from farthing.core.exchange_guard import guarded
from farthing.core.exchange_levers import Levers, caller_of
from farthing.core.exchange_looking import Looking, look
from farthing.core.exchange_plan import Plan
from farthing.core.fanout import Fanout
from farthing.core.hold import WorstCase, worst_case
from farthing.core.joining import Failure, Joining, retry_count
from farthing.core.journal_decided import Decided
from farthing.core.keepalive import KeepAlive
from farthing.core.loop_watch import LoopWatch
from farthing.core.records import Attribution, Opened
from farthing.core.subscription import SUBSCRIPTION_NOTE, is_subscription
from farthing.core.task_roots import TaskRoots
from farthing.errors import RequestError
from farthing.pricing.catalog import Catalog
from farthing.pricing.money import parse_usd
from farthing.wire.request import Request

__all__ = ["Prepared", "Setup", "body_digest", "bounded", "prepare", "restable_model"]

_MIB: Final = 1024 * 1024


@dataclass(slots=True, kw_only=True)
class Setup:
    """What all exchanges of a process share."""

    # -- fixed at start
    engine_version: str
    #: keys every digest that rests
    install_key: bytes = field(repr=False)
    prices: Catalog
    #: None: no lever exists for this process, and nothing of the engine runs
    engine: Engine | None = None
    #: the most one task may spend; None: no budget of the operator's
    task_cap_pico: int | None = None
    #: what a budget does that cannot be asked, or cannot price a call
    budget_fault: Literal["open", "closed"] = "open"
    #: a plain answer is held up to this size, so that its headers can say what it cost
    answer_limit_bytes: int = 64 * _MIB
    # -- kept for the life of the process
    #: None: nobody waits for another
    fanout: Fanout | None = None
    #: None: no prefix is kept alive
    keepalive: KeepAlive | None = None
    joining: Joining = field(default_factory=Joining)
    memo: BlockMemo = field(default_factory=BlockMemo)
    batches: BatchBook = field(default_factory=BatchBook)
    #: what is below another task, for budgets and limits of its tree
    roots: TaskRoots = field(default_factory=TaskRoots)
    #: budgets over every scope; ``task_cap_pico`` and a client's header come on top
    board: BudgetBoard = field(default_factory=BudgetBoard)
    #: None: nobody looks for loops
    loops: LoopWatch | None = None
    #: None: nothing is stopped for storming
    breakers: Breakers | None = None
    #: what is decided about calls, on its way to the journal
    decided: Decided = field(default_factory=Decided)


class Prepared(msgspec.Struct, kw_only=True):
    """All that is known and decided when the first effect is asked for."""

    route: Route
    exchange_id: str
    attempt: int
    attribution: Attribution
    #: empty until somebody asks for it (``body_digest``)
    body_digest: str
    plan: Plan
    #: the engine's part of this call, where it has one
    levers: Levers | None
    model: str | None
    is_streamed: bool
    worst: WorstCase | None
    cap_pico: int | None
    #: why the budget that the client asked for cannot be kept
    budget_problem: str | None
    notes: list[str]
    #: what there is to look at for loops; None: nothing
    loops: Looking | None = None
    #: the keys of the budgets that it is held in
    budget_keys: tuple[str, ...] = ()
    #: ``max_tokens`` as a budget lowered it, and did it tell the model to come to an end
    fitted_tokens: int | None = None
    is_told_to_end: bool = False
    #: the worst case of one pass, by all that was known of it; of a batch, what its rows hold
    asked_pico: int | None = None
    #: a stream that has cost more than this is stopped; None: none is
    cut_pico: int | None = None
    #: what the length of its prompt is learned under; None: nothing is to be learned
    prompt_digest: bytes | None = None

    @property
    def scope(self) -> str:
        """The budget this call spends from."""
        return f"task:{self.attribution.task_id}"

    @property
    def reservation_id(self) -> str:
        """One per attempt: an earlier attempt's hold has ended."""
        return f"{self.exchange_id}.{self.attempt}"

    def _high_pico(self) -> int | None:
        """The most it can cost, should nobody learn what became of it."""
        if self.worst is not None:
            return self.worst.high_pico
        return self.asked_pico or 0 if self.route.is_free else None

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
            budget_keys=self.budget_keys,
            reservation_id=None if hold_pico is None else self.reservation_id,
            hold_pico=hold_pico,
            high_pico=self._high_pico(),
            attempt=self.attempt,
        )


_BUDGET: Final = "x-farthing-budget-usd"
_MODEL_CALLS: Final = frozenset({"messages", "count_tokens"})
#: model ids are short and plain, and no keys; what else somebody writes there does not rest
_MODEL: Final = re.compile(r"(?!.*\bsk-[\w-]{8})[\w.:@/-]{1,120}", re.ASCII)


def prepare(call: Call, setup: Setup, digest: str = "") -> Prepared:
    """Read, attribute, join, plan and bound one call; ``digest``: of its body, if it is known."""
    notes = _remarks(call)
    route = route_of(call.method, call.path)
    is_priced = route.endpoint == "messages"
    reading = _read(call, setup.engine, notes) if is_priced and setup.engine is not None else None
    request = reading.request if reading else _request(call, route, notes)
    attribution = call.ping_for or _attributed(call, request, setup, notes)
    failure = None
    if is_priced and len(setup.joining):
        digest = digest or _digest(call, setup)
        failure = _failed_before(call, attribution, digest, setup)
    cap, problem = None, None
    if is_priced or call.rows is not None:
        cap, problem = _cap(call, setup) if _BUDGET in call.headers else (setup.task_cap_pico, None)
    worst = bounded(call, request, setup, notes) if is_priced and request else None
    found = Prepared(
        route=route,
        exchange_id=failure.exchange_id if failure else call.exchange_id,
        attempt=failure.attempts + 1 if failure else 1,
        attribution=attribution,
        body_digest=digest,
        plan=Plan(body=call.body),
        levers=None if reading is None else _levers(call, reading, attribution, setup, notes),
        model=None if request is None else _model(request, worst),
        is_streamed=request is not None and request.stream,
        worst=worst,
        cap_pico=cap,
        budget_problem=problem,
        notes=notes,
    )
    if setup.loops is not None and is_priced and request is not None and call.ping_for is None:
        found.loops = _looking(call, request, setup.loops, found)
    return found


def body_digest(prepared: Prepared, call: Call, setup: Setup) -> str:
    """The keyed digest of the client's body: what a call is told by that comes again.

    It is a pass over all of the body, and calls that go well are told by nothing.
    """
    if not prepared.body_digest:
        prepared.body_digest = _digest(call, setup)
    return prepared.body_digest


def _digest(call: Call, setup: Setup) -> str:
    # SHA-256 has its own instructions on today's machines; the key comes on top of 32 bytes
    return keyed_digest(call.body_sha256(), setup.install_key)


def _failed_before(call: Call, who: Attribution, digest: str, setup: Setup) -> Failure | None:
    """The failure that this attempt goes on with."""
    count = retry_count(call.headers)
    return setup.joining.resume(digest, who.key_scope, now_ns=call.received.ns, count=count)


def _looking(call: Call, request: Request, watch: LoopWatch, found: Prepared) -> Looking | None:
    is_first = found.attempt == 1
    try:
        return look(
            call, request, watch, who=found.attribution, levers=found.levers, is_first=is_first
        )
    except Exception:  # noqa: BLE001  protects the call: the guard is ours
        found.notes.append("fail_open.loops")
        return None


def _remarks(call: Call) -> list[str]:
    """What is to be said of whoever calls."""
    notes: list[str] = []
    if "x-api-key" not in call.headers and is_subscription(call.headers):
        notes.append(SUBSCRIPTION_NOTE)
    if call.ping_for is not None:
        notes.append("own.ping")
    return notes


def _request(call: Call, route: Route, notes: list[str]) -> Request | None:
    """The request of a call to a model; None where it is none, or cannot be read."""
    if route.endpoint not in _MODEL_CALLS:
        return None
    try:
        request = Request.parse(call.body)
        request.model  # noqa: B018  a name that cannot be read makes the rest unreadable too
    except RequestError:  # the provider says so better than we could
        notes.append("request.unreadable")
        return None
    return request


def _attributed(call: Call, request: Request | None, setup: Setup, notes: list[str]) -> Attribution:
    try:
        who = attribute(
            call.headers, request, install_key=setup.install_key, key_name=call.key_name
        )
        if who.parent_task_id is None and who.task_id == who.root_task_id:
            return who
        # the root of a Claude Code agent is the session, which its headers say
        said = clean_name(call.headers.get("x-farthing-root", ""))
        return setup.roots.settled(who, says_root=said is not None or who.source != "header")
    except Exception:  # noqa: BLE001  protects the call: attribution is ours
        notes.append("fail_open.attribution")
    return Attribution(
        task_id="unattributed",
        root_task_id="unattributed",
        key_scope=call.key_name or key_scope({}, setup.install_key),
        source="lineage",
    )


def _read(call: Call, engine: Engine, notes: list[str]) -> Reading | None:
    """Parsed after the conversation's last request; None: the plain parser has its turn."""
    if call.ping_for is not None:
        return None
    return guarded(lambda: _reading(engine, call), None, code="levers", notes=notes)


def _reading(engine: Engine, call: Call) -> Reading | None:
    try:
        found = engine.read(call.body, call.headers)
        found.request.model  # noqa: B018  a name that cannot be read makes the rest unreadable too
    except RequestError:
        return None
    return found


def _levers(
    call: Call, reading: Reading, attribution: Attribution, setup: Setup, notes: list[str]
) -> Levers | None:
    assert setup.engine is not None
    return Levers.begin(setup.engine, reading, caller_of(call, attribution), notes)


def bounded(
    call: Call, request: Request, setup: Setup, notes: list[str], *, for_an_hour: bool = False
) -> WorstCase | None:
    """The most a call can cost; ``for_an_hour``: marks of ours may ask for that."""
    try:
        return worst_case(
            request,
            prices=setup.prices,
            memo=setup.memo,
            now=call.received.at,
            writes_for_an_hour=for_an_hour,
            allowances=setup.board.allowances,
        )
    except Exception:  # noqa: BLE001  protects the call: bounding is ours
        notes.append("fail_open.worst_case")
        return None


def _cap(call: Call, setup: Setup) -> tuple[int | None, str | None]:
    """The tighter of the operator's cap and the client's: a header can lower, never raise."""
    text = call.headers[_BUDGET]
    try:
        asked = max(0, parse_usd(text.strip()))
    except ValueError:
        return setup.task_cap_pico, f"{_BUDGET} is {text[:40]!r}, no amount such as '0.25'"
    caps = [cap for cap in (asked, setup.task_cap_pico) if cap is not None]
    return min(caps), None


def _model(request: Request, worst: WorstCase | None) -> str | None:
    """The model asked for, if its name may rest: one with a price is one that we know."""
    model = request.model
    return model if worst is not None else restable_model(model)


def restable_model(model: str | None) -> str | None:
    """The name of a model that nobody here knows, if it looks like one."""
    return model if model and _MODEL.fullmatch(model) else None
