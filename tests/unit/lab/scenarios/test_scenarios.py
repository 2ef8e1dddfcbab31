from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import pairwise
from random import Random

import pytest

from farthing.errors import ConfigError
from farthing.lab.replay import find_policy, read_turns, simulate
from farthing.lab.scenarios import SCENARIOS, find_scenario, generate
from farthing.lab.scenarios.distributions import Mix, Quantiles
from farthing.lab.scenarios.text import CHARACTERS_PER_TOKEN, write_text
from farthing.traces.blocks import content_blocks
from farthing.traces.codec import TraceWriter, read_trace

NAMES = sorted(SCENARIOS)


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_is_the_same_for_the_same_seed(name):
    assert generate(name, seed=3, count=2) == generate(name, seed=3, count=2)
    assert generate(name, seed=3, count=2) != generate(name, seed=4, count=2)


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_is_a_trace_like_any_other(name, tmp_path):
    conversations = generate(name, count=2)
    with TraceWriter(tmp_path / "s.jsonl.gz") as writer:
        for conversation in conversations:
            writer.write(conversation)

    assert list(read_trace(tmp_path / "s.jsonl.gz")) == conversations


@pytest.mark.parametrize("name", NAMES)
def test_what_a_scenario_says_it_was_billed_is_what_its_replay_finds(name):
    turns = read_turns(generate(name, seed=1, count=3))

    for replayed in simulate(turns, find_policy("as-recorded")):
        assert replayed.usage == replayed.turn.recorded
    assert not any(turn.is_break or turn.is_output_estimated for turn in turns)


def test_the_first_calls_of_sub_agents_leave_at_the_same_instant():
    agents = [one for one in generate("multi-agent", count=1) if one.agent_id]

    waves = Counter(agent.started_at for agent in agents)

    assert len(waves) == 2
    assert min(waves.values()) >= 3


def test_a_coding_agent_reads_files_again():
    reads = Counter[str]()
    for conversation in generate("coding-agent", seed=7):
        for message in conversation.messages:
            for block in content_blocks(message.content):
                if block.name == "Read":
                    reads[f"{conversation.id} {bytes(block.input).decode()}"] += 1

    again = sum(reads.values()) - len(reads)

    assert 0.3 < again / sum(reads.values()) < 0.65


def gaps(name: str) -> list[timedelta]:
    by_conversation: dict[str, list] = {}
    for turn in read_turns(generate(name, seed=7)):
        by_conversation.setdefault(turn.recording.conversation.id, []).append(turn.began_at)
    return [
        after - before for starts in by_conversation.values() for before, after in pairwise(starts)
    ]


def test_people_who_approve_each_step_let_the_prompt_cache_expire():
    long = timedelta(minutes=5)

    waiting = sum(gap > long for gap in gaps("human-in-the-loop"))

    assert waiting > 4 * sum(gap > long for gap in gaps("coding-agent"))


def test_the_growth_of_a_coding_agent_is_near_the_measured_one():
    """Measured: 25 % 333, median 624, 75 % 1,233 tokens a turn."""
    sizes = [turn.prompt_tokens for turn in read_turns(generate("coding-agent", seed=1, count=12))]
    growth = sorted(b - a for a, b in pairwise(sizes) if b > a)

    assert 300 < growth[len(growth) // 2] < 1000


def test_an_unknown_scenario_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"'chess'.*coding-agent"):
        find_scenario("scenario:chess")


def test_quantiles_are_met_and_not_left():
    table = Quantiles(((0.05, 2), (0.5, 38), (0.95, 117)))
    drawn = sorted(table.draw(Random(n)) for n in range(2000))

    assert table.at(0.5) == pytest.approx(38)
    assert 2 <= drawn[0] <= drawn[-1] <= 117
    assert drawn[1000] == pytest.approx(38, rel=0.15)


def test_a_mix_draws_its_names_by_their_shares():
    dice = Random(5)
    drawn = Counter(Mix({"often": 0.6, "seldom": 0.2}).draw(dice) for _ in range(4000))

    assert drawn["often"] / 4000 == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize("kind", sorted(CHARACTERS_PER_TOKEN))
def test_text_has_the_size_that_was_asked_for(kind):
    written = write_text(500, Random(1), kind=kind)

    assert len(written) / CHARACTERS_PER_TOKEN[kind] == pytest.approx(500, rel=0.02)


def test_the_smallest_text_is_not_empty():
    assert write_text(0.1, Random(1))
