"""Alerts as values: what is said, about what, how urgent, and whether it still holds.

Theory of operation. A rule says a thing once when it begins to hold (``firing``) and, where it can
end, once when it ends (``resolved``). The ``dedup_key`` is the same for both, and the same after a
restart, so a pager closes what it opened. What the facts say stands in the summary in words.

Rules of this file: values only; no prompt text, and what looks like a key is masked. Money in facts
is a decimal string.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal, TypeVar, get_args

import msgspec

from farthing.core.masking import masked
from farthing.errors import LedgerError

__all__ = [
    "RULES",
    "Alert",
    "Fact",
    "Message",
    "Rule",
    "RuleFacts",
    "Severity",
    "State",
    "dedup_key_of",
    "make_alert",
    "parse_alert",
    "parse_message",
]

Severity = Literal["info", "warning", "error", "critical"]
State = Literal["firing", "resolved"]
Rule = Literal[
    "budget",
    "budget_forecast",
    "loop",
    "breaker",
    "savings_negative",
    "cache_hit_rate",
    "unpriced_model",
    "provider_errors",
    "batch_ended",
    "batch_failed",
    "batch_expiring",
    "cost_per_passed_task",
    "test",
]
Fact = str | int | float | bool | None

_LONGEST_KEY: Final = 255  # PagerDuty's limit for a dedup key


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFacts:
    """What is known of a rule."""

    #: completes "budget …" with its facts
    words: str
    severity: Severity = "warning"
    #: does it end? Otherwise it is said once
    ends: bool = True


RULES: Final[Mapping[Rule, RuleFacts]] = MappingProxyType(
    {
        "budget": RuleFacts(
            words="{scope} has spent ${spent_usd} of ${limit_usd} ({percent} %){refusing}"
        ),
        "budget_forecast": RuleFacts(
            words="{scope}: at this rate ${limit_usd} are spent by {runs_out}"
        ),
        "loop": RuleFacts(
            words="{scope} repeats itself: {repeats} times {what}; {action}",
            ends=False,
        ),
        "breaker": RuleFacts(severity="error", words="{scope} is refused until {until}: {why}"),
        "savings_negative": RuleFacts(
            words="{scope}: farthing cost ${lost_usd} more than it saved in a day, {calls} calls"
        ),
        "cache_hit_rate": RuleFacts(
            words="{scope}: {now} % of prompt tokens read from the cache, {before} % before"
        ),
        "unpriced_model": RuleFacts(
            words="{scope} has no price: what it costs is not known, give it a rate card"
        ),
        "provider_errors": RuleFacts(
            words="{errors} of {calls} calls failed at the provider within ten minutes",
            severity="error",
        ),
        "batch_ended": RuleFacts(
            severity="info", ends=False, words="{scope} ended and its results are booked"
        ),
        "batch_failed": RuleFacts(
            severity="error", ends=False, words="{scope}: its results can no longer be read"
        ),
        "batch_expiring": RuleFacts(words="{scope} is {hours} hours old and not booked"),
        "cost_per_passed_task": RuleFacts(words="{scope}: {measure} went from {before} to {after}"),
        "test": RuleFacts(severity="info", ends=False, words="a test: alerts arrive here"),
    }
)
assert set(RULES) == set(get_args(Rule))


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that somebody should know; made by ``make_alert``."""

    rule: Rule
    #: about what: a budget, a task type, a model; never a credential
    scope: str
    state: State
    severity: Severity
    at: datetime
    summary: str
    facts: dict[str, Fact] = {}

    @property
    def dedup_key(self) -> str:
        """The same for what begins and what ends."""
        return dedup_key_of(self.rule, self.scope)

    @property
    def ends(self) -> bool:
        """Will somebody say when it is over?"""
        return RULES[self.rule].ends


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts that are told together."""

    message_id: str
    alerts: tuple[Alert, ...]


_Told = TypeVar("_Told", Alert, Message)


def make_alert(
    rule: Rule,
    scope: str,
    at: datetime,
    *,
    facts: Mapping[str, Fact],
    severity: Severity | None = None,
) -> Alert:
    """An alert that begins, with its words; what ends it differs in its state and time."""
    known = RULES[rule]
    clean = {name: masked(f) if isinstance(f, str) else f for name, f in facts.items()}
    scope = masked(scope)
    return Alert(
        rule=rule,
        scope=scope,
        state="firing",
        severity=severity or known.severity,
        at=at,
        summary=known.words.format(scope=scope, **clean),
        facts=clean,
    )


def dedup_key_of(rule: Rule, scope: str) -> str:
    """``farthing/budget/task:t1``; of a scope that is too long, its digest."""
    key = f"farthing/{rule}/{masked(scope)}"
    if len(key.encode()) <= _LONGEST_KEY:
        return key
    return f"farthing/{rule}/{hashlib.sha256(key.encode()).hexdigest()}"


def parse_alert(raw: str) -> Alert:
    """What an encoder wrote; ``LedgerError`` for anything else."""
    return _parsed(raw, Alert, "an alert")


def parse_message(raw: str) -> Message:
    """What an encoder wrote; ``LedgerError`` for anything else."""
    return _parsed(raw, Message, "an alert's message")


def _parsed(raw: str, kind: type[_Told], what: str) -> _Told:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.MsgspecError as error:
        raise LedgerError(f"{what} cannot be read: {error}") from None
