"""``farthing report`` over tasks that make no call themselves."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from farthing.core.records import Outcome, TaskOutcome
from tests.integration.reports.scenario import START
from tests.integration.reports.test_report import group, report


def test_a_type_whose_tasks_make_no_call_themselves_is_there_with_what_is_below(capsys, team):
    endings: tuple[TaskOutcome, ...] = ("passed", "failed")
    for number, ending in enumerate(endings):
        at, ticket = START + timedelta(minutes=number), f"ticket-{number}"
        team.call(f"classify-{number}", "classify", at=at, parent=ticket)
        team.call(f"answer-{number}", "answer", at=at + timedelta(seconds=9), parent=ticket)
        team.ledger.outcome(ticket, Outcome(outcome=ending, task_type="ticket"))
    team.ledger.flush()

    by_type = report(capsys, team.ledger.path)
    tickets = group(by_type, "ticket")
    by_task = report(capsys, team.ledger.path, "--by", "task")
    first = group(by_task, "ticket-0")

    assert (tickets["calls"], tickets["cost_usd"]) == (0, "0")
    assert (tickets["per_task"]["tasks"], tickets["per_task"]["turns_per_task"]) == (2, 2)
    whole = Decimal(by_type["totals"]["cost_usd"])
    assert Decimal(tickets["per_task"]["cost_usd_per_passed_task"]) == whole
    assert (first["calls"], first["tree_turns"], first["outcome"]) == (0, 2, "passed")
    assert {each["name"] for each in by_task["groups"][:2]} == {"ticket-0", "ticket-1"}


@pytest.mark.parametrize("by", ["session", "key", "day"])
def test_whose_tasks_are_is_said_by_the_tasks_below_them(capsys, team, by):
    team.call("below", "answer", at=START, parent="ticket", session="s1")
    team.ledger.flush()

    [only] = report(capsys, team.ledger.path, "--by", by)["groups"]

    assert (only["calls"], only["per_task"]["tasks"]) == (1, 1)
