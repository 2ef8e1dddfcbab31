"""The engine on recorded work: what it may cost at most beside the optimum, learning online."""

from __future__ import annotations

import pytest

from farthing.lab.optimum import optimum
from farthing.lab.replay import Options, find_policy, read_turns, replay_turns
from farthing.lab.replay.bills import Prices
from farthing.pricing import catalog
from farthing.traces.importing import Import, import_paths


@pytest.mark.parametrize(
    ("file", "most"),
    [
        ("claude-code-subagents", 1.04),
        pytest.param("claude-code-main", 1.10, marks=pytest.mark.long),
    ],
)
def test_recorded_sessions_come_near_the_optimum_and_hardly_any_gets_dearer(data_dir, file, most):
    path = data_dir / "traces" / f"{file}.jsonl.gz"
    turns = read_turns(import_paths([path], Import()))
    policies = [find_policy("as-recorded"), find_policy("safe")]

    document = replay_turns(turns, policies, catalog(), options=Options())
    best = optimum(turns, Prices(catalog())).with_pings_pico / 10**12
    recorded, engine = document["policies"]
    pairs = [
        (float(before["input_usd"]), float(after["input_usd"]))
        for before, after in zip(
            recorded["by_conversation"], engine["by_conversation"], strict=True
        )
    ]
    dearer = [pair for pair in pairs if pair[1] > 1.05 * pair[0] + 0.05]

    assert float(engine["input_usd"]) <= most * best
    assert len(dearer) <= 0.02 * len(pairs)


@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-opus-4-6"])
def test_where_the_client_caches_nothing_nearly_all_of_the_optimal_saving_is_made(data_dir, model):
    path = data_dir / "traces" / "tau2-bench.jsonl.gz"
    turns = read_turns(import_paths([path], Import()), model=model)
    policies = [find_policy("no-cache"), find_policy("safe")]

    document = replay_turns(turns, policies, catalog(), options=Options())
    naive, engine = (float(policy["input_usd"]) for policy in document["policies"])
    best = optimum(turns, Prices(catalog())).with_pings_pico / 10**12

    assert naive - engine >= 0.97 * (naive - best)
