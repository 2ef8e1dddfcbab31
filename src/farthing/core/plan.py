"""The planner: prices proposals together, accepts what has a positive net, and says why.

Theory of operation. Levers look at a request and propose; this function decides. A proposal has
edits, the shape that they give the prompt (a function of the view, so that proposals compose), and
what its lever expects it to be worth beyond this call. Proposals are priced *together*: for each
combination that is allowed, the prompt in that shape is looked up in the model of the prompt cache,
so what a combination keeps, writes or destroys is in its price::

    net(S) = E[cost of the request as it is] - E[cost in the shape of S] + Σ later value

The combination with the largest net wins if that is above zero; of equal ones the smaller, then the
earlier in the order of ablation. With more than ``_TRIED_TOGETHER`` proposals they are taken one by
one in that order, each against those accepted before.

Before that a proposal is declined whose lever is not in force, that the governor switched off, that
touches what its lever may not, or whose model has no price. After it the body is made and checked
against the rules of the API: a plan never makes a 400 possible. Exact levers change marks only, so
only the rules of marks are tried for them. Marks that depend on which levers were accepted together
are written last, by ``PlanCase.remark``, which knows those rules and needs no second parse.

Same request, view, cache, levers and instant: same plan. ``observe`` plans and changes nothing: its
reasons begin with ``~`` where others have ``+``.

Interface: ``plan(PlanCase(…), proposals)`` → ``Planned``; ``Planned.plan`` for an exchange.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Final

from farthing.core.exchange_plan import Plan
from farthing.core.hazard import ExpectedCost
from farthing.core.levers import ABLATION_ORDER, LEVERS, Touch
from farthing.core.policy import InForce
from farthing.core.prefix import Mark, PrefixView
from farthing.core.prompt_cache import PromptCache
from farthing.errors import RequestError
from farthing.pricing.cards import RateCard
from farthing.wire.apply import apply
from farthing.wire.edits import (
    Edit,
    InsertMessage,
    RemoveMessage,
    RemoveTopLevel,
    SetField,
    SetTopLevel,
)
from farthing.wire.models import ModelTraits
from farthing.wire.request import Request
from farthing.wire.validity import check, marks
from farthing.wire.validity.rule import Subject

__all__ = ["Considered", "PlanCase", "Planned", "Proposal", "Remark", "expected_pico", "plan"]

#: the edits that give a request these marks; None: the API would refuse them
Remark = Callable[[Sequence[Mark]], Sequence[Edit] | None]

#: 2^4 combinations are looked up in well under a millisecond
_TRIED_TOGETHER: Final = 4

_MARK: Final = "cache_control"
#: top-level fields that reach neither the prompt nor its key (API facts 2.6, 2.9)
_UNRENDERED: Final = frozenset(
    {"diagnostics", "max_tokens", "metadata", "stream", "stop_sequences"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a lever suggests for one request."""

    lever: str
    edits: tuple[Edit, ...] = ()
    #: the prompt with the edits made
    shape: Callable[[PrefixView], PrefixView] = lambda view: view
    #: expected worth beyond this call, in 10⁻¹² USD; never booked
    later_pico: float = 0.0
    #: levers that cannot be accepted beside this one
    excludes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCase:
    """One request with all that a decision may depend on."""

    request: Request
    traits: ModelTraits | None
    view: PrefixView
    cache: PromptCache
    #: None: the model has no price, and without a price there is no net
    card: RateCard | None
    now: datetime
    in_force: InForce
    #: switched off for this workload, by evidence
    governed_off: Collection[str] = frozenset()
    #: for proposals that say their marks by their shape alone
    remark: Remark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Considered:
    """What became of a proposal: its reason, and its net beside the accepted ones."""

    lever: str
    #: ``accepted``, ``no_gain``, ``not_in_force``, ``governed_off``, ``out_of_bounds``,
    #: ``unpriced``, ``conflict`` or ``invalid``
    reason: str
    #: 10⁻¹² USD in expectation
    net_pico: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The decision as data."""

    body: bytes
    #: the prompt as it will be sent
    view: PrefixView
    considered: tuple[Considered, ...]
    net_pico: float = 0.0
    is_applied: bool = True
    #: what was accepted, in the order of ablation
    shapes: tuple[tuple[str, Callable[[PrefixView], PrefixView]], ...] = ()

    def steps(self, view: PrefixView) -> list[tuple[str, PrefixView]]:
        """Each accepted lever with the prompt after it, from a prompt before all of them."""
        found: list[tuple[str, PrefixView]] = []
        for lever, shape in self.shapes:
            view = shape(view)
            found.append((lever, view))
        return found

    @property
    def accepted(self) -> tuple[str, ...]:
        """The levers that act."""
        return tuple(each.lever for each in self.considered if each.reason == "accepted")

    @property
    def plan(self) -> Plan:
        """The same as an exchange carries and records it."""
        sign = "+" if self.is_applied else "~"
        reasons = [
            f"{sign}{each.lever}" if each.reason == "accepted" else f"-{each.lever}:{each.reason}"
            for each in self.considered
        ]
        return Plan(body=self.body, reasons=tuple(reasons))


def plan(case: PlanCase, proposals: Sequence[Proposal]) -> Planned:
    """Which proposals are made, and what the request is then."""
    ordered = sorted(proposals, key=lambda each: ABLATION_ORDER.index(each.lever))
    declined = {each.lever: why for each in ordered if (why := _why_not(case, each))}
    open_ = [each for each in ordered if each.lever not in declined]
    nets = _Nets(case)
    chosen = nets.best(open_) if len(open_) <= _TRIED_TOGETHER else nets.greedy(open_)
    body = _body(case, chosen)
    if body is None:
        declined |= {each.lever: "invalid" for each in chosen}
        chosen, body = (), case.request.body
    considered = [_considered(each, declined, chosen, nets) for each in ordered]
    applied = case.in_force.is_applied
    return Planned(
        body=body if applied else case.request.body,
        view=_shaped(case.view, chosen) if applied else case.view,
        considered=tuple(considered),
        net_pico=nets.net(chosen),
        is_applied=applied,
        shapes=tuple((each.lever, each.shape) for each in chosen),
    )


def _considered(
    proposal: Proposal, declined: dict[str, str], chosen: Sequence[Proposal], nets: _Nets
) -> Considered:
    lever = proposal.lever
    if lever in declined:
        return Considered(lever=lever, reason=declined[lever])
    others = tuple(each for each in chosen if each is not proposal)
    beside = nets.ordered((*others, proposal))
    if not _is_allowed(beside):
        return Considered(lever=lever, reason="conflict")
    reason = "accepted" if len(others) < len(chosen) else "no_gain"
    return Considered(lever=lever, reason=reason, net_pico=nets.net(beside) - nets.net(others))


def _why_not(case: PlanCase, proposal: Proposal) -> str | None:
    """What forbids a proposal before anybody asks for its price."""
    lever = LEVERS[proposal.lever]
    if lever.id not in case.in_force.levers:
        return "not_in_force"
    if lever.id in case.governed_off:
        return "governed_off"
    if not {_touch(edit) for edit in proposal.edits} <= _allowed(lever.touches):
        return "out_of_bounds"
    return "unpriced" if case.card is None else None


def _allowed(touches: Iterable[Touch]) -> set[Touch]:
    """A mark and its lifetime are one member of the body."""
    found = set(touches)
    return found | {"marks"} if "ttl" in found else found


def _touch(edit: Edit) -> Touch:
    """What of a request an edit changes."""
    if isinstance(edit, SetTopLevel | RemoveTopLevel):
        if edit.name == _MARK:
            return "marks"
        if edit.name in _UNRENDERED:
            return "unrendered"
        return "tools" if edit.name == "tools" else "system"
    if isinstance(edit, InsertMessage | RemoveMessage):
        return "messages"
    if isinstance(edit, SetField) and edit.name == _MARK:
        return "marks"
    level = edit.address.partition(".")[0]
    return "messages" if level == "messages" else "tools" if level == "tools" else "system"


# -- prices ---------------------------------------------------------------------------------------


class _Nets:
    """What combinations are worth; each is priced once."""

    def __init__(self, case: PlanCase) -> None:
        self._case = case
        self._known: dict[tuple[str, ...], float] = {(): 0.0}
        self._as_is: float | None = None

    @staticmethod
    def ordered(proposals: Iterable[Proposal]) -> tuple[Proposal, ...]:
        """In the order in which their edits are made."""
        return tuple(sorted(proposals, key=lambda each: ABLATION_ORDER.index(each.lever)))

    def net(self, proposals: Sequence[Proposal]) -> float:
        """Of a combination in order, against the request as it is."""
        key = tuple(each.lever for each in proposals)
        if key not in self._known:
            if self._as_is is None:
                self._as_is = self._cost(self._case.view)
            later = sum(each.later_pico for each in proposals)
            cost = self._cost(_shaped(self._case.view, proposals))
            self._known[key] = self._as_is - cost + later
        return self._known[key]

    def _cost(self, view: PrefixView) -> float:
        assert self._case.card is not None  # without a price no proposal comes this far
        return expected_pico(view, self._case.cache, self._case.card, self._case.now)

    def best(self, proposals: Sequence[Proposal]) -> tuple[Proposal, ...]:
        """The combination with the largest net; of equal ones the smaller, then the earlier."""
        found: tuple[Proposal, ...] = ()
        for size in range(1, len(proposals) + 1):
            for candidate in combinations(proposals, size):
                if _is_allowed(candidate) and self.net(candidate) > self.net(found):
                    found = candidate
        return found

    def greedy(self, proposals: Sequence[Proposal]) -> tuple[Proposal, ...]:
        """One by one, each against those accepted before."""
        found: tuple[Proposal, ...] = ()
        for proposal in proposals:
            candidate = (*found, proposal)
            if _is_allowed(candidate) and self.net(candidate) > self.net(found):
                found = candidate
        return found


def expected_pico(view: PrefixView, cache: PromptCache, card: RateCard, now: datetime) -> float:
    """What the prompt in this shape costs now, in 10⁻¹² USD in expectation."""
    expected = cache.expect(view, cache.predict(view, now), now)
    return ExpectedCost.of(expected, card.rates_for(view.total_tokens)).pico_usd


def _is_allowed(proposals: Sequence[Proposal]) -> bool:
    levers = {each.lever for each in proposals}
    return not any(each.excludes & levers for each in proposals)


def _shaped(view: PrefixView, proposals: Sequence[Proposal]) -> PrefixView:
    for proposal in proposals:
        view = proposal.shape(view)
    return view


# -- the body -------------------------------------------------------------------------------------


def _body(case: PlanCase, chosen: Sequence[Proposal]) -> bytes | None:
    """The edits made; None where they do not fit or the API would refuse what it takes now."""
    edits = [edit for proposal in chosen for edit in proposal.edits]
    marks_then = _shaped(case.view, chosen).marks
    remarked: Sequence[Edit] | None = ()
    if case.remark is not None and marks_then != case.view.marks:
        remarked = case.remark(marks_then)
    if remarked is None:
        return None
    try:
        body = apply(case.request, [*edits, *remarked])
        if not edits:
            return body
        after = Request.parse(body, after=case.request)
        is_exact = all(LEVERS[each.lever].risk == "exact" for each in chosen)
        broken = _broken(case, after, is_exact)
        is_new = bool(broken) and not broken <= _broken(case, case.request, is_exact)
    except RequestError:
        return None
    return None if is_new else body


def _broken(case: PlanCase, request: Request, is_exact: bool) -> set[str]:  # noqa: FBT001  private
    if not is_exact:
        return {violation.code for violation in check(request, case.traits)}
    subject = Subject(request, case.traits, api_version="2023-06-01", is_batch=False)
    return {found.code for rule in marks.RULES for found in rule.violations(subject)}
