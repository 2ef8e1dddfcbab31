"""The generator appends and never edits."""

from __future__ import annotations

from datetime import date

import pytest

from farthing.pricing.generated_cards import CARDS
from scripts.generate_rate_cards import appended, outputs

TODAY = date(2026, 12, 24)
OPUS = [row for row in CARDS if row[0] == "claude-opus-5-5"]
NAME, DAY = OPUS[0][:2]
DEARER = [(*row[:7], "21", *row[8:]) for row in OPUS]


def test_the_generated_files_are_current():
    stale = [path.name for path, text in outputs(TODAY).items() if path.read_text("utf-8") != text]

    assert stale == []


def test_nothing_new_changes_nothing():
    assert appended(CARDS, {(NAME, DAY): OPUS}, TODAY) == list(CARDS)


def test_a_new_day_is_appended_at_the_end():
    later = [(row[0], "2026-12-01", *row[2:]) for row in DEARER]

    found = appended(CARDS, {(NAME, DAY): OPUS, (NAME, "2026-12-01"): later}, TODAY)

    assert found == [*CARDS, *later]


def test_a_price_that_moved_without_a_day_becomes_a_card_of_today():
    found = appended(CARDS, {(NAME, DAY): DEARER}, TODAY)

    assert found[: len(CARDS)] == list(CARDS)
    assert [(row[1], row[7]) for row in found[len(CARDS) :]] == [("2026-12-24", "21")]


def test_the_same_move_is_appended_once():
    once = appended(CARDS, {(NAME, DAY): DEARER}, TODAY)

    assert appended(tuple(once), {(NAME, DAY): DEARER}, date(2026, 12, 25)) == once


def test_another_source_of_the_same_price_is_no_move():
    again = [(*row[:-1], "elsewhere") for row in OPUS]

    assert appended(CARDS, {(NAME, DAY): again}, TODAY) == list(CARDS)


def test_a_released_card_that_would_change_stops_the_run():
    later = [(row[0], "2026-12-01", *row[2:]) for row in OPUS]
    wanted = {(NAME, DAY): DEARER, (NAME, "2026-12-01"): later}

    with pytest.raises(SystemExit, match=r"claude-opus-5-5@2026-09-22 is released"):
        appended(CARDS, wanted, TODAY)


def test_a_price_cannot_move_before_the_newest_card():
    with pytest.raises(SystemExit, match="is released and would change"):
        appended(CARDS, {(NAME, DAY): DEARER}, date(2026, 9, 22))
