"""What the gateway adds to a call, beside no gateway, a bare relay and LiteLLM's proxy, in one run.

    python benchmarks/gateway.py [--quick] [--json] [--perf DIR] [--memory N]

Each figure is beside *direct* in the same run: `added p50` is the gateway's median less the direct
median. `rps` is what 32 connections get; `cpu us` is the target's processor time per call then, all
its processes together, so `rps_per_core` is what one core can do; `loop us` is that of the process
with the event loop alone, the ledger's writing hand left out. `relay_ratio` is the rate of a relay
made of uvicorn and aiohttp that does nothing else (`relay_only`), over the gateway's, at 2 KB and
32 connections; `relay_cpu_ratio` is that of their processor time per call, which other programs on
the machine disturb less. `relay_own` is the same relay with farthing's own connections to Claude,
so the two `own_relay` ratios are what all of farthing's work costs: 1.0 would be free. Never
compare across machines.

`gateway` is the configuration as it comes, its guard included (loops, breaker); `guard_off` the
same with `--loops off --breaker off`, at 2 KB: a ledger and nothing else.

`--memory N` measures only how the gateway's memory grows over N exchanges: the slope of its second
half. A full run does so over 200,000.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a program, from anywhere

from benchmarks.perf_tools import (
    Tools,
    build,
    cpu_seconds,
    free_port,
    process,
    rss_mb,
    tree,
    wait_for,
)

ROOT = Path(__file__).resolve().parent.parent
MAIN = "from farthing.cli.main import main; raise SystemExit(main())"
MANY = 32
#: what was recorded last is in the database by then
WRITTEN_SECONDS = 0.5

#: size in the load tools → our name; a stream is 61 events, the long one ten times as many
SIZES = {"2k": "2kb", "100k": "100kb", "1m": "1mb"}


@dataclass(frozen=True)
class Case:
    size: str
    mode: str

    @property
    def is_stream(self) -> bool:
        return self.mode != "plain"


CASES = [
    *(Case(size, mode) for size in SIZES for mode in ("plain", "stream")),
    Case("2k", "stream_600"),
]


@dataclass(frozen=True)
class Target:
    name: str
    port: int
    pid: int | None


@contextmanager
def relay(name: str, client: str, url: str) -> Iterator[Target]:
    port = free_port()
    program = str(ROOT / "benchmarks" / "relay_only.py")
    with process([sys.executable, program, str(port), url, client]) as child:
        wait_for(port)
        yield Target(name, port, child.pid)


def relay_only(url: str, folder: Path) -> AbstractContextManager[Target]:
    """What a relay is made of that somebody writes in an afternoon: uvicorn and aiohttp."""
    return relay("relay_only", "aiohttp", url)


def relay_own(url: str, folder: Path) -> AbstractContextManager[Target]:
    """The same with farthing's own connections."""
    return relay("relay_own", "own", url)


@contextmanager
def guard_off(url: str, folder: Path) -> Iterator[Target]:
    """The gateway without what watches for loops and storms."""
    with farthing(url, folder, "--loops", "off", "--breaker", "off") as target:
        yield Target("guard_off", target.port, target.pid)


@contextmanager
def farthing(url: str, folder: Path, *more: str) -> Iterator[Target]:
    """`farthing serve`: ledger on, levers off, and no log line per exchange."""
    port = free_port()
    command = [
        sys.executable,
        "-c",
        MAIN,
        "serve",
        "--port",
        str(port),
        "--upstream",
        url,
        "--cache",
        "off",
        *more,
    ]
    command += ["--ledger", str(folder / f"ledger-{port}.db"), "--log-level", "warning"]
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "HOME": str(folder)}
    with (
        Path(os.devnull).open("w") as nowhere,
        process(command, stdout=nowhere, stderr=nowhere, env=environment) as child,
    ):
        wait_for(port, child=child)
        yield Target("gateway", port, child.pid)


@contextmanager
def litellm(url: str, folder: Path) -> Iterator[Target]:
    """LiteLLM's proxy with its defaults and one worker; it wants to be told that this is a test."""
    port = free_port()
    config = folder / "litellm.yaml"
    model = {"model": "anthropic/claude-sonnet-4-5", "api_base": url, "api_key": "sk-x"}
    entry = {"model_name": "claude-sonnet-4-5", "litellm_params": model}
    config.write_text(json.dumps({"model_list": [entry]}))  # JSON is YAML
    command = [sys.executable, "-m", "litellm.proxy.proxy_cli", "--port", str(port)]
    command += ["--config", str(config), "--num_workers", "1"]
    environment = {**os.environ, "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
    with (
        Path(os.devnull).open("w") as nowhere,
        process(command, stdout=nowhere, stderr=nowhere, env=environment) as child,
    ):
        wait_for(port, 120, child)
        yield Target("litellm", port, child.pid)


def measure(
    tools: Tools, target: Target, case: Case, seconds: float, rounds: int
) -> dict[str, Any]:
    """Medians over the rounds at 1 and at 32 connections."""
    body = tools.body(case.size, stream=case.is_stream)
    figures: dict[str, Any] = {"cpu_us": None, "loop_cpu_us": None}
    for connections in (1, MANY):
        before = cpu_of(target)
        runs = [
            tools.load(target.port, body, connections=connections, seconds=seconds)
            for _ in range(rounds)
        ]
        if target.pid and connections == MANY:
            time.sleep(WRITTEN_SECONDS)
            calls = max(sum(run["ntot"] for run in runs), 1)
            used = {pid: spent - before.get(pid, 0.0) for pid, spent in cpu_of(target).items()}
            figures["cpu_us"] = 1e6 * sum(used.values()) / calls
            figures["loop_cpu_us"] = 1e6 * used[target.pid] / calls
        figures[f"errors_c{connections}"] = sum(
            run["conn_errors"] + run["bad_status"] for run in runs
        )
        for name in ("p50", "p99"):
            values = [run["lat"][name] for run in runs if run["lat"]]
            figures[f"{name}_c{connections}"] = statistics.median(values) if values else None
        figures[f"rps_c{connections}"] = statistics.median(run["rps"] for run in runs)
    figures["rss_mb"] = rss_of(target) if target.pid else None
    return figures


def cpu_of(target: Target) -> dict[int, float]:
    """Processor time of each of a target's processes."""
    return {pid: cpu_seconds(pid) for pid in tree(target.pid)} if target.pid else {}


def rss_of(target: Target) -> float:
    """Resident memory of a target's processes; what they share is counted in each."""
    return sum(map(rss_mb, tree(target.pid))) if target.pid else 0.0


def beside(own: dict[str, Any], direct: dict[str, Any]) -> dict[str, Any]:
    """What a target adds to the direct call."""
    shown: dict[str, Any] = {}
    for connections, suffix in ((1, ""), (MANY, f"_c{MANY}")):
        for name in ("p50", "p99"):
            mine, without = own[f"{name}_c{connections}"], direct[f"{name}_c{connections}"]
            known = mine is not None and without is not None
            shown[f"added_{name}_ms{suffix}"] = round((mine - without) / 1000, 4) if known else None
    shown["rps"] = own[f"rps_c{MANY}"]
    shown["rps_c1"] = own["rps_c1"]
    cpu_us = own["cpu_us"]
    for name in ("cpu_us", "loop_cpu_us"):
        shown[name] = None if own[name] is None else round(own[name], 1)
    shown["rps_per_core"] = None if not cpu_us else round(1e6 / cpu_us)
    shown["rss_mb"] = None if own["rss_mb"] is None else round(own["rss_mb"], 1)
    shown["errors"] = own["errors_c1"] + own[f"errors_c{MANY}"]
    return shown


def memory_slope(tools: Tools, target: Target, exchanges: int) -> dict[str, float]:
    """RSS over many exchanges: bytes per exchange by least squares over the second half."""
    assert target.pid is not None
    body = tools.body("2k", stream=False)
    done, points = 0, list[tuple[float, float]]()
    while done < exchanges:
        run = tools.load(target.port, body, connections=MANY, seconds=1.0, warm=0.0)
        done += run["ntot"]
        points.append((done, rss_of(target)))
    settled = points[len(points) // 2 :]
    slope = statistics.linear_regression(*zip(*settled, strict=True)).slope if settled[1:] else 0.0
    return {
        "exchanges": done,
        "rss_first_mb": round(settled[0][1], 1),
        "rss_last_mb": round(settled[-1][1], 1),
        "rss_bytes_per_exchange": round(slope * 1024 * 1024, 2),
    }


def run_all(tools: Tools, args: argparse.Namespace) -> dict[str, Any]:
    seconds, rounds = (0.7, 1) if args.quick else (args.seconds, args.rounds)
    names = ("relay_only", "relay_own", "gateway", "guard_off")
    result: dict[str, Any] = {**{name: {} for name in names}, "litellm": None}
    folder = tools.folder
    if find_spec("litellm") is None:
        print("SKIPPED: litellm is not importable; pip install 'litellm[proxy]'", file=sys.stderr)
    elif not args.no_litellm:
        result["litellm"] = {}
    for long_stream in (False, True):
        with ExitStack() as stack:
            mock = stack.enter_context(tools.mock(long_stream=long_stream))
            url = f"http://127.0.0.1:{mock}"
            makers = [relay_only, relay_own, farthing] + ([] if long_stream else [guard_off])
            targets = [stack.enter_context(maker(url, folder)) for maker in makers]
            if result["litellm"] is not None:
                targets += started(stack, url, folder, result)
            for case in [case for case in CASES if (case.mode == "stream_600") == long_stream]:
                direct = measure(tools, Target("direct", mock, None), case, seconds, rounds)
                for target in targets:
                    if target.name == "guard_off" and case != CASES[0]:
                        continue
                    figures = beside(measure(tools, target, case, seconds, rounds), direct)
                    figures["direct_p50_ms"] = round((direct["p50_c1"] or 0) / 1000, 4)
                    result[target.name].setdefault(SIZES[case.size], {})[case.mode] = figures
                    print(row(target.name, case, figures), flush=True)
            if not long_stream:
                count = 15_000 if args.quick else 200_000
                gateway = next(target for target in targets if target.name == "gateway")
                result["memory"] = memory_slope(tools, gateway, count)
    return result | ratios(result)


def run_memory(tools: Tools, exchanges: int) -> dict[str, Any]:
    with (
        tools.mock() as mock,
        farthing(f"http://127.0.0.1:{mock}", tools.folder) as gateway,
    ):
        return {"memory": memory_slope(tools, gateway, exchanges)}


def started(stack: ExitStack, url: str, folder: Path, result: dict[str, Any]) -> list[Target]:
    """LiteLLM, or nothing, said loudly, where it does not start."""
    try:
        return [stack.enter_context(litellm(url, folder))]
    except OSError as error:
        print(f"SKIPPED: litellm does not start ({error})", file=sys.stderr)
        result["litellm"] = None
        return []


def ratios(result: dict[str, Any]) -> dict[str, Any]:
    """The relay's rate over the gateway's, per body and mode."""
    table = {
        f"{size}_{mode}": round(figures["rps"] / result["gateway"][size][mode]["rps"], 3)
        for size, modes in result["relay_only"].items()
        for mode, figures in modes.items()
    }
    found: dict[str, Any] = {"relay_ratio": table["2kb_plain"], "relay_ratios": table}
    for base, prefix in (("relay_only", "relay"), ("relay_own", "own_relay")):
        beside = result[base]["2kb"]["plain"]
        for name, suffix in (("gateway", ""), ("guard_off", "_guard_off")):
            figures = result[name]["2kb"]["plain"]
            found[f"{prefix}_ratio{suffix}"] = round(beside["rps"] / figures["rps"], 3)
            cpu = figures["loop_cpu_us"] / beside["loop_cpu_us"]
            found[f"{prefix}_cpu_ratio{suffix}"] = round(cpu, 3)
    if result["litellm"]:
        mine, theirs = (result[name]["2kb"]["plain"]["rps"] for name in ("gateway", "litellm"))
        found["litellm_ratio"] = round(mine / theirs, 1) if theirs else None
    return found


HEAD = (
    f"{'target':<11} {'body':<6} {'mode':<11} {'+p50':>8} {'+p99':>8} {'+p50 c32':>9} "
    f"{'+p99 c32':>9} {'rps c32':>9} {'cpu us':>7} {'loop us':>7} {'RSS MB':>7} {'errors':>6}"
)


def row(name: str, case: Case, figures: dict[str, Any]) -> str:
    def ms(key: str, width: int) -> str:
        value = figures[key]
        return f"{'–':>{width}}" if value is None else f"{value:>{width}.3f}"

    rss = figures["rss_mb"]
    return (
        f"{name:<11} {SIZES[case.size]:<6} {case.mode:<11} {ms('added_p50_ms', 8)} "
        f"{ms('added_p99_ms', 8)} {ms('added_p50_ms_c32', 9)} {ms('added_p99_ms_c32', 9)} "
        f"{figures['rps']:>9,.0f} {figures['cpu_us'] or 0:>7.0f} "
        f"{figures['loop_cpu_us'] or 0:>7.0f} {rss or 0:>7.1f} "
        f"{figures['errors']:>6}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, help="not needed here: bodies are made")
    parser.add_argument("--perf", type=Path, default=ROOT.parent / "shared" / "perf")
    parser.add_argument("--seconds", type=float, default=2.0, help="of load per figure")
    parser.add_argument("--rounds", type=int, default=3, help="medians are over these")
    parser.add_argument("--memory", type=int, metavar="N", help="only memory, over N exchanges")
    parser.add_argument("--no-litellm", action="store_true", help="leave LiteLLM's proxy out")
    parser.add_argument("--quick", action="store_true", help="one short round of each")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="farthing-bench-") as folder:
        tools = build(args.perf, Path(folder))
        if tools is None:
            if args.json:
                print(json.dumps({"skipped": "the load tools are missing"}))
            return 0
        if args.memory:
            result = run_memory(tools, args.memory)
        else:
            print(HEAD)
            result = run_all(tools, args)
            for prefix in ("relay", "own_relay"):
                print(
                    f"{prefix} ratio at 2 KB: {result[f'{prefix}_ratio']} by rate, "
                    f"{result[f'{prefix}_cpu_ratio']} by the event loop's processor time; with the "
                    f"guard off {result[f'{prefix}_ratio_guard_off']} and "
                    f"{result[f'{prefix}_cpu_ratio_guard_off']}"
                )
    print(f"memory: {result['memory']}")
    if args.json:
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
