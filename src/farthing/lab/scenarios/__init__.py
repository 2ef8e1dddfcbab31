"""Generated workloads with a seed, shaped like measured ones; each is a trace like any other."""

from __future__ import annotations

from farthing.lab.scenarios.registry import (
    PREFIX,
    SCENARIOS,
    Scenario,
    find_scenario,
    generate,
)

__all__ = ["PREFIX", "SCENARIOS", "Scenario", "find_scenario", "generate"]
