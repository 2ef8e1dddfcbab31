"""The scenarios by name; generating one: conversations drawn from a seed, usage counted after.

What a scenario's client would have been billed is not drawn: it is what the simulation of its own
breakpoints gives, so that a scenario is a trace like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

import msgspec
from msgspec import Raw

from farthing.errors import ConfigError
from farthing.lab.replay.policies import AsRecorded
from farthing.lab.replay.recording import read_turns
from farthing.lab.replay.simulation import simulate
from farthing.lab.scenarios.agents import coding_agent, fan_out, human_in_the_loop
from farthing.lab.scenarios.services import (
    classification_stream,
    nightly_enrichment,
    rag_qa,
    support_bot,
)
from farthing.traces.format import Call, Conversation
from farthing.wire.usage import Usage

__all__ = ["PREFIX", "SCENARIOS", "Scenario", "find_scenario", "generate"]

#: how a scenario is named where a path is expected
PREFIX: Final = "scenario:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One kind of workload."""

    name: str
    summary: str
    #: how many conversations, if nobody says
    count: int
    draw: Callable[[Random, int], Iterator[Conversation]]


SCENARIOS: Final[dict[str, Scenario]] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            name="coding-agent",
            summary="sessions of a coding agent: tools, re-read files, pauses",
            count=4,
            draw=coding_agent,
        ),
        Scenario(
            name="support-bot",
            summary="customers talk to a bot with a wiki as system prompt",
            count=40,
            draw=support_bot,
        ),
        Scenario(
            name="rag-qa",
            summary="questions with five retrieved passages each",
            count=60,
            draw=rag_qa,
        ),
        Scenario(
            name="classification",
            summary="a stream of short texts under one long guideline",
            count=300,
            draw=classification_stream,
        ),
        Scenario(
            name="enrichment",
            summary="documents enriched at night by eight workers at once",
            count=200,
            draw=nightly_enrichment,
        ),
        Scenario(
            name="multi-agent",
            summary="an agent that sends out sub-agents, all at the same instant",
            count=2,
            draw=fan_out,
        ),
        Scenario(
            name="human-in-the-loop",
            summary="an agent whose every fifth step waits for an approval",
            count=4,
            draw=human_in_the_loop,
        ),
    )
}


def find_scenario(name: str) -> Scenario:
    """A scenario by name, with or without ``scenario:`` before it."""
    bare = name.removeprefix(PREFIX)
    if bare not in SCENARIOS:
        raise ConfigError(f"unknown scenario {bare!r}: choose from {', '.join(SCENARIOS)}")
    return SCENARIOS[bare]


def generate(name: str, *, seed: int = 0, count: int | None = None) -> list[Conversation]:
    """The conversations of a scenario: the same for the same seed and count, always."""
    scenario = find_scenario(name)
    dice = Random(f"{scenario.name} {seed}")
    return _billed(list(scenario.draw(dice, count or scenario.count)))


def _billed(conversations: list[Conversation]) -> list[Conversation]:
    """With the usage their clients' own breakpoints would have had."""
    turns = read_turns(conversations)
    usage = {
        (replayed.turn.recording.conversation.id, replayed.turn.index): _dump(replayed.usage)
        for replayed in simulate(turns, AsRecorded())
    }
    return [
        msgspec.structs.replace(
            conversation,
            calls=[
                _counted(call, usage[conversation.id, index], f"{conversation.id}/{index}")
                for index, call in enumerate(conversation.calls)
            ],
        )
        for conversation in conversations
    ]


def _counted(call: Call, usage: Raw, identity: str) -> Call:
    return msgspec.structs.replace(
        call, usage=usage, message_id=f"msg_{identity}", request_id=f"req_{identity}"
    )


def _dump(usage: Usage) -> Raw:
    """As the provider's JSON has it."""
    return Raw(
        msgspec.json.encode(
            {
                "input_tokens": usage.uncached,
                "cache_creation_input_tokens": usage.cache_write_5m + usage.cache_write_1h,
                "cache_read_input_tokens": usage.cache_read,
                "cache_creation": {
                    "ephemeral_5m_input_tokens": usage.cache_write_5m,
                    "ephemeral_1h_input_tokens": usage.cache_write_1h,
                },
                "output_tokens": usage.output,
            }
        )
    )
