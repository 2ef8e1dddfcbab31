"""Reproduces the recorded bill by the shadow baseline, with levers off.

    python benchmarks/shadow.py [--data DIR] [--json]

The calls of ``cache_fidelity`` once more, in the order of time, through ``core.shadow``:

- *foreseen*: levers off; what the shadow says before the answer, against the recorded bill. It
  knows earlier answers and the length of the prompt, and nothing else of its own answer;
- *baseline*: the shadow is told on each call that a lever acted which changes nothing. Its baseline
  shares the luck of the answer, so it has to come out at the recorded bill almost everywhere;
- *untouched*: levers off, after the answer: the baseline is the cost, to the last unit.

Figures and definitions: docs/design/planner.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # also as a script

from benchmarks.cache_fidelity import MAIN, SUBAGENTS, USD, Replay, Scored, input_usd, usd, without
from benchmarks.recorded_calls import load_rows
from benchmarks.required import DATA, require_data
from farthing.core.hazard import ExpectedUsage
from farthing.core.prefix import PrefixView
from farthing.core.prompt_cache import PromptCache
from farthing.core.prompt_cache_forecast import Forecast
from farthing.core.prompt_cache_learning import CacheCorrection
from farthing.core.shadow import AS_SENT_BY_CLIENT, Answered, Savings, Shadowed, Shadows, Stage
from farthing.pricing import price, require_card
from farthing.wire.usage import Usage

#: a lever that changes no prompt: its stage is the client's request again
IDLE = "cache.diagnostics"


class ShadowedCache:
    """The model of the provider that a replay drives, with the shadows running along."""

    def __init__(self) -> None:
        self._cache = PromptCache()
        self._shadows = Shadows()
        self._idle = Shadows()
        self._under_way: dict[int, tuple[Shadowed, Shadowed]] = {}
        #: by the identity of the forecast
        self.foreseen: dict[int, Usage] = {}
        self.savings: dict[int, Savings] = {}
        self.untouched: dict[int, Savings] = {}
        self._kept: list[Forecast] = []  # an identity is one only while its object lives

    def begin(self, view: PrefixView, now: datetime) -> Forecast:
        forecast = self._cache.begin(view, now)
        stages = [
            Stage(lever=lever, view=view, began_at=now) for lever in (AS_SENT_BY_CLIENT, IDLE)
        ]
        idle = self._idle.begin(stages[:1])
        self._under_way[id(forecast)] = self._shadows.begin(stages), idle
        self.foreseen[id(forecast)] = idle.foreseen
        self._kept.append(forecast)
        return forecast

    def expect(self, view: PrefixView, forecast: Forecast, now: datetime) -> ExpectedUsage:
        return self._cache.expect(view, forecast, now)

    def observe(
        self,
        view: PrefixView,
        forecast: Forecast,
        *,
        began_at: datetime,
        first_byte_at: datetime,
        usage: Usage | None = None,
    ) -> CacheCorrection | None:
        shadowed, idle = self._under_way.pop(id(forecast))
        if usage is None:
            self._shadows.seen(shadowed, first_byte_at)
            self._idle.seen(idle, first_byte_at)
        else:
            card = require_card(view.model, on=began_at.date())
            answered = Answered(
                usage=usage, first_byte_at=first_byte_at, card=card, cost=price(usage, card)
            )
            self.savings[id(forecast)] = self._shadows.settle(shadowed, answered)
            self.untouched[id(forecast)] = self._idle.settle(idle, answered)
        return self._cache.observe(
            view, forecast, began_at=began_at, first_byte_at=first_byte_at, usage=usage
        )


def errors(cache: ShadowedCache, scored: Sequence[Scored], name: str) -> dict[str, float]:
    """Absolute and signed errors, over the dollars of the input side."""
    baseline = [cache.savings[id(each.forecast)].saved_pico * USD for each in scored]
    foreseen = [
        input_usd(cache.foreseen[id(each.forecast)], each.rates) - each.actual_usd
        for each in scored
    ]
    dollars = usd(scored)
    return {
        f"abs_foreseen_error_{name}": sum(map(abs, foreseen)) / dollars,
        f"foreseen_error_{name}": sum(foreseen) / dollars,
        f"abs_baseline_error_{name}": sum(map(abs, baseline)) / dollars,
        f"baseline_error_{name}": sum(baseline) / dollars,
    }


def figures(data: Path) -> dict[str, float]:
    """Everything ``--json`` prints; the figure that counts comes first."""
    rows = [row for name in (MAIN, SUBAGENTS) for row in load_rows(data / name)]
    cache = ShadowedCache()
    everything = Replay(cache).run([call for _, calls in rows for call in calls])
    scored = [each for each in everything if not each.call.row.is_subagent]
    whole = without(scored, lambda each: each.is_break)
    unbroken = [each for each in whole if not each.is_revival]
    return {
        **errors(cache, unbroken, "unbroken"),
        **errors(cache, scored, "all"),
        "untouched_calls_that_differ": sum(
            saved.baseline_pico != saved.cost_pico for saved in cache.untouched.values()
        ),
        "calls": len(scored),
        "calls_unbroken": len(unbroken),
        "input_usd_unbroken": usd(unbroken),
    }


def main() -> None:
    """Parse arguments, replay, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--json", action="store_true", help="figures as the last line")
    arguments = parser.parse_args()
    require_data(arguments.data / MAIN)
    found = figures(arguments.data)
    for name, value in found.items():
        print(f"{name:32}{value:>12.4f}" if isinstance(value, float) else f"{name:32}{value:>12,}")
    if arguments.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
