from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

from farthing.core.records import (
    EVENT_OF_STATE,
    TRANSITIONS,
    Attribution,
    ExchangeEvent,
    ExchangeRow,
    ExchangeState,
    FinalState,
    Opened,
    Outcome,
    Settlement,
    advance,
    replaces,
)
from farthing.errors import EngineBug

NOW = datetime(2026, 11, 21, tzinfo=UTC)
LEGAL = {
    ("held", "settle", "settled"),
    ("held", "release", "released"),
    ("held", "expire", "expired"),
    ("held", "lose", "unsettled"),
    ("unsettled", "settle", "settled"),
    ("settled", "retry", "held"),
    ("released", "retry", "held"),
}


def settlement(state: FinalState, attempts: int = 1) -> Settlement:
    return Settlement(exchange_id="x", state=state, ended_at=NOW, attempts=attempts)


def test_the_table_has_a_row_for_every_state_and_only_legal_steps():
    found = {(s, e, after) for s, steps in TRANSITIONS.items() for e, after in steps.items()}

    assert set(TRANSITIONS) == set(get_args(ExchangeState))
    assert found == LEGAL


@pytest.mark.parametrize("state", get_args(ExchangeState))
@pytest.mark.parametrize("event", get_args(ExchangeEvent))
def test_a_step_is_in_the_table_or_a_bug(state: ExchangeState, event: ExchangeEvent):
    legal = {(s, e): after for s, e, after in LEGAL}
    if (state, event) in legal:
        assert advance(state, event) == legal[state, event]
    else:
        with pytest.raises(EngineBug, match=event):
            advance(state, event)


def test_each_final_state_is_reached_from_held_by_its_event():
    for state, event in EVENT_OF_STATE.items():
        assert advance("held", event) == state


def test_the_page_draws_the_table():
    """docs/design/exchange.md repeats it; a step that is added there or here is added in both."""
    page = (Path(__file__).parents[3] / "docs/design/exchange.md").read_text("utf-8")

    rows = {
        tuple(cell.strip(" `") for cell in line.strip("|").split("|")[:3])
        for line in page.splitlines()
        if line.startswith("| `") and line.count("|") == 5
    }

    assert {row for row in rows if row[0] in TRANSITIONS} == LEGAL


@pytest.mark.parametrize(
    ("new", "old", "does"),
    [
        (settlement("settled"), None, True),
        (settlement("settled"), settlement("settled"), False),
        (settlement("unsettled"), settlement("settled"), False),
        (settlement("settled"), settlement("unsettled"), True),
        (settlement("unsettled", 2), settlement("settled", 1), True),
        (settlement("settled", 1), settlement("settled", 2), False),
        (settlement("settled", 1), settlement("unsettled", 2), False),
    ],
)
def test_a_row_changes_by_a_later_attempt_or_by_reconciliation(new, old, does):
    assert replaces(new, old) is does


def test_a_row_without_a_settlement_is_held():
    who = Attribution(task_id="t", root_task_id="t", key_scope="k", source="header")
    opened = Opened(
        exchange_id="x",
        opened_at=NOW,
        attribution=who,
        endpoint="messages",
        path="POST /v1/messages",
        request_bytes=1,
        body_digest="d",
        engine_version="1",
    )

    assert ExchangeRow(opened=opened).state == "held"
    assert ExchangeRow(opened=opened, settlement=settlement("expired")).state == "expired"


def test_an_outcome_said_again_is_the_last_word_and_the_task_stays_known():
    first = Outcome(outcome="failed", score=0.1, task_type="fix", parent_task_id="p")

    assert Outcome(outcome="passed").over(first) == Outcome(
        outcome="passed", task_type="fix", parent_task_id="p"
    )
    assert Outcome(outcome="passed", task_type="new").over(first).task_type == "new"
    assert first.over(None) is first
