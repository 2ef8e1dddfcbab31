"""The ledger is the invoice: a mixed load, faults and a killed gateway, priced a second time."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.ledger_exact import Outcome, Plan, run
from benchmarks.ledger_exact_compare import compare, read_books, read_rows

WRONG = (
    "residual_picousd",
    "lost",
    "doubled",
    "unsettled_outside_interval",
    "still_held",
    "seen_but_unsettled",
    "misquoted",
)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Path]:
    folder = tmp_path_factory.mktemp("exact")
    return run(Plan(exchanges=200, kills=2, concurrency=16), folder), folder


def wrong(outcome: Outcome) -> dict[str, object]:
    figures = outcome.figures()
    return {name: figures[name] for name in WRONG if figures[name]}


@pytest.mark.timeout(60)
def test_a_short_mixed_run_is_booked_to_the_last_digit(short: tuple[Outcome, Path]) -> None:
    outcome, _ = short

    assert wrong(outcome) == {}, dict(outcome.comparison.examples)
    assert outcome.kills == 2
    assert outcome.exchanges >= 200
    assert outcome.comparison.kinds["cancelled"].unsettled > 0


@pytest.mark.timeout(60)
def test_the_comparison_finds_one_digit_a_lost_row_and_a_doubled_one(
    short: tuple[Outcome, Path],
) -> None:
    _, folder = short
    books, rows = read_books(folder / "emulator.jsonl"), read_rows(folder / "ledger.db")
    priced = next(row for row in rows if row.cost and row.endpoint == "messages")
    assert priced.cost is not None
    others = [row for row in rows if row is not priced]
    unsettled = replace(priced, state="unsettled", cost=None, low=0, high=priced.cost - 1)

    assert (
        compare(books, [*others, replace(priced, cost=priced.cost + 1)], {}, {}).residual_pico == 1
    )
    assert compare(books, others, {}, {}).lost == 1
    assert compare(books, [*rows, replace(priced, exchange_id="again")], {}, {}).doubled > 0
    assert compare(books, [*others, unsettled], {}, {}).outside == 1


@pytest.mark.timeout(60)
def test_batch_items_have_one_row_each_however_often_they_are_read(
    short: tuple[Outcome, Path],
) -> None:
    _, folder = short
    with sqlite3.connect(folder / "ledger.db") as database:
        query = "SELECT task_id, count(*) FROM exchanges WHERE endpoint = 'batch_item' GROUP BY 1"
        counts = dict(database.execute(query).fetchall())

    assert counts
    assert set(counts.values()) == {8}


@pytest.mark.timeout(60)
def test_a_refused_stream_cut_before_its_end_may_have_been_free(tmp_path: Path) -> None:
    outcome = run(Plan(exchanges=40, kills=0, kinds=("refusal",)), tmp_path)

    assert outcome.comparison.kinds["refusal"].unsettled > 0
    assert wrong(outcome) == {}, dict(outcome.comparison.examples)


@pytest.mark.long
@pytest.mark.parametrize(("seed", "cache"), [(0, "off"), (1, "auto")])
def test_five_thousand_exchanges_are_booked_to_the_last_digit(
    seed: int, cache: str, tmp_path: Path
) -> None:
    outcome = run(Plan(exchanges=5_000, kills=3, seed=seed, cache=cache), tmp_path)

    assert wrong(outcome) == {}, dict(outcome.comparison.examples)
