"""Budgets as text come back as they were, and what is wrong says where."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.budgets import Budget, BudgetRaise, root_first
from farthing.core.budgets_file import (
    RaiseSpec,
    budget_document,
    dump_budgets,
    parse_budget,
    parse_budgets,
    raise_of,
)
from farthing.errors import ConfigError

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def zone_of(name: str) -> tzinfo:
    return ZoneInfo(name)


def read(text: str) -> tuple[Budget, ...]:
    return parse_budgets(text.encode(), name="budgets.toml", zone_of=zone_of)


BUDGETS = st.builds(
    Budget,
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True),
    scope=st.sampled_from(["everything", "key", "tree"]),
    limit_pico=st.integers(0, 10**18),
    window=st.sampled_from(["hour", "day", "total"]),
    zone=st.sampled_from([UTC, ZoneInfo("Europe/Berlin")]),
    mode=st.sampled_from(["strict", "ample"]),
    thresholds=st.lists(st.integers(1, 100), max_size=3).map(tuple),
    ladder=st.lists(st.sampled_from(["max_tokens", "note"]), max_size=2).map(tuple),
    min_tokens=st.integers(1, 10_000),
    passes=st.none() | st.integers(1, 12),
    raises=st.lists(
        st.builds(
            BudgetRaise,
            by_pico=st.integers(1, 10**15),
            until=st.just(NOW),
            reason=st.text(min_size=1, max_size=20),
        ),
        max_size=2,
    ).map(tuple),
)


@given(budgets=st.lists(BUDGETS, max_size=4, unique_by=lambda each: each.name))
def test_what_is_written_is_read_back(budgets: list[Budget]):
    assert read(dump_budgets(budgets)) == tuple(root_first(budgets))


@given(budget=BUDGETS)
def test_a_document_is_the_budget(budget: Budget):
    assert parse_budget(budget_document(budget), zone_of=zone_of) == budget


def test_a_budget_over_calls_needs_no_window():
    [budget] = read('[[budgets]]\nname = "c"\nscope = "call"\nlimit_usd = "0.5"\n')

    assert (budget.window, budget.limit_pico) == ("call", 5 * 10**11)


def test_a_selector_comes_back():
    selector = 'a"b\\c\u00e9\x7f\n\U0001f600'
    each = Budget(name="k", scope="key", selector=selector, limit_pico=1)

    assert read(dump_budgets([each])) == (each,)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[budgets", "budgets.toml"),
        ("budgets = 7", "budgets.toml"),
        ('[[budgets]]\nname = "x"\nscope = "task"\nlimit_usd = "-1"\n', "dollars"),
        ('[[budgets]]\nname = "x"\nscope = "task"\nlimit_usd = "a lot"\n', "dollars"),
        ('[[budgets]]\nname = "x"\nscope = "task"\nlimit_usd = 1\n' * 2, "two budgets 'x'"),
        pytest.param(f"limit = {'1' * 5_000}", "budgets.toml", id="a number without end"),
        pytest.param(f"budgets = {'[' * 9_000}", "budgets.toml", id="lists without end"),
    ],
)
def test_what_cannot_be_read_says_where(text: str, why: str):
    with pytest.raises(ConfigError, match=why):
        read(text)


@pytest.mark.parametrize("document", [{}, {"name": "x", "scope": "task", "limit_usd": 0.5}])
def test_a_document_without_exact_dollars_is_refused(document: dict[str, Any]):
    with pytest.raises(ConfigError, match="cannot be read"):
        parse_budget(document, zone_of=zone_of)


@pytest.mark.parametrize("by_usd", ["x", "0", "-1"])
def test_a_raise_of_no_dollars_is_refused(by_usd: str):
    with pytest.raises(ConfigError, match="by_usd"):
        raise_of(RaiseSpec(by_usd=by_usd, until=NOW, reason="r"))


@pytest.mark.parametrize(
    "until",
    [
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=12))),
    ],
)
def test_a_raise_until_no_day_is_refused(until: datetime):
    with pytest.raises(ConfigError, match="no calendar"):
        raise_of(RaiseSpec(by_usd="1", until=until, reason="r"))


@pytest.mark.parametrize(
    ("selector", "kept"),
    [("claude-haiku-4-5", "claude-haiku-4-5-20251001"), ("mine", "mine"), (None, None)],
)
def test_a_model_by_any_of_its_names_is_that_model(selector: str | None, kept: str | None):
    document = {"name": "m", "scope": "model", "limit_usd": "1", "selector": selector}
    assert parse_budget(document, zone_of=zone_of).selector == kept
