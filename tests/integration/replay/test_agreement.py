"""Simulation and emulator are two independent models; they must agree to the token."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import pytest

from farthing.cli.main import main
from farthing.lab.replay import POLICIES, Turn, read_turns, simulate
from farthing.lab.replay.emulated import EmulatedRun
from farthing.lab.replay.run import same_tokens
from farthing.lab.scenarios import SCENARIOS, generate
from farthing.traces.importing import Import, import_paths

#: conversations: enough for every rule that both ways have, and as many as there are
FEW, MANY = 6, 20
SIZES = [pytest.param(FEW), pytest.param(MANY, marks=pytest.mark.long)]


def disagreements(turns: Sequence[Turn], policy: str) -> list[str]:
    run = EmulatedRun()
    simulated = {one.turn.id: one for one in simulate(turns, POLICIES[policy])}
    emulated = list(run.replay(turns, POLICIES[policy]))
    differing = [one.turn.id for one in emulated if not same_tokens(one, simulated[one.turn.id])]
    assert len(emulated) + len(run.refused) == len(turns)
    return [*differing, *(f"{each.turn_id}: {each.message}" for each in run.refused)]


@pytest.mark.parametrize("most", SIZES)
@pytest.mark.parametrize("policy", sorted(POLICIES))
@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_both_ways_agree_to_the_token_on_a_scenario(name, policy, most):
    count = min(most, SCENARIOS[name].count)

    assert disagreements(read_turns(generate(name, seed=11, count=count)), policy) == []


@pytest.mark.parametrize("most", [pytest.param(3), pytest.param(8, marks=pytest.mark.long)])
@pytest.mark.parametrize("policy", sorted(POLICIES))
@pytest.mark.parametrize(
    ("file", "model"),
    [
        ("claude-code-main", None),
        ("claude-code-subagents", None),
        ("tau2-bench", "claude-sonnet-5-5"),
        ("swe-bench-mini", "claude-opus-5-5"),
        ("tau-bench-airline", "claude-haiku-5-5"),
    ],
)
def test_both_ways_agree_to_the_token_on_recorded_conversations(
    data_dir, file, model, policy, most
):
    """With breaks injected, rewrites, dropped thinking, shared prefixes and recorded sizes."""
    path = data_dir / "traces" / f"{file}.jsonl.gz"
    conversations = list(islice(import_paths([path], Import()), most))

    assert disagreements(read_turns(conversations, model=model), policy) == []


def test_what_the_emulator_refuses_is_set_aside_with_its_words():
    turns = read_turns(generate("rag-qa", count=2), model="claude-opus-9")
    run = EmulatedRun()

    assert list(run.replay(turns, POLICIES["no-cache"])) == []
    assert "claude-opus-9" in run.refused[0].message


def test_a_replay_through_the_emulator_says_how_far_both_ways_agree(capsys):
    assert main(["replay", "scenario:rag-qa", "--count", "4", "--through", "emulator"]) == 0

    assert "emulator and simulation agree to the token in" in capsys.readouterr().out


def test_the_demo_is_sent_by_the_real_sdk(capsys):
    assert main(["demo", "--scenario", "rag-qa"]) == 0

    out = capsys.readouterr().out
    assert "Sent by the real SDK over HTTP to an emulator of the Claude API" in out
