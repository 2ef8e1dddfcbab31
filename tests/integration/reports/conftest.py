from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.integration.reports.scenario import START, Team, lose, team_at


@pytest.fixture(autouse=True)
def config_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty configuration folder: the user's own settings must not leak into a test."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("FARTHING_LEDGER", raising=False)


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    """An empty ledger with somebody who writes into it."""
    made = team_at(tmp_path / "ledger.db")
    yield made
    made.ledger.close()


@pytest.fixture(scope="module")
def fortnight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two weeks of a team whose reviews take three times the turns in the second one."""
    path = tmp_path_factory.mktemp("fortnight") / "ledger.db"
    team = team_at(path)
    team.days(14, worse_from=7)
    team.call("odd", "experiment", at=START + timedelta(days=3), model="claude-nobody-9")
    lose(team, "gone", low=10**9, high=10**11, at=START + timedelta(days=5))
    team.ledger.close()
    return path
