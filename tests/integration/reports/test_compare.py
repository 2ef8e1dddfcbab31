"""``farthing compare`` over ledgers in which something changed, or nothing did."""

from __future__ import annotations

import csv
import io
import json
import random
from datetime import timedelta
from decimal import Decimal

import pytest

from farthing.cli.main import main
from farthing.core.records import Outcome
from farthing.core.subscription import SUBSCRIPTION_NOTE
from farthing.ledger import SqliteLedger
from tests.contract.exchanges import NOON, attribution, opened, settled
from tests.integration.reports.scenario import HAIKU, OPUS, SONNET, START, Team

WEEKS = ("2026-11-01..2026-11-07", "2026-11-08..2026-11-14")


def compare(capsys, ledger, *words):
    code = main(["compare", *map(str, words), "--ledger", str(ledger), "--json"])
    return code, json.loads(capsys.readouterr().out)


def verdicts(document) -> dict[tuple[str, str], str]:
    return {(each["measure"], each["per"]): each["verdict"] for each in document["measures"]}


def test_a_cheaper_call_that_triples_the_turns_is_found(capsys, team):
    """Haiku instead of Opus: a fifth of the price per token, three times the turns."""
    for number in range(40):
        at = START + timedelta(minutes=number)
        team.task(f"a{number}", "triage", at=at, turns=team.turns(3), model=OPUS)
        later = at + timedelta(days=7)
        team.task(f"b{number}", "triage", at=later, turns=team.turns(9), model=HAIKU)
    team.ledger.flush()

    _, document = compare(capsys, team.ledger.path, *WEEKS)

    found = verdicts(document)
    assert found["turns", "task"] == "regression"
    assert found["tokens", "passed task"] == "regression"
    assert found["call_seconds", "task"] == "regression"


def test_it_can_be_told_by_the_exit_code(capsys, fortnight):
    worse = ["compare", *WEEKS, "--ledger", str(fortnight)]
    better = ["compare", *reversed(WEEKS), "--ledger", str(fortnight)]

    codes = [main([*words, "--exit-code"]) for words in (worse, better)]

    assert codes == [1, 0]
    assert main(worse) == 0


def test_between_equals_there_is_no_difference(capsys, team):
    team.days(14, per_day=4)
    team.ledger.flush()

    _, document = compare(capsys, team.ledger.path, *WEEKS)

    assert set(verdicts(document).values()) == {"no difference shown"}
    assert len(document["measures"]) == 9


def test_a_shift_in_the_mix_of_types_is_no_difference(capsys, team):
    for number in range(24):
        at = START + timedelta(minutes=number)
        kinds = ("review", "triage") if number % 4 else ("triage", "review")
        for week, kind in enumerate(kinds):
            turns = team.turns(9 if kind == "review" else 1)
            team.task(f"{week}-{number}", kind, at=at + timedelta(days=7 * week), turns=turns)
    team.ledger.flush()

    _, document = compare(capsys, team.ledger.path, *WEEKS)

    assert document["task_types"] == ["review", "triage"]
    assert set(verdicts(document).values()) == {"no difference shown"}


def test_the_same_question_has_the_same_answer(capsys, fortnight):
    assert compare(capsys, fortnight, *WEEKS) == compare(capsys, fortnight, *WEEKS)


def test_types_are_compared_by_name(capsys, fortnight):
    _, document = compare(capsys, fortnight, "task-type=review", "task-type=triage")

    assert (document["a"]["tasks"], document["b"]["tasks"]) == (112, 112)
    assert verdicts(document)["cost_usd", "task"] == "improvement"


def test_a_task_below_another_is_found_by_its_type(capsys, fortnight):
    _, document = compare(capsys, fortnight, "task-type=lint", "task-type=triage")

    assert document["a"]["tasks"] == 112
    assert {each["per"] for each in document["measures"]} == {"task"}  # nobody judges a lint


def test_keys_and_models_select_tasks(capsys, fortnight):
    _, keys = compare(capsys, fortnight, "key=key-al", "key=key-be")
    _, models = compare(capsys, fortnight, f"model={HAIKU}", f"model={OPUS},{WEEKS[1]}")

    assert (keys["a"]["tasks"], keys["b"]["tasks"]) == (114, 112)
    assert (models["a"]["tasks"], models["b"]["tasks"]) == (112, 56)


def test_dollars_of_a_subscription_are_called_notional(capsys, team):
    """Of a task's own calls and of those below it, on the side where they are."""
    tasks = [
        ("top", None, 0),
        ("below", "top", 0),
        ("paid", None, 0),
        ("b1", None, 1),
        ("b2", None, 1),
    ]
    for task, parent, days in tasks:
        who = attribution(task_id=task, parent_task_id=parent, root_task_id=parent or task)
        notes = (SUBSCRIPTION_NOTE,) if task in {"top", "below"} else ()
        team.ledger.open(opened(task, attribution=who, minutes=24 * 60 * days))
        team.ledger.settle(settled(task, notes=notes))
    team.ledger.flush()
    sides = [f"{NOON.date()}", f"{NOON.date() + timedelta(days=1)}"]

    _, document = compare(capsys, team.ledger.path, *sides)
    main(["compare", *sides, "--ledger", str(team.ledger.path)])
    printed = capsys.readouterr().out

    assert [document[side]["tasks"] for side in "ab"] == [2, 2]
    assert Decimal(document["a"]["notional_usd"]) == Decimal("0.000000000042")
    assert Decimal(document["b"]["notional_usd"]) == 0
    assert "of its cost is notional" in printed
    assert "\nA: " in printed
    assert "\nB: " not in printed


def test_two_ledgers_are_compared(capsys, tmp_path):
    paths = [tmp_path / "before.db", tmp_path / "after.db"]
    for seed, path in enumerate(paths):
        team = Team(SqliteLedger(path), random.Random(seed))
        for number in range(20):
            turns = team.turns(2 + 6 * seed)
            team.task(f"t{number}", "triage", at=START + timedelta(minutes=number), turns=turns)
        team.ledger.close()

    _, document = compare(capsys, tmp_path / "unused.db", *paths)

    assert verdicts(document)["turns", "task"] == "regression"


def test_a_task_over_midnight_is_whole_and_on_one_side(capsys, team):
    for number in range(3):
        start = START + timedelta(hours=15, minutes=59)
        team.task(f"a{number}", "triage", at=start, turns=9)
        team.task(f"b{number}", "triage", at=start + timedelta(days=1), turns=9)
    team.ledger.flush()

    _, document = compare(capsys, team.ledger.path, "2026-11-01", "2026-11-02")

    turns = next(each for each in document["measures"] if each["measure"] == "turns")
    assert (document["a"]["tasks"], document["b"]["tasks"]) == (3, 3)
    assert (turns["a"], turns["b"]) == (9, 9)


def test_what_a_reader_must_know_is_printed(capsys, fortnight):
    main(["compare", *WEEKS, "--ledger", str(fortnight)])
    printed = capsys.readouterr().out

    assert "A  2026-11-01..2026-11-07: 114 tasks; " in printed
    assert "together raise a false alarm in at most 5 % of comparisons" in printed
    assert "Compared within 2 task types" in printed
    assert "Left out, fewer than two tasks on a side: (no type), experiment." in printed
    assert "A: 1 task without a price" in printed
    assert "A: 1 unsettled call counted by" in printed
    assert "A: 2 tasks not judged." in printed


def test_nothing_to_compare_is_said(capsys, fortnight):
    assert main(["compare", "2025-01-01", "2025-01-02", "--ledger", str(fortnight)]) == 0
    assert "Nothing to compare" in capsys.readouterr().out


def test_csv_has_a_record_per_measure(capsys, fortnight):
    main(["compare", *WEEKS, "--ledger", str(fortnight), "--csv"])
    printed = capsys.readouterr().out

    records = list(csv.DictReader(io.StringIO(printed, newline=""), strict=True))
    assert len(records) == 9
    assert {record["a_name"] for record in records} == {WEEKS[0]}
    assert printed.endswith("\r\n")


@pytest.mark.parametrize(
    ("side", "message"),
    [
        ("", "an empty side compares nothing"),
        ("yesterday", "'yesterday' is no side of a comparison"),
        ("task_type=review", "did you mean 'task-type'?"),
        ("task-type=", "is no side of a comparison"),
        ("task-type=reviw", "no task type 'reviw' on record there; did you mean 'review'?"),
        ("model=claude-opus-4-6", "no model 'claude-opus-4-6' on record there; did you mean"),
        ("2026-13-01", "is not a day"),
        ("2026-11-01..2026-02-31", "is not a day"),
        ("2026-11-07..2026-11-01", "ends before it begins; write the earlier day first"),
        ("7d..,14d..", "twice; give each part once"),
    ],
)
def test_a_side_that_cannot_be_read_is_explained(capsys, fortnight, side, message):
    assert main(["compare", side, "7d..", "--ledger", str(fortnight)]) == 2
    assert message in capsys.readouterr().err


def test_json_and_csv_exclude_each_other(capsys, fortnight):
    assert main(["compare", *WEEKS, "--ledger", str(fortnight), "--json", "--csv"]) == 2
    assert "exclude each other" in capsys.readouterr().err


@pytest.mark.parametrize(("first", "rest"), [("unused.db", 1)])
def test_a_ledger_that_is_not_there_is_said(capsys, tmp_path, first, rest):
    assert main(["compare", str(tmp_path / first), "7d.."]) == rest
    assert "there is no ledger at" in capsys.readouterr().err


def test_a_model_without_tasks_in_the_period_is_empty_and_no_error(capsys, fortnight):
    _, document = compare(capsys, fortnight, f"model={OPUS},2025-01-01", f"model={OPUS}")

    assert document["a"]["tasks"] == 0


def parents_and_children(team: Team) -> None:
    """Tickets that make no call themselves: one by Haiku, three by Sonnet, in tasks below."""
    for number in range(3):
        at, ticket = START + timedelta(minutes=number), f"ticket-{number}"
        team.call(f"classify-{number}", "classify", at=at, model=HAIKU, parent=ticket)
        later = at + timedelta(seconds=30)
        team.task(f"answer-{number}", "answer", at=later, turns=3, model=SONNET, parent=ticket)
        ended = Outcome(outcome="passed", task_type="ticket", parent_task_id=None)
        team.ledger.outcome(ticket, ended)
    team.ledger.flush()


def test_a_model_selects_tasks_by_the_turns_of_those_below_them(capsys, team):
    parents_and_children(team)

    sides = (f"model={SONNET},2026-11-01", f"model={HAIKU},2026-11-01")
    _, document = compare(capsys, team.ledger.path, *sides)

    assert (document["a"]["tasks"], document["b"]["tasks"]) == (3, 0)
    assert document["a"]["passed"] == 3


def test_a_key_selects_tasks_whose_calls_were_made_below_them(capsys, team):
    parents_and_children(team)

    _, document = compare(capsys, team.ledger.path, "key=key-alpha", "key=key-other")

    assert (document["a"]["tasks"], document["b"]["tasks"]) == (3, 0)
