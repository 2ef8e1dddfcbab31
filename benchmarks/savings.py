"""What breakpoints and lifetimes by the engine save on recorded work, beside the best possible.

    python benchmarks/savings.py [--data DIR] [--scenarios] [--json]

Per workload the input bill of four ways, all made by the same simulation on the same requests,
recorded breaks hit all of them: nothing cached, as the client sent it (``recorded``), by the engine
(policy ``safe``, learning online from nothing), and the offline optimum with keep-alive pings.
Where the recorded data is absent, and with ``--scenarios``, generated ones are measured instead.

Columns: ``ratio`` is to the optimum with pings; ``share`` is the engine's saving over that of the
optimum, both against ``naive``; ``dearer`` counts conversations that cost more than recorded by
over 5 % + $0.05; ``bound`` is the upper end of a one-sided 95 % interval of engine minus recorded,
by resampling conversations: below zero means never dearer. ``strict`` is the engine's ratio if the
provider does not let a 1 h breakpoint lend its hour to what was written for 5 m, ``s.rec`` that of
the recorded marks there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from random import Random
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # also as a script

from benchmarks.required import DATA
from benchmarks.savings_policies import FIXED
from benchmarks.savings_strict import simulate_strict
from farthing.lab.optimum import Optimum, optimum
from farthing.lab.replay import Policy, Replayed, Turn, find_policy, read_turns, simulate
from farthing.lab.replay.bills import Prices
from farthing.lab.scenarios import SCENARIOS, generate
from farthing.pricing import catalog
from farthing.traces.format import Conversation
from farthing.traces.importing import Import, import_paths

RECORDED: Final = ("claude-code-main", "claude-code-subagents")
REPRICED: Final = ("tau2-bench", "swe-bench-mini")
MODELS: Final = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-opus-4-6")
_PICO: Final = 10**12
_ROUNDS: Final = 2_000

Simulate = Callable[[Iterable[Turn], Policy], Iterator[Replayed]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One workload's figures; dollars are of input, at the day's prices."""

    conversations: int
    calls: int
    naive_usd: float
    recorded_usd: float
    engine_usd: float
    optimum_usd: float
    optimum_without_pings_usd: float
    optimum_upgraded_usd: float
    ratio_to_optimum: float
    recorded_ratio: float
    share_of_optimal_saving: float
    best_fixed: str
    best_fixed_usd: float
    best_fixed_ratio: float
    worst_conversation: str
    worst_conversation_ratio: float
    dearer_conversations: Mapping[str, tuple[float, float]]
    dearer_share: float
    extra_usd_bound_95: float
    strict_recorded_usd: float
    strict_engine_usd: float
    strict_ratio: float


def measure(turns: list[Turn], prices: Prices) -> Row:
    """All figures of one workload."""
    best = optimum(turns, prices)
    naive = sum(_bills(turns, find_policy("no-cache"), prices).values())
    recorded = _bills(turns, find_policy("as-recorded"), prices)
    engine = _bills(turns, find_policy("safe"), prices)
    strict_recorded = sum(
        _bills(turns, find_policy("as-recorded"), prices, simulate_strict).values()
    )
    strict = sum(_bills(turns, find_policy("safe"), prices, simulate_strict).values())
    fixed = {policy.name: sum(_bills(turns, policy, prices).values()) for policy in FIXED}
    name = min(fixed, key=fixed.__getitem__)
    dearer = {key: usd for key, usd in recorded.items() if engine[key] > 1.05 * usd + 0.05}
    worst, worst_ratio = _worst(engine, best)
    least, total = best.with_pings_pico / _PICO, sum(engine.values())
    return Row(
        conversations=len(recorded),
        calls=len(turns),
        naive_usd=naive,
        recorded_usd=sum(recorded.values()),
        engine_usd=total,
        optimum_usd=least,
        optimum_without_pings_usd=best.without_pings_pico / _PICO,
        optimum_upgraded_usd=best.upgraded_pico / _PICO,
        ratio_to_optimum=total / least,
        recorded_ratio=sum(recorded.values()) / least,
        share_of_optimal_saving=(naive - total) / (naive - least),
        best_fixed=name,
        best_fixed_usd=fixed[name],
        best_fixed_ratio=fixed[name] / least,
        worst_conversation=worst,
        worst_conversation_ratio=worst_ratio,
        dearer_conversations={key: (usd, engine[key]) for key, usd in dearer.items()},
        dearer_share=len(dearer) / len(recorded),
        extra_usd_bound_95=_bound([engine[key] - usd for key, usd in recorded.items()]),
        strict_recorded_usd=strict_recorded,
        strict_engine_usd=strict,
        strict_ratio=strict / least,
    )


def _bills(
    turns: list[Turn], policy: Policy, prices: Prices, run: Simulate = simulate
) -> dict[str, float]:
    """Input dollars by conversation."""
    picos: defaultdict[str, int] = defaultdict(int)
    for replayed in run(turns, policy):
        usage = replayed.usage
        rates = prices.rates(replayed.turn, usage)
        if rates is not None:
            picos[replayed.turn.recording.conversation.id] += (
                usage.uncached * rates.uncached
                + usage.cache_read * rates.cache_read
                + usage.cache_write_5m * rates.cache_write_5m
                + usage.cache_write_1h * rates.cache_write_1h
            )
    return {key: pico / _PICO for key, pico in picos.items()}


def _worst(engine: Mapping[str, float], best: Optimum) -> tuple[str, float]:
    """The conversation furthest above its share of the optimum."""
    ratios = {
        key: engine[key] * _PICO / share.with_pings_pico
        for key, share in best.by_conversation.items()
        if share.with_pings_pico
    }
    name = max(ratios, key=ratios.__getitem__)
    return name, ratios[name]


def _bound(extras: list[float]) -> float:
    """Upper end of a one-sided 95 % interval of their sum, conversations drawn again."""
    random = Random(7)
    sums = sorted(sum(random.choices(extras, k=len(extras))) for _ in range(_ROUNDS))
    return sums[int(0.95 * _ROUNDS)]


# -- workloads ------------------------------------------------------------------------------------


def workloads(data: Path, *, scenarios: bool) -> Iterator[tuple[str, list[Turn]]]:
    """The recorded ones, or the generated ones if asked for or if there are no others."""
    if scenarios or not (data / "traces").is_dir():
        for name in SCENARIOS:
            yield f"scenario:{name}", read_turns(generate(f"scenario:{name}", seed=7))
        return
    for name in RECORDED:
        yield name, read_turns(_conversations(data, name))
    for name in REPRICED:
        for model in MODELS:
            yield f"{name} as {model}", read_turns(_conversations(data, name), model=model)


def _conversations(data: Path, name: str) -> Iterator[Conversation]:
    return import_paths([data / "traces" / f"{name}.jsonl.gz"], Import())


# -- output ---------------------------------------------------------------------------------------


def _show(name: str, row: Row) -> None:
    print(
        f"{name:36}{row.naive_usd:>10,.2f}{row.recorded_usd:>10,.2f}{row.engine_usd:>10,.2f}"
        f"{row.optimum_usd:>10,.2f}{row.recorded_ratio:>8.3f}{row.best_fixed_ratio:>8.3f}"
        f"{row.ratio_to_optimum:>8.3f}"
        f"{row.strict_recorded_usd / row.optimum_usd:>8.3f}{row.strict_ratio:>8.3f}"
        f"{row.share_of_optimal_saving:>8.1%}{len(row.dearer_conversations):>5}"
        f"/{row.conversations:<5}{row.extra_usd_bound_95:>10,.2f}"
    )


def _show_more(name: str, row: Row) -> None:
    print(f"\n{name}: best fixed policy in hindsight: {row.best_fixed}")
    print(
        f"  optimum without pings ${row.optimum_without_pings_usd:,.2f}, with top-ups "
        f"${row.optimum_upgraded_usd:,.2f}; worst conversation {row.worst_conversation} "
        f"at {row.worst_conversation_ratio:.2f} of its share"
    )
    for key, (before, after) in row.dearer_conversations.items():
        print(f"  dearer: {key}  ${before:.2f} -> ${after:.2f}")


def main() -> None:
    """Parse arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--scenarios", action="store_true", help="generated workloads only")
    parser.add_argument("--json", action="store_true", help="figures as the last line")
    arguments = parser.parse_args()
    if not arguments.scenarios and not (arguments.data / "traces").is_dir():
        print(f"recorded data not found at {str(arguments.data)!r}: generated scenarios instead\n")
    widths = (10, 10, 10, 10, 8, 8, 8, 8, 8, 8, 11, 10)
    heads = "naive $,recorded,engine,optimum,rec.,fixed,ratio,s.rec,strict,share,dearer,bound $"
    pairs = zip(heads.split(","), widths, strict=True)
    print(f"{'workload':36}" + "".join(f"{head:>{width}}" for head, width in pairs))
    prices, rows = Prices(catalog()), {}
    for name, turns in workloads(arguments.data, scenarios=arguments.scenarios):
        rows[name] = measure(turns, prices)
        _show(name, rows[name])
    for name, row in rows.items():
        _show_more(name, row)
    if arguments.json:
        traces = {name: asdict(row) for name, row in rows.items()}
        print(json.dumps({"traces": traces, "on": date.today().isoformat()}))


class _Raw(argparse.RawDescriptionHelpFormatter):
    """Keeps the command line in the docstring on its own line."""


if __name__ == "__main__":
    main()
