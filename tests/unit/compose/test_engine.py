"""What the settings make of the guard, and what is said of settings that make none."""

from __future__ import annotations

from typing import Any

import pytest

from farthing.compose.engine import exchange_setup
from farthing.config import Settings
from farthing.core.exchange_prepare import Setup
from farthing.errors import ConfigError
from farthing.pricing import catalog


def setup(settings: Settings) -> Setup:
    return exchange_setup(settings, install_key=bytes(32), prices=catalog(), pins=None)


@pytest.mark.parametrize("name", ["breaker_failures", "breaker_repeats"])
def test_a_storm_of_nothing_is_no_storm(name):
    none: dict[str, Any] = {name: 0}
    one: dict[str, Any] = {name: 1}
    with pytest.raises(ConfigError, match=name.replace("_", ".")):
        setup(Settings(**none))

    assert setup(Settings(**none, breaker=False)).breakers is None
    assert setup(Settings(**one)).breakers is not None


def test_what_is_declared_for_budgets_reaches_them():
    allowances = setup(Settings(allow_image_url=7, allow_searches=3)).board.allowances

    assert (allowances.image_url, allowances.searches, allowances.file) == (7, 3, None)
