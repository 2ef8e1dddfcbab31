"""Another name for the same is no way around a budget: of a model, of a path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from farthing.core.budgets import Budget
from farthing.lab.emulator import RunningEmulator, emulator
from tests.integration.gateway.raw_http import RawClient, http_request
from tests.integration.gateway.test_budgets import DOLLAR, ask, gateway
from tests.integration.gateway.test_bytes import JSON, MESSAGE


@pytest.fixture(scope="module")
def emu() -> Iterator[RunningEmulator]:
    with emulator() as running:
        yield running


def test_a_model_has_one_count_under_all_its_names(emu: RunningEmulator, tmp_path: Path) -> None:
    budget = Budget(name="b", scope="model", limit_pico=DOLLAR)
    with gateway(emu, tmp_path, budget) as running:
        for model in ("claude-haiku-4-5", "claude-haiku-4-5-20251001"):
            assert ask(running, emu.api_key, model=model) == (200, "")
        running.ledger.flush()

        keys = {row.opened.budget_keys for row in running.ledger.rows()}

    assert keys == {("model:claude-haiku-4-5-20251001@total",)}


def test_a_slash_behind_the_path_is_none_either(emu: RunningEmulator, tmp_path: Path) -> None:
    nothing = Budget(name="b", scope="everything", limit_pico=0)
    with gateway(emu, tmp_path, nothing) as running, RawClient(running.url) as client:
        client.send(http_request("POST", "/v1/messages/", MESSAGE, JSON))
        answer = client.answer()

    assert answer.status == 402
