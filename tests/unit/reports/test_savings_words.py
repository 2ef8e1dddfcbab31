from __future__ import annotations

from typing import Any

import pytest

from farthing.reports.savings_text import governor_table, savings_summary, savings_table
from farthing.reports.savings_words import (
    calibration_words,
    hold_out_words,
    percent,
    referee_words,
    remarks,
    signed_percent,
)

TOTALS: dict[str, Any] = {
    "calls": 3,
    "cost_usd": "2.5",
    "compared_calls": 2,
    "compared_cost_usd": "2",
    "uncompared_cost_usd": "0.5",
    "held_out_calls": 0,
    "baseline_usd": "4",
    "saved_usd": "2",
    "own_cost_usd": "0.5",
    "net_usd": "1.5",
    "net_ratio": 0.375,
    "unsettled": 1,
    "unsettled_low_usd": "0.1",
    "unsettled_high_usd": "0.2",
    "unpriced": 2,
    "notional_usd": "1",
}
LOSS = {"saved_usd": "-1", "net_usd": "-1.5", "net_ratio": -0.375}
HOLD_OUT: dict[str, Any] = {
    "held_out": 5,
    "treated": 45,
    "saved_ratio": 0.2,
    "low_ratio": -0.1,
    "high_ratio": 0.4,
    "is_shown": False,
    "tasks_needed": 12_345,
    "share": 0.1,
    "setting": 0.1,
    "mixed": 2,
}
ERRORS: dict[str, Any] = {
    "calls": 60,
    "error_ratio": 0.02,
    "abs_error_ratio": 0.03,
    "at_length_error_ratio": -0.06,
    "is_drifting": True,
}


def document(**given: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "ledger": "ledger.db",
        "since": None,
        "until": None,
        "by": "lever",
        "totals": TOTALS,
        "groups": [],
        "governor": [],
        "hold_out": HOLD_OUT,
        "rows_from": "2026-11-01T00",
    }
    return values | given


def lever(name: str, saved: str, predicted: str | None) -> dict[str, Any]:
    return {
        "name": name,
        "calls": 2,
        "cost_usd": "2",
        "saved_usd": saved,
        "predicted_usd": predicted,
        "predicted_calls": 2,
        "own_cost_usd": None,
        "net_usd": None,
    }


def judged(verdict: str, saved: str) -> dict[str, Any]:
    return {
        "lever": "cache.ttl",
        "workload": "review",
        "verdict": verdict,
        "calls": 30,
        "saved_usd": saved,
        "gain_evidence": 0.01,
        "loss_evidence": 21.5,
        "mean_ratio": -0.3,
        "low_ratio": -0.5,
        "high_ratio": -0.1,
    }


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(None, "–"), (0.0004, "0 %"), (-0.02, "-2.0 %"), (0.0994, "9.9 %"), (0.0996, "10 %")],
)
def test_a_share_has_one_decimal_below_ten_percent(ratio, text):
    assert percent(ratio) == text


@pytest.mark.parametrize(
    ("ratio", "text"), [(None, "–"), (0.0, "0 %"), (0.02, "+2.0 %"), (-0.02, "-2.0 %")]
)
def test_a_signed_share_has_its_sign(ratio, text):
    assert signed_percent(ratio) == text


def test_a_loss_is_called_one_and_marked():
    plain = savings_summary(document())
    loss = savings_summary(document(totals=TOTALS | LOSS))

    assert not any(is_loss for _, is_loss in plain)
    assert plain[-1][0] == "net        $1.50, farthing's own, 38 % of that"
    assert loss[-1] == ("net        -$1.50, a LOSS", True)
    assert [is_loss for _, is_loss in loss].count(True) == 2


def test_measured_and_predicted_stand_side_by_side_and_only_measured_is_summed():
    groups = [lever("cache.marks", "3", "2.5"), lever("cache.ttl", "-1", None)]
    table = savings_table(document(groups=groups))

    assert table.rows[0][1:] == ["2", "$2.00", "$3.00", "$2.50", "2"]
    assert table.rows[1][3:5] == ["-$1.00", "–"]
    assert table.rows[-1] == ["total", "", "", "$2.00", "", ""]
    assert table.losses == {1}


def test_by_anything_else_own_costs_are_subtracted_in_each_line():
    group = lever("", "1", None) | {"own_cost_usd": "2", "net_usd": "-1"}
    table = savings_table(document(by="task-type", groups=[group]))

    assert table.headers == ["task-type", "calls", "cost", "measured", "own costs", "net"]
    assert table.rows[0] == ["(no type)", "2", "$2.00", "$1.00", "$2.00", "-$1.00"]
    assert table.losses == {0}


def test_of_many_days_the_last_are_shown_and_of_the_rest_the_first():
    groups = [lever(str(number), "1", None) for number in range(30)]
    days = [group | {"own_cost_usd": "0", "net_usd": "1"} for group in groups]

    assert [row[0] for row in savings_table(document(groups=groups)).rows][:2] == ["0", "1"]
    assert savings_table(document(by="day", groups=days)).rows[0][0] == "5"


def test_the_governors_evidence_stands_with_its_verdict():
    table = governor_table(document(governor=[judged("off", "-2"), judged("on", "2")]))

    assert table is not None
    assert table.rows[0][2:] == [
        "off", "30", "-$2.00", "0.01", "21.5", "-30 % (-50 % to -10 %)",
    ]  # fmt: skip
    assert table.losses == {0}
    assert governor_table(document()) is None


TAKES = "seeing 5 % takes some 12,345 tasks at a share of 10 %; there are"
SIDES = "5 tasks held out, 45 not:"
UNKNOWN = "too few tasks to say how many a saving of 5 % would take"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, f"{SIDES} 20 % saved (-10 % to 40 %), which chance may explain; {TAKES} 50"),
        ({"is_shown": True}, f"{SIDES} 20 % saved (-10 % to 40 %); {TAKES} 50"),
        ({"saved_ratio": None, "tasks_needed": None}, f"{SIDES} nothing to compare yet; {UNKNOWN}"),
        ({"setting": 0, "held_out": 0}, f"off (levers.holdout); {TAKES} 45"),
    ],
)
def test_a_hold_out_never_goes_without_the_number_of_tasks_it_takes(given, text):
    assert hold_out_words(HOLD_OUT | given) == text


def test_calibration_says_all_three_errors_and_that_it_drifts():
    quiet = ERRORS | {"is_drifting": False}
    nothing = ERRORS | {"calls": 0}

    assert calibration_words({"total": ERRORS, "shadow": quiet}) == (
        "60 calls, input dollars +2.0 % signed, 3.0 % absolute, -6.0 % at the measured length;"
        " shadow alone, 60 calls: +2.0 % signed, 3.0 % absolute, -6.0 % at the measured length;"
        " DRIFTING, see `farthing doctor`"
    )
    assert "shadow" not in calibration_words({"total": quiet, "shadow": nothing})
    assert calibration_words({"total": nothing, "shadow": nothing}).startswith("no call")


def test_the_referees_disagreements_are_told_by_pair():
    pair = {"system:tools_changed": 2}

    assert referee_words({"agreed": 0, "disagreed": {}}) == ""
    assert referee_words({"agreed": 3, "disagreed": {}}).endswith("0 other than ours")
    assert referee_words({"agreed": 3, "disagreed": pair}) == (
        "5 causes named by the provider, 2 other than ours (system:tools_changed 2)"
    )


def test_whatever_is_in_no_saving_is_said():
    text = "\n".join(remarks(document()))

    for words in (
        "1 unsettled call (between $0.100 and $0.200)",
        "2 calls without a price",
        "$0.500 of the cost has no baseline",
        "2 tasks held out in part only",
        "$1.00 of the cost is notional",
        "Rows before 2026-11-01 were deleted",
    ):
        assert words in text


def test_where_all_is_in_the_savings_nothing_is_remarked():
    clean = TOTALS | {
        "unsettled": 0,
        "unpriced": 0,
        "uncompared_cost_usd": "0",
        "notional_usd": "0",
    }
    whole = document(totals=clean, rows_from=None, hold_out=HOLD_OUT | {"mixed": 0})

    assert list(remarks(whole)) == []
