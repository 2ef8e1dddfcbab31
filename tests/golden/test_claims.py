"""What caching saves on the articles' own examples: formula and simulation, to the token."""

from __future__ import annotations

import pytest

from benchmarks.claims import lines, markdown
from benchmarks.claims_cases import CASES

FIGURES = {
    (figures["row"], figures["model"]): figures
    for figures in (line.figures() for line in lines(CASES))
}


def test_formula_and_simulation_agree_to_the_token_in_every_row():
    assert [key for key, figures in FIGURES.items() if not figures["agrees_to_the_token"]] == []


@pytest.mark.parametrize(
    ("row", "model", "uncached", "cached"),
    [
        ("1", "claude-sonnet-4-6", "1.2", "0.1338"),
        ("1", "claude-sonnet-5-5", "0.8", "0.0496"),
        ("1", "claude-opus-5-5", "1.6", "0.0992"),
        ("1 cold", "claude-sonnet-4-6", "1.2", "1.5"),
        ("1 small", "claude-haiku-4-5", "0.4", "0.4"),
        ("1b system", "claude-sonnet-4-6", "8.625", "7.5588"),
        ("1b rolling", "claude-sonnet-4-6", "8.625", "1.047075"),
        ("1b rolling", "claude-sonnet-5-5", "5.75", "0.4159"),
        ("2 5m", "claude-haiku-4-5", "2", "2"),
        ("2 5m", "claude-haiku-5-5", "0.2", "0.0315"),
        ("2 1h", "claude-haiku-5-5", "0.2", "0.039"),
        ("3 5m", "claude-haiku-5-5", "0.2", "0.089"),
        ("3 1h", "claude-haiku-5-5", "0.2", "0.134"),
        ("4 burst", "claude-sonnet-4-6", "0.06", "0.0129"),
        ("4 even 5m", "claude-sonnet-4-6", "0.06", "0.075"),
        ("4 even 1h", "claude-sonnet-4-6", "0.06", "0.0174"),
        ("4 later 1h", "claude-sonnet-4-6", "0.06", "0.006"),
        ("6 5m, 1 reuse", "claude-sonnet-4-6", "0.024", "0.0162"),
        ("6 1h, 1 reuse", "claude-sonnet-4-6", "0.024", "0.0252"),
        ("6 1h, 2 reuses", "claude-sonnet-4-6", "0.036", "0.0264"),
        ("7", "claude-sonnet-4-6", "0.36", "0.0705"),
        ("7", "claude-sonnet-5-5", "0.24", "0.036"),
        ("8", "claude-sonnet-4-6", "0.288", "0.0564"),
        ("17", "claude-sonnet-4-6", "8.925", "1.347075"),
        ("17 after 9", "claude-sonnet-4-6", "0.189", "0.0708"),
        ("17 after 3", "claude-sonnet-4-6", "0.0495", "0.0303"),
        ("18", "claude-sonnet-4-6", "0.045", "0.0045"),
    ],
)
def test_golden_figures(row, model, uncached, cached):
    figures = FIGURES[row, model]

    assert (figures["naive_usd"], figures["closed_usd"]) == (uncached, cached)


@pytest.mark.parametrize(
    ("row", "as_if_long_enough"),
    [("2 5m", "0.315"), ("2 1h", "0.39"), ("3 5m", "0.89"), ("3 1h", "1.34")],
)
def test_what_a_formula_without_the_minimum_promises(row, as_if_long_enough):
    assert FIGURES[row, "claude-haiku-4-5"]["without_minimum_usd"] == as_if_long_enough


@pytest.mark.parametrize(
    ("row", "share"),
    [("5 2/h 5m", 1.073), ("5 4/h 5m", 0.924), ("5 10/h 5m", 0.600),
     ("5 2/h 1h", 0.357), ("5 4/h 1h", 0.135), ("5 10/h 1h", 0.100)],
)  # fmt: skip
def test_random_calls_have_these_shares_in_the_mean(row, share):
    assert FIGURES[row, "claude-sonnet-4-6"]["expected_share"] == pytest.approx(share, abs=5e-4)


def test_the_first_token_comes_sooner_where_tokens_are_read():
    assert FIGURES["1b rolling", "claude-sonnet-4-6"]["first_token_seconds"] < 0.7
    assert FIGURES["1b rolling", "claude-sonnet-4-6"]["first_token_seconds_naive"] > 2.2


def test_the_documented_table_is_the_computed_one(repo_root):
    page = (repo_root / "docs" / "claims.md").read_text("utf-8")

    assert markdown(lines(CASES)) in page
