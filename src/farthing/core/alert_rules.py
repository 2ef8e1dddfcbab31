"""When something is worth an alert: one small machine per rule, fed with rows, events and facts.

Theory of operation. A rule looks at what it is fed and says whether a thing holds, holds no more,
or neither (between the two bounds, so that a value near one of them does not ring all day). What
begins to hold is raised once, what ended is raised once as resolved; in between nothing is said,
but for a budget that passes its next threshold. Things that happened and do not end (a loop, a
batch) are said once per hour and thing.

- budget, forecast: from ``BudgetFact``, fed by whoever settles a budget
- breaker: from a circuit's ``Change``; loop: from ``LoopFact``
- savings, cache hit rate, unpriced models, provider errors: from each exchange as it ends
- batches: from the register of batches; cost per passed task: from ``core.regressions``

Rules of this file: what holds survives a restart, because whoever made this machine hands it the
alerts that were firing. The windows do not: they fill again. Memory is bounded by ``_MOST``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from farthing.core.alert_windows import CallWindows, WindowLimits
from farthing.core.alerts import RULES, Alert, Fact, Rule, Severity, dedup_key_of, make_alert
from farthing.core.batches import KnownBatch
from farthing.core.breaker_values import Change
from farthing.core.records import ExchangeRow
from farthing.core.regressions import Rise
from farthing.pricing.money import dump_usd

__all__ = ["AlertLimits", "AlertRules", "BudgetFact", "LoopFact"]

_MOST: Final = 4_096
_AGAIN: Final = timedelta(hours=1)
#: a batch is given up by the provider a day after it was made
_EXPIRING: Final = timedelta(hours=22)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertLimits:
    """From where on a thing is worth an alert."""

    #: of a budget, in percent
    budget_percents: tuple[int, ...] = (50, 80, 100)
    windows: WindowLimits = field(default_factory=WindowLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetFact:
    """How a budget stands after something was spent, raised or reset."""

    #: the budget in words: ``key:k1 per day``
    scope: str
    at: datetime
    limit_pico: int
    spent_pico: int
    #: None: it never resets
    resets_at: datetime | None = None
    #: when it is spent at this rate; None: not at all
    runs_out_at: datetime | None = None
    #: thresholds of its own, beside those of all budgets
    percents: tuple[int, ...] = ()
    #: has it just refused a call
    is_refused: bool = False
    #: of a call, a task or a session: nobody hears when that is over, so nothing would end an alert
    is_passing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopFact:
    """An agent repeats itself."""

    #: ``task:t1``
    scope: str
    at: datetime
    #: names of tools, never their arguments
    what: str
    repeats: int
    is_stopped: bool


class AlertRules:
    """All rules; ``firing`` is what held when the last process ended."""

    def __init__(
        self, limits: AlertLimits | None = None, *, since: datetime, firing: Iterable[Alert] = ()
    ) -> None:
        self._limits = limits or AlertLimits()
        self._since = since
        self._windows = CallWindows(self._limits.windows)
        self._firing = OrderedDict((alert.dedup_key, alert) for alert in firing)
        self._said: OrderedDict[str, datetime] = OrderedDict()

    @property
    def firing(self) -> list[Alert]:
        """What holds now."""
        return list(self._firing.values())

    def call(self, row: ExchangeRow, now: datetime) -> list[Alert]:
        """An exchange has ended."""
        turned = (
            self._turn(found.rule, found.scope, now, holds=found.holds, facts=found.facts)
            for found in self._windows.add(row, now)
        )
        return [alert for alert in turned if alert is not None]

    def budget(self, fact: BudgetFact) -> list[Alert]:
        """A budget was spent from, raised or reset."""
        percents = {*self._limits.budget_percents, *fact.percents}
        level = max((p for p in percents if _share_is(fact, p)), default=0)
        facts: dict[str, Fact] = {
            "percent": level,
            "spent_usd": dump_usd(fact.spent_pico),
            "limit_usd": dump_usd(fact.limit_pico),
            "resets_at": None if fact.resets_at is None else _said(fact.resets_at),
            "refusing": ", and refuses calls" if fact.is_refused else "",
        }
        severity: Severity = "error" if level >= 100 or fact.is_refused else "warning"
        if fact.is_passing:
            return self._passing(fact, level, facts, severity)
        before = self._firing.get(dedup_key_of("budget", fact.scope))
        is_higher = before is not None and (
            level > int(before.facts.get("percent") or 0)
            or (fact.is_refused and not before.facts.get("refusing"))
        )
        found = [
            self._turn(
                "budget",
                fact.scope,
                fact.at,
                holds=_holds(fact, level, before),
                facts=facts,
                severity=severity,
                again=is_higher,
            ),
            self._forecast(fact),
        ]
        return [alert for alert in found if alert is not None]

    def _passing(
        self, fact: BudgetFact, level: int, facts: Mapping[str, Fact], severity: Severity
    ) -> list[Alert]:
        """Each step of a limit is said once; nothing ends what was said."""
        if not level and not fact.is_refused:
            return []
        step = f"{facts['limit_usd']} {level}"
        if _said_key(dedup_key_of("budget", fact.scope), severity, step) in self._said:
            return []
        return self._once("budget", fact.scope, fact.at, facts, severity=severity, step=step)

    def loop(self, fact: LoopFact) -> list[Alert]:
        """A loop was seen, and perhaps stopped."""
        facts: dict[str, Fact] = {
            "what": fact.what,
            "repeats": fact.repeats,
            "action": "stopped" if fact.is_stopped else "not stopped",
        }
        severity: Severity = "error" if fact.is_stopped else "warning"
        return self._once("loop", fact.scope, fact.at, facts, severity=severity)

    def breaker(self, change: Change) -> list[Alert]:
        """A circuit opened or closed."""
        until = "" if change.until is None else _said(change.until)
        facts: dict[str, Fact] = {"why": change.why, "until": until, "refused": change.refused}
        found = self._turn(
            "breaker",
            f"{change.key.kind}:{change.key.name}",
            change.at,
            holds=change.state == "open",
            facts=facts,
            severity="warning" if change.key.kind == "call" else "error",
        )
        return [] if found is None else [found]

    def restarted(self, now: datetime) -> list[Alert]:
        """The circuits of the process before are gone with it."""
        gone = [alert for alert in self._firing.values() if alert.rule == "breaker"]
        for alert in gone:
            del self._firing[alert.dedup_key]
        return [replace(alert, state="resolved", at=now) for alert in gone]

    def batches(self, batches: Iterable[KnownBatch], now: datetime) -> list[Alert]:
        """The batches on record: which ended, were lost, or wait for long."""
        return [alert for batch in batches for alert in self._batch(batch, now)]

    def rises(self, rises: Iterable[Rise], now: datetime) -> list[Alert]:
        """Task types that were compared with how they were."""
        turned = (
            self._turn(
                "cost_per_passed_task",
                f"task type {rise.task_type}",
                now,
                holds=rise.is_shown,
                facts={
                    "measure": f"{rise.compared.measure.name} per {rise.compared.measure.per}",
                    "before": _number(rise.compared.a),
                    "after": _number(rise.compared.b),
                },
            )
            for rise in rises
        )
        return [alert for alert in turned if alert is not None]

    def _forecast(self, fact: BudgetFact) -> Alert | None:
        runs_out = fact.runs_out_at
        is_early = runs_out is not None and (fact.resets_at is None or runs_out < fact.resets_at)
        return self._turn(
            "budget_forecast",
            fact.scope,
            fact.at,
            holds=is_early and fact.spent_pico < fact.limit_pico,
            facts={
                "limit_usd": dump_usd(fact.limit_pico),
                "runs_out": "" if runs_out is None else f"{runs_out:%A %Y-%m-%d %H:%M} UTC",
            },
        )

    def _batch(self, batch: KnownBatch, now: datetime) -> list[Alert]:
        scope = f"batch {batch.batch_id}"
        age = now - batch.created_at
        expiring = self._turn(
            "batch_expiring",
            scope,
            now,
            holds=batch.ending is None and age >= _EXPIRING,
            facts={"hours": int(age.total_seconds() // 3600)},
        )
        found = [] if expiring is None else [expiring]
        if batch.ended_at is None or batch.ended_at < self._since:
            return found  # said by whoever saw it end
        rule: Rule = "batch_failed" if batch.ending == "lost" else "batch_ended"
        if _said_key(dedup_key_of(rule, scope), RULES[rule].severity) in self._said:
            return found  # on record for a month; said when it happened
        return found + self._once(rule, scope, now, {})

    def _turn(  # noqa: PLR0913 -- the alert's own fields
        self,
        rule: Rule,
        scope: str,
        at: datetime,
        *,
        holds: bool | None,
        facts: Mapping[str, Fact],
        severity: Severity | None = None,
        again: bool = False,
    ) -> Alert | None:
        """The alert if a thing begins or ends; ``holds`` None: neither."""
        key = dedup_key_of(rule, scope)
        before = self._firing.get(key)
        if holds and (before is None or again):
            alert = make_alert(rule, scope, at, facts=facts, severity=severity)
            self._firing[key] = alert
            if len(self._firing) > _MOST:
                self._firing.popitem(last=False)
            return alert
        if holds is False and before is not None:
            del self._firing[key]
            return replace(before, state="resolved", at=at)
        return None

    def _once(
        self,
        rule: Rule,
        scope: str,
        at: datetime,
        facts: Mapping[str, Fact],
        *,
        severity: Severity | None = None,
        step: str = "",
    ) -> list[Alert]:
        alert = make_alert(rule, scope, at, facts=facts, severity=severity or RULES[rule].severity)
        key = _said_key(alert.dedup_key, alert.severity, step)
        last = self._said.get(key)
        if last is not None and at - last < _AGAIN:
            return []
        self._said[key] = at
        self._said.move_to_end(key)
        if len(self._said) > _MOST:
            self._said.popitem(last=False)
        return [alert]


def _said_key(dedup_key: str, severity: Severity, step: str = "") -> str:
    """What got worse is another thing to say."""
    return f"{dedup_key} {severity} {step}"


def _holds(fact: BudgetFact, level: int, before: Alert | None) -> bool | None:
    """What refuses large calls still takes small ones: that ends nothing, another limit does."""
    if level > 0 or fact.is_refused:
        return True
    if before is None or not before.facts.get("refusing") or not fact.spent_pico:
        return False
    return None if before.facts.get("limit_usd") == dump_usd(fact.limit_pico) else False


def _share_is(fact: BudgetFact, percent: int) -> bool:
    return fact.spent_pico * 100 >= percent * fact.limit_pico


def _said(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"
