from __future__ import annotations

import pytest

from farthing.lab.replay import find_policy, read_turns, simulate
from farthing.lab.replay.engine_policy import Safe
from farthing.lab.scenarios import generate
from tests.unit.lab.replay.recorded import conversation, usage


def planned(turns, policy=None):
    """The marks of each turn, answers told as the simulation gives them."""
    policy = policy or Safe()
    marks = []

    class Watched:
        name = "watched"

        def plan(self, turn):
            sending = policy.plan(turn)
            marks.append(sending.marks)
            return sending

        def begin(self):
            return self

        def observe(self, turn, usage):
            policy.observe(turn, usage)

    for _ in simulate(turns, Watched()):
        pass
    return marks


@pytest.mark.parametrize("scenario", ["coding-agent", "rag-qa", "classification"])
def test_a_choice_depends_on_earlier_turns_only(scenario):
    turns = read_turns(generate(scenario, seed=3, count=6))
    half = len(turns) // 2

    assert planned(turns)[:half] == planned(turns[:half])


def test_each_replay_starts_from_nothing():
    turns = read_turns(generate("coding-agent", seed=3, count=2))
    policy = Safe()

    first, second = ([one.usage for one in simulate(turns, policy)] for _ in range(2))

    assert first == second
    assert policy.engine.learned().by_class == {}


def test_marks_of_the_client_are_kept():
    turns = read_turns([conversation((0, usage(0, 9000)), (60, usage(9000, 700)))])

    for turn, marks in zip(turns, planned(turns), strict=True):
        assert {mark.index for mark in turn.recorded_marks} <= {mark.index for mark in marks}


def test_an_answer_is_not_known_to_a_request_that_starts_before_its_first_byte():
    policy = Safe()
    turns = read_turns([conversation((0, usage(0, 9000)), (1, usage(9000, 700)))])
    policy.plan(turns[0])
    policy.observe(turns[0], next(simulate(turns, policy)).usage)
    assert turns[1].began_at < turns[0].first_byte_at

    policy.plan(turns[1])

    assert [turn.id for turn, _ in policy.unheard] == [turns[0].id]


def test_a_wiki_shared_by_customers_is_read_more_than_in_automatic_mode():
    turns = read_turns(generate("support-bot", seed=5, count=20))
    read = [
        sum(one.usage.cache_read for one in simulate(turns, find_policy(name)))
        for name in ("safe", "auto-cache")
    ]

    assert read[0] > 1.1 * read[1]
