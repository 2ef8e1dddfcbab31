"""The exception tree: every error says who must act, and its code never changes by accident."""

from __future__ import annotations

import pytest

from farthing import errors
from farthing.errors import FarthingError

CODES = {
    "BreakerOpen": ("breaker.open", 402),
    "BudgetExceeded": ("budget.exceeded", 402),
    "ConfigError": ("config", 500),
    "EditConflict": ("request.edit_conflict", 400),
    "EngineBug": ("bug", 500),
    "InvalidRequest": ("request.invalid", 400),
    "LedgerError": ("ledger", 500),
    "LoopDetectedError": ("loop.detected", 402),
    "RequestError": ("request.unreadable", 400),
    "TraceError": ("trace", 500),
    "UnpricedModelError": ("config.unpriced_model", 500),
    "UpstreamCut": ("upstream.cut", 502),
    "UpstreamError": ("upstream", 502),
    "UpstreamTimeout": ("upstream.timeout", 504),
    "UpstreamUnreachable": ("upstream.unreachable", 502),
}


def leaves() -> dict[str, type[FarthingError]]:
    offered = {name: getattr(errors, name) for name in errors.__all__}
    return {
        name: value
        for name, value in offered.items()
        if isinstance(value, type) and issubclass(value, FarthingError) and value != FarthingError
    }


def test_codes_and_status_hints_are_what_callers_rely_on():
    assert {name: (leaf.code, leaf.status_hint) for name, leaf in leaves().items()} == CODES


def test_codes_are_distinct():
    codes = [leaf.code for leaf in leaves().values()]

    assert sorted(codes) == sorted(set(codes))


@pytest.mark.parametrize("name", sorted(CODES))
def test_the_tree_in_the_docstring_shows_every_error(name):
    assert name in (errors.__doc__ or "")


@pytest.mark.parametrize("leaf", leaves().values(), ids=lambda leaf: leaf.__name__)
def test_an_error_without_a_message_says_what_its_class_says(leaf):
    assert str(leaf()) == (leaf.__doc__ or "").partition("\n")[0]


def test_an_error_with_a_message_says_that():
    assert str(errors.LedgerError("disk full")) == "disk full"


def test_the_root_cannot_be_raised_because_it_does_not_say_who_must_act():
    with pytest.raises(TypeError, match="who must act"):
        FarthingError("something")


def test_an_unpriced_model_is_named():
    assert errors.UnpricedModelError("no card", model="claude-x").model == "claude-x"
