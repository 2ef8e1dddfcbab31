"""Would the Claude API refuse this request? The rules of section 8 of the API facts, as a table.

What a body alone cannot show is not checked: see ``docs/design/validity.md``.
"""

from __future__ import annotations

from farthing.errors import InvalidRequest
from farthing.wire.models import ModelTraits
from farthing.wire.request import Request
from farthing.wire.validity import (
    calls,
    content,
    features,
    marks,
    parameters,
    roles,
    server_tools,
    thinking,
    tools,
)
from farthing.wire.validity.rule import Rule, Severity, Subject, Violation

__all__ = ["RULES", "Rule", "Severity", "Violation", "check", "check_valid"]

#: how many violations an error spells out; it carries all
_NAMED = 5

RULES: tuple[Rule, ...] = (
    *roles.RULES,
    *calls.RULES,
    *server_tools.RULES,
    *tools.RULES,
    *marks.RULES,
    *content.RULES,
    *thinking.RULES,
    *parameters.RULES,
    *features.RULES,
)


def check(
    request: Request,
    traits: ModelTraits | None,
    *,
    api_version: str = "2023-06-01",
    is_batch: bool = False,
    with_advice: bool = False,
) -> tuple[Violation, ...]:
    """Each place where the request breaks a rule; none: nothing the body shows is wrong.

    Without ``traits`` (an unknown model) the rules that depend on the model are left out.
    """
    subject = Subject(request, traits, api_version=api_version, is_batch=is_batch)
    return tuple(
        violation
        for rule in RULES
        if with_advice or rule.severity == "refused"
        for violation in rule.violations(subject)
    )


def check_valid(
    request: Request,
    traits: ModelTraits | None,
    *,
    api_version: str = "2023-06-01",
    is_batch: bool = False,
) -> None:
    """Raise ``InvalidRequest`` with the violations if the API would refuse the request."""
    violations = check(request, traits, api_version=api_version, is_batch=is_batch)
    if violations:
        named = "; ".join(map(str, violations[:_NAMED]))
        more = len(violations) - _NAMED
        text = f"{named}; and {more} more" if more > 0 else named
        raise InvalidRequest(text, violations=violations)
