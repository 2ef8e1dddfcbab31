from __future__ import annotations

from datetime import date

import pytest

from farthing.pricing import Lifecycle, warnings
from farthing.pricing.lifecycle import notices_for

LIFE = Lifecycle(
    released=date(2026, 1, 1),
    deprecated=date(2026, 6, 1),
    retires=date(2026, 9, 1),
    fast_deprecated=date(2026, 3, 1),
    fast_removed=date(2026, 4, 1),
)


def codes(life: Lifecycle, on: date, *, fast: bool = False) -> list[str]:
    return [notice.code for notice in notices_for("m", life, on=on, fast=fast)]


@pytest.mark.parametrize(
    ("on", "code"),
    [
        (date(2025, 12, 31), ["not_released"]),
        (date(2026, 1, 1), []),
        (date(2026, 5, 31), []),
        (date(2026, 6, 1), ["deprecated"]),
        (date(2026, 8, 31), ["deprecated"]),
        (date(2026, 9, 1), ["retired"]),
    ],
)
def test_a_notice_begins_on_its_day(on, code):
    assert codes(LIFE, on) == code


@pytest.mark.parametrize(
    ("on", "code"),
    [
        (date(2026, 2, 28), []),
        (date(2026, 3, 1), ["fast_deprecated"]),
        (date(2026, 3, 31), ["fast_deprecated"]),
        (date(2026, 4, 1), ["fast_removed"]),
    ],
)
def test_the_end_of_fast_mode_is_told_to_who_uses_it(on, code):
    assert codes(LIFE, on, fast=True) == code
    assert codes(LIFE, on) == []


def test_a_deprecation_without_a_last_day_says_so():
    life = Lifecycle(released=date(2026, 1, 1), deprecated=date(2026, 6, 1))

    (notice,) = notices_for("m", life, on=date(2026, 7, 1))

    assert "no retirement date yet" in notice.text


def test_a_model_in_good_standing_has_no_notice():
    assert codes(Lifecycle(released=date(2026, 1, 1)), date(2030, 1, 1), fast=True) == []


@pytest.mark.parametrize(
    ("model", "on", "word"),
    [
        ("claude-sonnet-4-5", date(2026, 9, 29), None),
        ("claude-sonnet-4-5", date(2026, 9, 30), "retires on 2026-11-30"),
        ("claude-sonnet-4-5", date(2026, 11, 30), "was retired on 2026-11-30"),
        ("claude-3-5-haiku-20241022", date(2026, 2, 19), "was retired"),
        ("claude-opus-4-1", date(2026, 8, 4), None),
        ("claude-opus-5-5", date(2026, 11, 12), None),
    ],
)
def test_shipped_models_warn_by_their_dates(model, on, word):
    texts = [notice.text for notice in warnings(model, on=on)]

    assert [word in text for text in texts] == ([True] if word else [])
