"""Other ways to cache, side by side: each contestant is billed by the emulator for what it sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.competitors import Result, classes, compare
from benchmarks.competitors_clients import CLIENTS, Policed, open_client
from farthing.lab.emulator import Settings, emulator
from farthing.lab.replay import Replayed, find_policy, simulate
from farthing.lab.replay.bills import Bill, Prices
from farthing.pricing import catalog
from farthing.wire.usage import Usage

NOWHERE = Path("nowhere")
MODEL = "claude-opus-5-5"


def workload(name: str, calls: int = 12):
    return next(turns for found, turns in classes(NOWHERE, MODEL, calls) if found == name)


def test_there_is_a_class_for_each_scenario_with_whole_conversations_and_no_marks():
    found = dict(classes(NOWHERE, MODEL, 12))

    assert {"coding-agent", "rag-qa", "support-bot"} <= set(found)
    assert "tau2-bench" not in found
    assert all(turns for turns in found.values())
    assert all(turn.recorded_marks == () for turns in found.values() for turn in turns)


def test_a_policy_sent_by_the_sdk_is_billed_as_the_simulation_says():
    turns, policy = workload("rag-qa"), find_policy("auto-cache")
    with emulator(Settings(requests_kept=1)) as emu:
        sender = Policed(emu, policy)
        billed = [sender.send(turn) for turn in turns]

    predicted = [replayed.usage for replayed in simulate(turns, policy)]
    assert [(one.prompt, one.cache_read, one.cache_write_5m) for one in billed] == [
        (one.prompt, one.cache_read, one.cache_write_5m) for one in predicted
    ]


def bill(tokens: int) -> Bill:
    """So many tokens in full, at $4 a million."""
    made = Bill()
    made.add(Replayed(turn=workload("rag-qa")[0], usage=Usage(uncached=tokens)), Prices(catalog()))
    return made


@pytest.mark.parametrize(("ours", "verdict"), [(9, True), (10, True), (11, False)])
def test_never_worse_is_at_most_what_every_other_cost(ours, verdict):
    bills = {"no-cache": bill(20), "litellm": bill(10), "ours": bill(ours)}
    result = Result(name="x", ours="ours", calls=1, optimum_pico=8, bills=bills)

    assert result.is_never_worse is verdict
    assert result.figures()["input_usd"]["litellm"] == "0.00004"


def test_without_our_policy_there_is_no_verdict():
    result = Result(name="x", ours="ours", calls=1, optimum_pico=8, bills={"no-cache": bill(1)})

    assert result.is_never_worse is None


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(CLIENTS))
def test_another_project_caches_by_its_own_code(name):
    turns = workload("rag-qa")
    with emulator(Settings(requests_kept=1)) as emu, open_client(CLIENTS[name], emu) as sender:
        usages = [sender.send(turn) for turn in turns]

    assert sender.versions
    assert [usage.prompt for usage in usages] == [turn.prompt_tokens for turn in turns]
    assert sum(usage.cache_read for usage in usages) > 0


@pytest.mark.long
def test_a_table_names_who_took_part():
    versions: dict[str, str] = {}
    result = compare("rag-qa", workload("rag-qa"), versions, ours="no-such-policy")

    assert {"no-cache", "auto-cache", *CLIENTS} <= result.bills.keys() | result.absent.keys()
    assert "no-such-policy" in result.absent
    assert result.is_never_worse is None
