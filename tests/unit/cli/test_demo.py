from __future__ import annotations

import json
import sys
from decimal import Decimal

from farthing.cli.main import main

SIMULATED = ["demo", "--through", "simulation"]


def test_the_demo_shows_three_bills_and_whose_merit_each_is(capsys):
    assert main(SIMULATED) == 0

    out = capsys.readouterr().out
    assert "no-cache" in out
    assert "auto-cache" in out
    assert "Of that the provider's automatic prompt cache leaves 13.3%." in out
    assert "(`safe`) leave 12.7%." in out
    assert "no request was sent" in out


def test_the_demo_as_json_adds_up(capsys):
    assert main([*SIMULATED, "--json"]) == 0

    for policy in json.loads(capsys.readouterr().out)["policies"]:
        *parts, total = policy["cost_usd"].values()
        assert sum(map(Decimal, parts)) == Decimal(total)


def test_another_scenario_and_seed_can_be_shown(capsys):
    assert main([*SIMULATED, "--scenario", "support-bot", "--seed", "2"]) == 0
    assert "support-bot, seed 2" in capsys.readouterr().out


def test_without_the_sdk_the_demo_is_simulated_and_says_why(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "anthropic", None)

    assert main(["demo"]) == 0

    shown = capsys.readouterr()
    assert "anthropic not installed, so this is simulated" in shown.err
    assert "pip install" in shown.err
    assert "no request was sent" in shown.out
