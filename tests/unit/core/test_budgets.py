"""What a budget applies to, under which key, in which window, and when it will be spent."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.budgets import Budget, BudgetRaise, forecast, key_of, key_pieces, root_first
from farthing.core.budgets_account import Claim, Denied, Standing
from farthing.core.budgets_board import BudgetBoard, BudgetNews
from farthing.core.budgets_windows import WindowKind, window_at
from farthing.core.records import Attribution
from farthing.errors import ConfigError

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)  # a Saturday
BERLIN = ZoneInfo("Europe/Berlin")
WHO = Attribution(
    task_id="t1",
    root_task_id="t0",
    key_scope="k1",
    source="header",
    task_type="review",
    session_id="s1",
)


def budget(**given: Any) -> Budget:
    values: dict[str, Any] = {"name": "b", "scope": "everything", "limit_pico": 100}
    return Budget(**values | given)


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"scope": "everything"}, "everything@total"),
        ({"scope": "key"}, "key:k1@total"),
        ({"scope": "key", "selector": "k1"}, "key:k1@total"),
        ({"scope": "key", "selector": "k2"}, None),
        ({"scope": "model"}, "model:claude-opus-5-5@total"),
        ({"scope": "task_type"}, "task_type:review@total"),
        ({"scope": "session"}, "session:s1@total"),
        ({"scope": "tree"}, "tree:t0"),
        ({"scope": "task"}, "task:t1"),
        ({"scope": "task", "window": "task"}, "task:t1"),
        ({"scope": "task", "window": "day"}, "task:t1@day:2026-11-21T00:00Z"),
        ({"scope": "key", "window": "task"}, "key:k1@task:t1"),
        ({"window": "hour"}, "everything@hour:2026-11-21T12:00Z"),
        ({"window": "day", "zone": BERLIN}, "everything@day:2026-11-20T23:00Z"),
        ({"scope": "call", "window": "call"}, "call:t1@total"),
    ],
)
def test_a_key_says_whose_spending_is_counted_and_since_when(given: dict[str, Any], key: str):
    assert key_of(budget(**given), WHO, "claude-opus-5-5", NOW) == key


def test_a_budget_over_what_a_call_does_not_say_does_not_apply():
    nobody = Attribution(task_id="t", root_task_id="t", key_scope="k", source="lineage")

    for scope in ("session", "task_type", "model"):
        assert key_of(budget(scope=scope), nobody, None, NOW) is None


@pytest.mark.parametrize("window", ["task", "day", "total"])
@pytest.mark.parametrize(
    ("scope", "value"),
    [
        ("everything", None),
        ("key", "k1"),
        ("model", "m"),
        ("task_type", "review"),
        ("session", "s1"),
        ("tree", "t0"),
        ("task", "t1"),
    ],
)
def test_every_key_is_made_of_the_pieces_that_pages_look_for(scope: Any, value: Any, window: Any):
    for selector in {None, value}:
        each = budget(scope=scope, window=window, selector=selector)
        key = key_of(each, WHO, "m", NOW)
        assert key is not None
        assert re.fullmatch(".*".join(map(re.escape, key_pieces(each, NOW))), key)


def test_a_selector_leaves_no_name_open():
    day = "2026-11-21T00:00Z"

    assert key_pieces(budget(scope="key", selector="k", window="day"), NOW) == (f"key:k@day:{day}",)
    assert key_pieces(budget(scope="key", window="day"), NOW) == ("key:", f"@day:{day}")


def test_the_widest_scope_is_asked_first():
    scopes: list[Any] = ["call", "task", "tree", "session", "task_type", "model", "key"]
    found = [budget(scope=s, window="call" if s == "call" else "total") for s in scopes]

    ordered = root_first([*found, budget()])

    assert [each.scope for each in ordered] == ["everything", *reversed(scopes)]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 64}, "name"),
        ({"name": "a/b"}, "name"),
        ({"limit_pico": -1}, "negative"),
        ({"scope": "call"}, "window"),
        ({"window": "call"}, "window"),
        ({"selector": "x"}, "selector"),
        ({"thresholds": (0,)}, "percentages"),
        ({"thresholds": (101,)}, "percentages"),
        ({"min_tokens": 0}, "at least 1"),
        ({"passes": 0}, "at least 1"),
    ],
)
def test_a_budget_that_means_nothing_says_what_to_write(given: dict[str, Any], problem: str):
    with pytest.raises(ConfigError, match=problem):
        budget(**given)


def test_a_raise_counts_until_it_expires():
    more = BudgetRaise(by_pico=50, until=NOW, reason="release week")
    each = budget(raises=(more,))

    assert each.limit_at(NOW - timedelta(seconds=1)) == 150
    assert each.limit_at(NOW) == 100


# -- windows --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "zone", "now", "start", "end"),
    [
        ("hour", UTC, "2026-11-21T12:30", "2026-11-21T12:00", "2026-11-21T13:00"),
        ("day", UTC, "2026-11-21T12:30", "2026-11-21T00:00", "2026-11-22T00:00"),
        ("week", UTC, "2026-11-21T12:30", "2026-11-16T00:00", "2026-11-23T00:00"),
        ("month", UTC, "2026-12-31T23:59", "2026-12-01T00:00", "2027-01-01T00:00"),
        ("day", BERLIN, "2026-03-29T12:00", "2026-03-28T23:00", "2026-03-29T22:00"),
        ("day", BERLIN, "2026-10-25T12:00", "2026-10-24T22:00", "2026-10-25T23:00"),
        ("month", BERLIN, "2026-03-31T22:30", "2026-03-31T22:00", "2026-04-30T22:00"),
        (
            "hour",
            ZoneInfo("Asia/Kolkata"),
            "2026-11-21T12:45",
            "2026-11-21T12:30",
            "2026-11-21T13:30",
        ),
    ],
)
def test_windows_begin_and_end_by_the_calendar_of_their_zone(
    kind: WindowKind, zone: Any, now: str, start: str, end: str
):
    span = window_at(kind, zone, datetime.fromisoformat(f"{now}+00:00"))

    assert span is not None
    assert [f"{each:%Y-%m-%dT%H:%M}" for each in (span.start, span.end)] == [start, end]
    assert span.name == f"{kind}:{start}Z"


@pytest.mark.parametrize("kind", ["total", "task", "call"])
def test_what_no_clock_ends_has_no_window(kind: WindowKind):
    assert window_at(kind, UTC, NOW) is None


@given(
    now=st.datetimes(
        min_value=datetime(2020, 1, 1),
        max_value=datetime(2040, 1, 1),
        timezones=st.just(UTC),
    ),
    kind=st.sampled_from(["hour", "day", "week", "month"]),
    zone=st.sampled_from(
        # clocks change at midnight in Havana, Cairo, Beirut and Santiago
        """UTC Europe/Berlin America/New_York Asia/Kolkata
        America/Havana Africa/Cairo Asia/Beirut America/Santiago""".split()
    ),
)
def test_every_instant_lies_in_its_window_and_the_next_one_begins_where_it_ends(now, kind, zone):
    span = window_at(kind, ZoneInfo(zone), now)

    assert span is not None
    assert span.start <= now < span.end
    after = window_at(kind, ZoneInfo(zone), span.end)
    assert after is not None
    assert after.start == span.end


@pytest.mark.parametrize("change", ["2026-04-04T15:00", "2026-10-03T15:30"], ids=["back", "on"])
def test_an_hour_is_over_when_its_window_says_so_where_clocks_change_by_half_of_one(change: str):
    zone, changes_at = ZoneInfo("Australia/Lord_Howe"), datetime.fromisoformat(f"{change}+00:00")
    assert changes_at.astimezone(zone).utcoffset() != (
        (changes_at - timedelta(minutes=1)).astimezone(zone).utcoffset()
    )
    for minutes in range(-120, 121):
        now = changes_at + timedelta(minutes=minutes)
        span = window_at("hour", zone, now)
        assert span is not None
        assert span.start <= now < span.end
        after = window_at("hour", zone, span.end)
        assert after is not None
        assert after.name != span.name


# -- forecast and thresholds ----------------------------------------------------------------------


def test_a_forecast_goes_on_at_the_rate_so_far():
    since = NOW - timedelta(hours=6)

    assert forecast(spent_pico=25, limit_pico=100, since=since, now=NOW) == NOW + timedelta(
        hours=18
    )
    assert forecast(spent_pico=120, limit_pico=100, since=since, now=NOW) == NOW


@pytest.mark.parametrize(
    ("spent", "limit", "since"),
    [(0, 100, NOW - timedelta(hours=1)), (10, 100, NOW), (1, 10**30, NOW - timedelta(days=1))],
)
def test_without_a_rate_there_is_no_forecast(spent: int, limit: int, since: datetime):
    assert forecast(spent_pico=spent, limit_pico=limit, since=since, now=NOW) is None


def standing(spent: int, *, key: str = "everything@day:2026-11-21T00:00Z") -> Standing:
    return Standing(key=key, limit_pico=100, spent_pico=spent, held_pico=5)


def test_a_threshold_is_told_once_and_the_highest_one():
    board = BudgetBoard()
    each = budget(window="day", thresholds=(50, 80))

    found = [board.passed(each, standing(spent)) for spent in (49, 50, 60, 99, 99)]

    assert found == [None, 50, None, 80, None]


def test_news_say_when_a_budget_is_spent_at_this_rate():
    def news(spent: int, **fields: Any) -> BudgetNews:
        return BudgetNews(budget=budget(**fields), standing=standing(spent), at=NOW)

    # half of it in twelve and a half hours: at this rate it is spent in as many again, tomorrow
    assert news(50, window="day").spent_at is None
    assert news(99, window="day").spent_at is not None
    assert news(99, window="day").resets_at == datetime(2026, 11, 22, tzinfo=UTC)
    assert (news(99).resets_at, news(99).spent_at) == (None, None)


def claim(name: str = "b", key: str = "k") -> Claim:
    return Claim(key=key, limit_pico=100, worst_pico=1, likely_pico=1, budget=name)


def test_a_listener_hears_what_has_changed_and_what_is_said_again_after_a_minute():
    heard = list[BudgetNews]()
    board = BudgetBoard(budgets=(budget(window="day"),), listener=heard.append)
    minute = timedelta(minutes=1)
    for spent, now in ((1, NOW), (1, NOW), (2, NOW), (2, NOW + minute / 2), (2, NOW + minute)):
        standing_ = Standing(key="k", limit_pico=100, spent_pico=spent, held_pico=0)
        board.told([claim(), claim("the task's own")], [standing_, standing_], now)

    assert [(news.standing.spent_pico, news.at - NOW) for news in heard] == [
        (1, timedelta(0)),
        (2, timedelta(0)),
        (2, minute),
    ]
    assert heard[0].resets_at == datetime(2026, 11, 22, tzinfo=UTC)
    assert (heard[0].spent_at, heard[0].is_refused) == (None, False)


def test_two_budgets_over_one_key_are_heard_apart():
    heard = list[BudgetNews]()
    both = (budget(), budget(name="wide", limit_pico=200))
    board = BudgetBoard(budgets=both, listener=heard.append)
    for _ in range(3):
        claims = [claim(each.name) for each in both]
        standings = [
            Standing(key="k", limit_pico=each.limit_pico, spent_pico=50, held_pico=0)
            for each in both
        ]
        board.told(claims, standings, NOW)

    assert [news.budget.name for news in heard] == ["b", "wide"]


def test_a_listener_hears_every_refusal():
    heard = list[BudgetNews]()
    board = BudgetBoard(budgets=(budget(),), listener=heard.append)
    for name in ("b", "b", "the task's own"):
        board.refused(Denied(claim=claim(name), standing=standing(99)), NOW)

    assert [(news.is_refused, news.resets_at) for news in heard] == [(True, None)] * 2
    BudgetBoard(budgets=(budget(),)).refused(Denied(claim=claim(), standing=standing(1)), NOW)


def test_what_was_heard_is_forgotten_when_there_is_too_much_of_it(monkeypatch):
    monkeypatch.setattr("farthing.core.budgets_board._KEYS", 1)
    heard = list[BudgetNews]()
    board = BudgetBoard(budgets=(budget(),), listener=heard.append)
    for key in ("a", "b", "a"):
        board.told([claim(key=key)], [standing(5, key=key)], NOW)

    assert [news.standing.key for news in heard] == ["a", "b", "a"]


def test_without_thresholds_or_a_limit_nothing_is_told():
    nothing = Standing(key="k", limit_pico=0, spent_pico=5, held_pico=0)

    assert BudgetBoard().passed(budget(), standing(99)) is None
    assert BudgetBoard().passed(budget(thresholds=(50,)), nothing) is None


def test_what_was_told_is_forgotten_when_there_is_too_much_of_it(monkeypatch):
    monkeypatch.setattr("farthing.core.budgets_board._KEYS", 2)
    board, each = BudgetBoard(), budget(thresholds=(50,))
    for key in ("a", "b", "c"):
        board.passed(each, standing(50, key=key))

    assert board.passed(each, standing(50, key="c")) is None
    assert board.passed(each, standing(50, key="a")) is not None
