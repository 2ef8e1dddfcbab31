"""An exchange and its budgets: what it asks of them, how it is made to fit, why it is refused.

Theory of operation. The budgets that apply to a call become claims (``core.budgets``), asked for in
one step: all admit it or nothing is held. Where one does not, the steps of *its* ladder are tried
in their order, each on the call as the step before left it: ``effort`` and ``model`` ask a port,
``max_tokens`` lowers what may be said, ``note`` also tells the model to come to an end. What fits
is asked for again; what does not is refused with the amounts of the budget that refused. A ladder
is never climbed twice, so a call asks at most once per step and once more.

Call by call: a budget over single calls holds nothing and is looked at here.

What is held is a proof as far as there is one; then the interval of a call that is never answered
ends there too, instead of at the wider bound of its bytes.

Rules of this file: a body is changed only here and only on the way to a refusal; a note says so.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from farthing.core.budgets import Budget, Step, key_of
from farthing.core.budgets_account import Admitted, Claim, Denied, Reservation, Standing
from farthing.core.budgets_bound import NOTE_TOKENS, CallBound, clamped, rewritten
from farthing.core.exchange_call import Call
from farthing.core.exchange_effects import Effect, Note, Reserve, ask
from farthing.core.exchange_plan import Plan
from farthing.core.exchange_prepare import Prepared, Setup
from farthing.core.exchange_settle import Progress, Verdict
from farthing.core.hold import WorstCase, worst_case
from farthing.core.records import Attribution
from farthing.errors import LedgerError, RequestError
from farthing.pricing.money import show_usd
from farthing.wire.answers import BatchResult
from farthing.wire.request import Request

__all__ = [
    "TASK_CAP",
    "Refusal",
    "admit",
    "admit_unpriced",
    "batch_keys",
    "describe_denied",
    "fitted",
    "learn",
    "named_model",
    "unkept",
]

_CALL: Final = "call"
#: what a refusal calls the cap of ``budget.task_usd`` or ``x-farthing-budget-usd``
TASK_CAP: Final = "the task's own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a call is not sent."""

    code: str
    message: str


_Admission = Generator[Effect[Any], Any, Refusal | None]


def admit(call: Call, progress: Progress, setup: Setup) -> _Admission:
    """Hold in every budget that applies; a refusal where one does not have enough left."""
    asking = _Asking(call, progress.prepared, progress, setup)
    if not asking.applying and progress.prepared.cap_pico is None:
        return None
    return (yield from asking.run())


def admit_unpriced(call: Call, prepared: Prepared, setup: Setup) -> Refusal | None:
    """A call to a path that we know no price for, and that may well cost something."""
    is_paid = prepared.route.endpoint == "other" and not prepared.route.is_free
    if not is_paid or not call.path.startswith("/v1/"):
        return None
    refuses = [
        budget.name
        for budget in setup.board.budgets
        if budget.on_unpriced == "refuse"
        and key_of(budget, prepared.attribution, None, call.received.at) is not None
    ]
    why = f"{prepared.route.path} has no price"
    if not refuses:
        return None
    return Refusal(code="budget.unpriced", message=unkept(refuses, why, is_price=True))


def fitted(prepared: Prepared, plan: Plan) -> Plan | None:
    """Another plan for a call that was made to fit, made to fit alike; None where it cannot be."""
    if prepared.fitted_tokens is None:
        return plan
    request = Request.parse(plan.body)
    body = rewritten(request, prepared.fitted_tokens, with_note=prepared.is_told_to_end)
    return None if body is None else msgspec.structs.replace(plan, body=body)


def learn(prepared: Prepared, verdict: Verdict, setup: Setup) -> None:
    """What an answer said of its prompt and its cost bounds the calls after it."""
    usage, cost, board = verdict.usage, verdict.cost, setup.board
    if prepared.prompt_digest is None or usage is None or not usage.prompt or usage.iterations:
        return
    board.prompts.learn(prepared.prompt_digest, usage.prompt)
    if cost is not None and prepared.model is not None and prepared.asked_pico is not None:
        asked = prepared.asked_pico
        board.likely.learn(prepared.model, cost_pico=cost.total, worst_pico=asked)


class _Asking:
    """One attempt on its way through its budgets."""

    def __init__(self, call: Call, prepared: Prepared, progress: Progress, setup: Setup) -> None:
        self._now = call.received.at
        self._prepared = prepared
        self._progress = progress
        self._setup = setup
        who, model = prepared.attribution, named_model(prepared.model, setup)
        found = [(each, key_of(each, who, model, self._now)) for each in setup.board.budgets]
        #: budgets with their keys, the widest scope first
        self.applying = [(each, key) for each, key in found if key is not None]
        self._asked: list[Claim] = []
        self._steps: dict[str, list[Step]] = {
            each.name: list(each.ladder) for each, _ in self.applying
        }

    def run(self) -> _Admission:
        """Ask, step down, ask again."""
        found = self._bound()
        if found is None:
            return (yield from self._unheld("budget.unpriced", "this call has no price"))
        bound, request = found
        while True:
            try:
                reply = self._single_call(bound) or (yield from self._ask(bound))
            except LedgerError:
                why = "the ledger cannot be asked"
                return (yield from self._unheld("budget.ledger_fault", why))
            if isinstance(reply, Admitted):
                self._hold(reply, bound)
                yield from self._tell(reply)
                return None
            smaller = self._step_down(request, bound, reply)
            if smaller is None:
                self._setup.board.refused(reply, self._now)
                return self._refusal("budget.refused", describe_denied(reply))
            bound, request = smaller

    # -- asking -----------------------------------------------------------------------------------

    def _bound(self) -> tuple[CallBound, Request] | None:
        """What the call can cost, by all that is known of it; None: it has no price."""
        prepared, setup = self._prepared, self._setup
        worst = prepared.worst
        traits = setup.prices.traits(prepared.model) if prepared.model else None
        if worst is None or traits is None:  # or no body that can be read
            return None
        request = Request.parse(prepared.plan.body)
        try:
            prompt = setup.board.prompts.bound(request, traits, setup.memo)
        except RequestError:  # the provider says so better than we could
            return self._call_bound(request, worst, None), request
        prepared.prompt_digest = prompt.digest
        return self._call_bound(request, worst, prompt.tokens), request

    def _call_bound(
        self, request: Request, worst: WorstCase, known_tokens: int | None
    ) -> CallBound:
        client_bytes = len(self._progress.call.body)
        return CallBound.of(request, worst, known_tokens, client_bytes=client_bytes)

    def _claims(self, bound: CallBound) -> list[Claim]:
        claims = [
            self._claim(budget, key, bound)
            for budget, key in self.applying
            if budget.scope != _CALL
        ]
        prepared = self._prepared
        if prepared.cap_pico is not None:
            worst = bound.one_pass_pico
            claims.append(
                Claim(
                    key=prepared.scope,
                    limit_pico=prepared.cap_pico,
                    worst_pico=worst,
                    likely_pico=worst,
                    budget=TASK_CAP,
                )
            )
        return claims

    def _claim(self, budget: Budget, key: str, bound: CallBound) -> Claim:
        worst, span = bound.asked_of(budget), budget.span_at(self._now)
        is_ample = budget.mode == "ample"
        likely = self._setup.board.likely.likely(self._prepared.model or "", worst)
        return Claim(
            key=key,
            limit_pico=budget.limit_at(self._now),
            worst_pico=worst,
            likely_pico=likely if is_ample else worst,
            is_ample=is_ample,
            budget=budget.name,
            resets_at=None if span is None else span.end,
        )

    def _single_call(self, bound: CallBound) -> Denied | None:
        """The first budget over single calls that this one would pass."""
        for budget, key in self.applying:
            if budget.scope == _CALL:
                claim = self._claim(budget, key, bound)
                if claim.worst_pico > claim.limit_pico:
                    standing = Standing(
                        key=key, limit_pico=claim.limit_pico, spent_pico=0, held_pico=0
                    )
                    return Denied(claim=claim, standing=standing)
        return None

    def _ask(self, bound: CallBound) -> Generator[Effect[Any], Any, Admitted | Denied]:
        prepared, claims = self._prepared, self._claims(bound)
        self._asked = claims
        if not claims:  # only budgets over single calls, which hold nothing
            return Admitted(reservation_id=prepared.reservation_id, standings=())
        # Known before it is asked for: who is interrupted in between gives it back.
        prepared.budget_keys = tuple(dict.fromkeys(each.key for each in claims))
        reservation = Reservation(reservation_id=prepared.reservation_id, claims=tuple(claims))
        return (yield from ask(Reserve(reservation)))

    def _hold(self, admitted: Admitted, bound: CallBound) -> None:
        """It is held: so much, and the interval of a lost answer ends there."""
        prepared, worst = self._prepared, bound.worst
        prepared.asked_pico = bound.one_pass_pico
        if admitted.standings:
            self._progress.hold_pico = max(each.worst_pico for each in self._asked)
            prepared.cut_pico = self._cut_pico()
        if worst.is_single_pass:
            high = min(worst.high_pico, bound.one_pass_pico)
            prepared.worst = msgspec.structs.replace(
                worst, high_pico=high, output_tokens=bound.output_tokens
            )

    def _cut_pico(self) -> int | None:
        """The least that is held by a budget that stops a stream there."""
        names = {budget.name for budget, _ in self.applying if budget.on_overrun == "cut"}
        if not names:
            return None
        return min((c.worst_pico for c in self._asked if c.budget in names), default=None)

    def _tell(self, admitted: Admitted) -> Generator[Effect[Any], Any, None]:
        for percent in self._setup.board.told(self._asked, admitted.standings, self._now):
            yield from self._noted(f"budget.threshold.{percent}")

    # -- asking for less --------------------------------------------------------------------------

    def _step_down(
        self, request: Request, bound: CallBound, denied: Denied
    ) -> tuple[CallBound, Request] | None:
        """The call after the next step of the ladder that helps; None: there is none."""
        budget = next((b for b, _ in self.applying if b.name == denied.claim.budget), None)
        steps = self._steps.get(denied.claim.budget, [])
        while budget is not None and steps:
            found = self._step(steps.pop(0), budget, request, bound, denied.standing.room_pico)
            if found is not None:
                return found
        return None

    def _step(
        self, step: Step, budget: Budget, request: Request, bound: CallBound, room_pico: int
    ) -> tuple[CallBound, Request] | None:
        if step in {"effort", "model"}:
            body = self._setup.board.cheaper(step, request, room_pico)
            return None if body is None else self._replaced(body, step)
        is_note = step == "note"
        least = min(NOTE_TOKENS, budget.min_tokens) if is_note else budget.min_tokens
        smaller = clamped(bound.with_note() if is_note else bound, room_pico, least)
        body = (
            None
            if smaller is None
            else rewritten(request, smaller.output_tokens, with_note=is_note)
        )
        if smaller is None or body is None:
            return None
        self._prepared.is_told_to_end |= is_note
        self._progress.note("budget.noted" if is_note else "budget.clamped")
        return self._changed(body, smaller)

    def _replaced(self, body: bytes, step: Step) -> tuple[CallBound, Request] | None:
        """A call that somebody else made cheaper: what it can cost is found anew."""
        prepared, setup = self._prepared, self._setup
        request = Request.parse(body)
        worst = worst_case(
            request,
            prices=setup.prices,
            memo=setup.memo,
            now=self._now,
            allowances=setup.board.allowances,
        )
        if worst is None:
            return None
        prepared.worst, prepared.model = worst, request.model
        prepared.prompt_digest = None
        self._progress.note("budget.effort" if step == "effort" else "budget.model")
        return self._changed(body, CallBound.of(request, worst, None, client_bytes=len(body)))

    def _changed(self, body: bytes, bound: CallBound) -> tuple[CallBound, Request]:
        """What will be sent instead."""
        prepared = self._prepared
        prepared.plan = msgspec.structs.replace(prepared.plan, body=body)
        prepared.fitted_tokens = bound.output_tokens
        return bound, Request.parse(body)

    # -- no hold ----------------------------------------------------------------------------------

    def _unheld(self, code: str, why: str) -> _Admission:
        """No hold could be made: go on, or refuse, as the strictest of the budgets says."""
        is_price = code == "budget.unpriced"
        refuses = [
            budget.name
            for budget, _ in self.applying
            if (budget.on_unpriced if is_price else budget.on_fault) == "refuse"
        ]
        self._prepared.budget_keys = ()
        is_closed = self._setup.budget_fault == "closed"
        if refuses or (is_closed and not (is_price and self.applying)):
            return self._refusal(code, unkept(refuses, why, is_price=is_price))
        yield from self._noted(code)
        return None

    def _refusal(self, code: str, message: str) -> Refusal:
        """Nothing is held and nothing will be sent, whatever becomes of this process."""
        prepared = self._prepared
        prepared.budget_keys = ()
        if prepared.worst is not None:
            prepared.worst = msgspec.structs.replace(prepared.worst, high_pico=0)
        return Refusal(code=code, message=message)

    def _noted(self, code: str) -> Generator[Effect[Any], Any, None]:
        self._progress.note(code)
        yield from ask(Note(code, self._prepared.exchange_id))


def unkept(names: Sequence[str], why: str, *, is_price: bool) -> str:
    """What a client reads when a budget cannot be kept; ``names`` are of those that refuse."""
    whose = f"the budget {names[0]!r}" if names else "the budget"
    how = "give the model a price" if is_price else "correct that"
    field = "on_unpriced" if is_price else "on_fault"
    return f'{whose} cannot be kept: {why}; {how}, or set {field} = "allow" for it'


def named_model(model: str | None, setup: Setup) -> str | None:
    """The model as budgets call it, whichever of its names a call uses."""
    return None if model is None else setup.prices.canonical(model) or model


def batch_keys(
    result: BatchResult, who: Attribution, setup: Setup, now: datetime
) -> tuple[str, ...]:
    """The budgets that a batch's item counts in, from when its result passes, if none held it."""
    model = named_model(result.message.model if result.message is not None else None, setup)
    found = (key_of(each, who, model, now) for each in setup.board.budgets if each.scope != _CALL)
    return tuple(dict.fromkeys(key for key in found if key is not None))


def describe_denied(denied: Denied, what: str = "this call") -> str:
    """What a client reads when a budget does not hold its call, or whatever else it asked for."""
    claim, standing = denied.claim, denied.standing
    if claim.key.startswith(f"{_CALL}:"):
        return (
            f"the budget {claim.budget!r} over single calls allows {show_usd(claim.limit_pico)}, "
            f"and {what} may cost up to {show_usd(claim.worst_pico)}: raise the budget, or lower "
            "max_tokens"
        )
    reset = ""
    if claim.resets_at is not None:
        reset = f"; it begins anew at {claim.resets_at:%Y-%m-%dT%H:%MZ}"
    return (
        f"the budget {claim.budget!r} over {claim.key!r} has {show_usd(standing.room_pico)} of "
        f"{show_usd(standing.limit_pico)} left ({show_usd(standing.spent_pico)} spent, "
        f"{show_usd(standing.held_pico)} held by calls under way), and {what} may cost up to "
        f"{show_usd(claim.worst_pico)}{reset}: raise the budget, or lower max_tokens"
    )
