"""``farthing report`` over ledgers whose sums are known."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from decimal import Decimal

import pytest

from farthing.cli.main import main
from farthing.core.records import Outcome
from farthing.core.subscription import SUBSCRIPTION_NOTE
from farthing.ledger import SqliteLedger
from farthing.ledger.place import default_ledger
from tests.contract.exchanges import attribution, failed, opened, settled
from tests.integration.reports.scenario import HAIKU, START, lose

GROUPINGS = ("task-type", "task", "model", "day", "session", "key")


def report(capsys, path, *words):
    code = main(["report", "--ledger", str(path), "--json", *words])
    document = json.loads(capsys.readouterr().out)
    assert code == (0 if document["totals"]["calls"] else 1)
    return document


def text(capsys, path, *words):
    main(["report", "--ledger", str(path), *words])
    return capsys.readouterr().out


def group(document, name):
    return next(each for each in document["groups"] if each["name"] == name)


def priced_rows(path) -> Decimal:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT cost_usd, cost_pico FROM exchanges WHERE cost_usd IS NOT NULL"
        )
        return sum((Decimal(usd) + Decimal(pico).scaleb(-12) for usd, pico in rows), Decimal())


@pytest.mark.parametrize("by", GROUPINGS)
def test_whatever_it_is_summed_by_the_groups_make_the_bill_exactly(capsys, fortnight, by):
    document = report(capsys, fortnight, "--by", by)

    costs = [Decimal(each["cost_usd"]) for each in document["groups"]]
    assert sum(costs) == Decimal(document["totals"]["cost_usd"]) == priced_rows(fortnight)
    assert sum(each["calls"] for each in document["groups"]) == document["totals"]["calls"]


@pytest.mark.parametrize("by", GROUPINGS)
def test_the_read_model_is_used_where_it_can_answer(capsys, fortnight, by):
    from_hourly = {"task-type", "model", "day"}

    assert (report(capsys, fortnight, "--by", by)["sums_from"] == "hourly") == (by in from_hourly)


def test_sums_outlive_the_rows_that_were_deleted(capsys, team):
    team.days(4)
    team.ledger.flush()
    before = report(capsys, team.ledger.path, "--by", "model")
    team.ledger.delete_before(START + timedelta(days=2))

    after = report(capsys, team.ledger.path, "--by", "model")

    assert after["totals"]["cost_usd"] == before["totals"]["cost_usd"]
    assert after["rows_from"] == "2026-11-03T08:00:00.000000Z"
    assert "Rows before 2026-11-03 were deleted" in text(capsys, team.ledger.path)


def test_a_period_has_whole_days_and_its_tasks_are_those_that_began_in_it(capsys, team):
    team.task("early", "triage", at=START, turns=3)
    team.call("early", "triage", at=START + timedelta(days=1))
    team.task("late", "triage", at=START + timedelta(days=1), turns=2)
    team.ledger.flush()

    second = report(capsys, team.ledger.path, "--since", "2026-11-02", "--until", "2026-11-03")

    assert second["totals"]["calls"] == 3  # one of the early task's, two of the late one's
    assert second["totals"]["per_task"]["tasks"] == 1
    assert second["totals"]["per_task"]["turns_per_task"] == 2
    first = report(capsys, team.ledger.path, "--until", "2026-11-02")
    assert first["totals"]["per_task"]["turns_per_task"] == 4  # whole, not cut at midnight


# -- cost per passed task --------------------------------------------------------------------------


def cost_of(team, exchange_id):
    row = team.ledger.row(exchange_id)
    return row.settlement.cost.usd


def test_failed_tasks_count_in_the_cost_of_the_passed_ones_and_unjudged_ones_do_not(capsys, team):
    ids = {name: team.call(name, "triage", at=START) for name in ("a", "b", "c", "unjudged")}
    for name in "ac":
        team.ledger.outcome(name, Outcome(outcome="passed"))
    team.ledger.outcome("b", Outcome(outcome="failed"))
    team.ledger.flush()

    per = group(report(capsys, team.ledger.path), "triage")["per_task"]

    judged = sum((cost_of(team, ids[name]) for name in "abc"), Decimal())
    assert (per["passed"], per["failed"], per["unjudged"]) == (2, 1, 1)
    assert Decimal(per["cost_usd_per_passed_task"]) == judged / 2
    total = judged + cost_of(team, ids["unjudged"])
    assert Decimal(per["cost_usd_per_task"]) == total / 4
    assert "Not judged, and in no figure per passed task: 1 of 4 tasks." in text(
        capsys, team.ledger.path
    )


def test_a_nested_task_counts_once_in_its_parent_and_once_in_its_own_type(capsys, team):
    outer = team.call("outer", "review", at=START)
    inner = team.call("inner", "lint", at=START, parent="outer", model=HAIKU)
    for name in ("outer", "inner"):
        team.ledger.outcome(name, Outcome(outcome="passed"))
    team.ledger.flush()

    document = report(capsys, team.ledger.path)

    both = cost_of(team, outer) + cost_of(team, inner)
    review, lint = (group(document, name) for name in ("review", "lint"))
    assert Decimal(review["cost_usd"]) == cost_of(team, outer)
    assert Decimal(review["per_task"]["cost_usd_per_passed_task"]) == both
    assert Decimal(lint["per_task"]["cost_usd_per_passed_task"]) == cost_of(team, inner)
    totals = document["totals"]
    assert totals["per_task"]["tasks"] == 1
    assert (
        Decimal(totals["per_task"]["cost_usd_per_passed_task"])
        == both
        == Decimal(totals["cost_usd"])
    )


def test_a_task_inside_one_of_its_own_type_is_no_unit_of_its_own(capsys, team):
    team.call("outer", "review", at=START)
    team.call("inner", "review", at=START, parent="outer")
    team.ledger.flush()

    assert group(report(capsys, team.ledger.path), "review")["per_task"]["tasks"] == 1


def test_a_task_that_makes_no_call_itself_is_judged_with_those_below_it(capsys, team):
    inner = team.call("inner", "lint", at=START, parent="outer", session="s1")
    team.ledger.outcome("outer", Outcome(outcome="passed", task_type="review"))
    team.ledger.flush()

    review = report(capsys, team.ledger.path)["totals"]["per_task"]

    assert (review["tasks"], review["passed"]) == (1, 1)
    assert Decimal(review["cost_usd_per_passed_task"]) == cost_of(team, inner)
    by_session = report(capsys, team.ledger.path, "--by", "session")
    assert group(by_session, "s1")["per_task"]["passed"] == 1


def test_attempts_of_one_call_are_one_turn_and_cost_once(capsys, team):
    whose = attribution(task_id="t", root_task_id="t", parent_task_id=None)
    team.ledger.open(opened("x", attribution=whose))
    team.ledger.settle(failed("x"))
    team.ledger.open(opened("x", attribution=whose, attempt=2))
    team.ledger.settle(settled("x", attempts=2))
    team.ledger.outcome("t", Outcome(outcome="failed"))
    team.ledger.outcome("t", Outcome(outcome="passed"))
    team.ledger.flush()

    found = group(report(capsys, team.ledger.path), "review")

    assert (found["calls"], found["attempts"], found["errors"]) == (1, 2, 0)
    assert found["per_task"]["turns_per_task"] == 1
    assert found["per_task"]["passed"] == 1
    assert found["per_task"]["cost_usd_per_passed_task"] == found["cost_usd"]


# -- what is not known -----------------------------------------------------------------------------


def test_unpriced_calls_are_named_and_never_zero_dollars(capsys, fortnight):
    document = report(capsys, fortnight)

    assert document["unpriced_models"] == {"claude-nobody-9": 1}
    odd = group(document, "experiment")
    assert odd["per_task"]["cost_usd_per_task"] is None
    assert odd["unpriced"] == 1
    shown = text(capsys, fortnight)
    assert "claude-nobody-9 (1)" in shown
    assert "$0.00*" not in shown


def test_unsettled_calls_are_an_interval_on_top(capsys, fortnight):
    totals = report(capsys, fortnight)["totals"]

    assert totals["unsettled"] == 1
    assert (totals["unsettled_low_usd"], totals["unsettled_high_usd"]) == ("0.001", "0.1")
    assert "between $0.00100 and $0.100 on top" in text(capsys, fortnight)


def test_dollars_of_a_subscription_are_called_notional(capsys, team):
    team.ledger.open(opened("x"))
    team.ledger.settle(settled("x", notes=(SUBSCRIPTION_NOTE,)))
    team.call("paid", "triage", at=START)
    team.ledger.flush()

    assert report(capsys, team.ledger.path)["notional_usd"] == "0.000000000021"
    assert "is notional" in text(capsys, team.ledger.path)


def test_calls_under_way_are_told_apart(capsys, team):
    team.call("done", "triage", at=START)
    team.ledger.open(opened("under-way"))
    team.ledger.flush()

    document = report(capsys, team.ledger.path)

    assert (document["in_flight"], document["totals"]["calls"]) == (1, 1)


def test_an_empty_ledger_is_no_report(capsys, team):
    assert main(["report", "--ledger", str(team.ledger.path)]) == 1
    assert "0 calls" in capsys.readouterr().out


# -- latency, prompt cache, regressions ------------------------------------------------------------


def test_latencies_are_those_of_turns(capsys, team):
    for number in range(1, 102):
        team.ledger.open(opened(f"x{number}"))
        team.ledger.settle(
            settled(f"x{number}", overhead_us=number, ttft_us=None, total_us=1_000 * number)
        )
    lose(team, "gone", low=0, high=1, at=START)
    team.ledger.flush()

    latency = report(capsys, team.ledger.path)["totals"]["latency"]

    assert latency["turns"] == 101
    assert latency["total_ms"] == {"p50": 51.0, "p95": 96.0}
    assert latency["overhead_ms"] == {"p50": 0.051, "p95": 0.096}
    assert latency["ttft_ms"] == {"p50": None, "p95": None}


def test_the_hit_rate_is_overall_and_rolling_over_seven_days(capsys, team):
    for day in range(10):
        at = START + timedelta(days=day)
        team.call("t", "triage", at=at, prompt=9_800, share=0.0 if day < 5 else 1.0)
    team.ledger.flush()

    document = report(capsys, team.ledger.path)

    assert document["totals"]["hit_ratio"] == pytest.approx(0.49)
    points = [point["hit_ratio"] for point in document["rolling_hit_ratio"]["points"]]
    assert points[4] == 0
    assert points[6] == pytest.approx(2 * 0.98 / 7)
    assert points[9] == pytest.approx(5 * 0.98 / 7)


def test_within_three_days_the_hit_rate_rolls_by_the_hour(capsys, team):
    for hour in (0, 3, 30):
        team.call("t", "triage", at=START + timedelta(hours=hour))
    team.ledger.flush()

    rolling = report(capsys, team.ledger.path)["rolling_hit_ratio"]

    assert (rolling["bucket"], rolling["trailing_hours"]) == ("hour", 24)
    assert [point["at"] for point in rolling["points"]] == [
        "2026-11-01T08",
        "2026-11-01T11",
        "2026-11-02T14",
    ]


def test_a_type_that_became_dearer_is_a_regression_and_the_others_are_not(capsys, fortnight):
    rises = {rise["task_type"]: rise for rise in report(capsys, fortnight)["regressions"]}

    assert [name for name, rise in rises.items() if rise["is_regression"]] == ["review"]
    review = rises["review"]
    assert (review["measure"], review["per"]) == ("cost_usd", "passed task")
    assert 1 < review["low_ratio"] < review["change_ratio"] < review["high_ratio"]
    shown = text(capsys, fortnight)
    assert "REGRESSION  review: cost per passed task rose from $" in shown


def test_a_quiet_fortnight_is_quiet(capsys, team):
    team.days(14, per_day=4)
    team.ledger.flush()

    document = report(capsys, team.ledger.path)

    assert [rise["is_regression"] for rise in document["regressions"]] == [False] * 3
    assert "No rise beyond chance in the cost of 3 types" in text(capsys, team.ledger.path)


# -- forms -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", GROUPINGS)
def test_csv_is_rfc_4180_with_one_record_per_group(capsys, team, by):
    team.call('with "quotes", and a comma', "kind\nof two lines", at=START)
    team.call("plain", "kind", at=START, session="s")
    team.ledger.flush()

    main(["report", "--ledger", str(team.ledger.path), "--by", by, "--csv"])
    printed = capsys.readouterr().out

    records = list(csv.DictReader(io.StringIO(printed, newline=""), strict=True))
    assert printed.endswith("\r\n")
    assert [r["name"] for r in records] == [
        g["name"] for g in report(capsys, team.ledger.path, "--by", by)["groups"]
    ]
    assert {"cost_usd", "per_task.cost_usd_per_passed_task", "latency.total_ms.p95"} <= set(
        records[0]
    )


def test_the_page_is_one_file_that_loads_nothing(capsys, fortnight, tmp_path):
    for by in GROUPINGS:
        main(["report", "--ledger", str(fortnight), "--by", by, "--html", str(tmp_path / "r.html")])
        page = (tmp_path / "r.html").read_text("utf-8")

        assert page.startswith("<!doctype html>")
        assert [w for w in ("<script", "src=", "http://", "https://", "url(") if w in page] == []
        assert "Became dearer" in page


def test_the_page_of_a_ledger_with_nothing_in_it_is_a_page(team, tmp_path):
    for by in GROUPINGS:
        page = tmp_path / f"{by}.html"
        main(["report", "--ledger", str(team.ledger.path), "--by", by, "--html", str(page)])
        assert page.read_text("utf-8").endswith("</html>\n")


def test_the_page_says_where_a_quiet_period_was_quiet_and_what_it_leaves_out(team, tmp_path):
    for number in range(30):
        team.task(f"t{number}", f"kind-{number}" + "x" * 40, at=START, turns=1)
        team.task(f"u{number}", "triage", at=START + timedelta(hours=number), turns=team.turns(2))
    team.ledger.flush()
    page = tmp_path / "r.html"

    main(["report", "--ledger", str(team.ledger.path), "--html", str(page)])

    text_of_page = page.read_text("utf-8")
    assert "No rise beyond chance in the cost of 1 type" in text_of_page
    assert "6 more are in --json and --csv." in text_of_page


def test_names_of_clients_cannot_write_into_the_page_or_the_terminal(capsys, team, tmp_path):
    team.call("t", "<b>\x1b[31mred", at=START)
    team.ledger.flush()

    shown = text(capsys, team.ledger.path, "--html", str(tmp_path / "r.html"))

    assert "\x1b" not in shown
    assert "<b>" not in (tmp_path / "r.html").read_text("utf-8").partition("Where the")[2]


def test_many_groups_are_cut_in_the_terminal_and_whole_in_json(capsys, team):
    for number in range(30):
        team.call(f"t{number}", "triage", at=START)
    team.ledger.flush()

    shown = text(capsys, team.ledger.path, "--by", "task")

    assert "5 more: --json or --csv has all of them" in shown
    assert len(report(capsys, team.ledger.path, "--by", "task")["groups"]) == 30


def test_a_running_ledger_is_read_without_its_lock(capsys, team):
    team.call("t", "triage", at=START)
    team.ledger.flush()

    assert report(capsys, team.ledger.path)["totals"]["calls"] == 1
    team.call("t", "triage", at=START)
    team.ledger.flush()
    assert report(capsys, team.ledger.path)["totals"]["calls"] == 2


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--json", "--csv"], 2, "exclude each other"),
        (["--since", "2026-11-03", "--until", "2026-11-03"], 2, "is not before"),
        (["--html", "no/such/folder/r.html"], 1, "cannot write the page"),
    ],
)
def test_what_cannot_be_done_is_said(capsys, fortnight, words, code, message):
    assert main(["report", "--ledger", str(fortnight), *words]) == code
    assert message in capsys.readouterr().err


def test_without_a_ledger_it_says_how_to_get_one(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    assert main(["report"]) == 1
    told = capsys.readouterr().err
    assert f"there is no ledger at {str(default_ledger())!r}" in told


def test_a_ledger_of_another_process_is_named_and_not_summed(capsys, team):
    path = team.ledger.path.with_stem(f"{team.ledger.path.stem}.2")
    with closing(SqliteLedger(path)) as other:
        for ledger, name in ((team.ledger, "here"), (other, "elsewhere")):
            ledger.open(opened(name))
            ledger.settle(settled(name))
            ledger.flush()

    assert main(["report", "--ledger", str(team.ledger.path), "--json"]) == 0
    printed = capsys.readouterr()

    assert json.loads(printed.out)["totals"]["calls"] == 1
    assert f"not in it: {path}" in printed.err
