"""Is the ledger the invoice? A mixed load with faults and a killed gateway, priced a second time.

    python benchmarks/ledger_exact.py [--json] [--exchanges N] [--seed N] [--concurrency N]

Clients, the real gateway (``farthing serve``) and the emulator are three processes over HTTP. Half
way the gateway is killed (``kill -9``) and started again on the same ledger; clients try again as
the SDKs do. Then the emulator's own books, priced by a table that shares nothing with farthing, are
held against the ledger's rows, to 10⁻¹² USD. Nothing here is timed but the whole.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a program, from anywhere

from benchmarks.ledger_exact_calls import KINDS, jobs
from benchmarks.ledger_exact_client import Load, drive
from benchmarks.ledger_exact_compare import Comparison, Tally, compare, read_books, read_rows

__all__ = ["Outcome", "Plan", "run"]

ROOT = Path(__file__).resolve().parent.parent

_GATEWAY = "from farthing.cli.main import main; raise SystemExit(main())"
_EMULATOR = (
    "import sys; from benchmarks.ledger_exact_emulator import serve; "
    "serve(sys.argv[1], int(sys.argv[2]))"
)
_STOP_SECONDS = 60
#: a run that takes longer hangs
_SECONDS_EACH = 0.1


@dataclass(slots=True)
class Outcome:
    """A run and what came of it."""

    exchanges: int
    kills: int
    seconds: float
    comparison: Comparison
    seen: dict[str, int]

    def figures(self) -> dict[str, Any]:
        """What a machine reads."""
        found = self.comparison
        return {
            "exchanges": self.exchanges,
            "served": found.served,
            "kills": self.kills,
            "residual_picousd": found.residual_pico,
            "lost": found.lost,
            "doubled": found.doubled,
            "unsettled": sum(tally.unsettled for tally in found.kinds.values()),
            "unsettled_outside_interval": found.outside,
            "still_held": found.open_rows,
            "seen_but_unsettled": found.seen_unsettled,
            "misquoted": found.misquoted,
            "seconds": round(self.seconds, 1),
        }


@dataclass(slots=True)
class _Gateway:
    """The gateway as a process, on one port and one ledger."""

    folder: Path
    port: int
    upstream: str
    cache: str
    process: subprocess.Popen[str] | None = None
    kills: int = field(default=0)

    def start(self) -> None:
        words = ["serve", "--port", str(self.port), "--upstream", self.upstream]
        words += ["--ledger", str(self.folder / "ledger.db"), "--log-level", "error"]
        words += ["--cache", self.cache]
        with (self.folder / "gateway.log").open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _GATEWAY, *words],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=_environment(self.folder),
            )
        _await_line(self.process, "export")

    def kill(self) -> None:
        """What the kernel does to a process that has no memory left."""
        assert self.process is not None
        self.process.kill()
        self.process.communicate()
        self.kills += 1

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            _stop(self.process)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is made of."""

    exchanges: int
    concurrency: int = 32
    kills: int = 1
    seed: int = 0
    #: of the load; none: all
    kinds: tuple[str, ...] = ()
    #: share of calls that go wrong; None: five in a hundred, a few kinds more
    faulty: float | None = None
    #: the gateway's one lever
    cache: str = "off"


def run(plan: Plan, folder: Path) -> Outcome:
    """One run, compared; ledger, books and log are left in ``folder``."""
    started = time.perf_counter()
    with _emulator(folder) as upstream:
        gateway = _Gateway(folder, _free_port(), upstream, plan.cache)
        gateway.start()
        try:
            load = Load(f"http://127.0.0.1:{gateway.port}")
            asyncio.run(_drive(load, gateway, plan))
        finally:
            gateway.stop()
    found = compare(
        read_books(folder / "emulator.jsonl"),
        read_rows(folder / "ledger.db"),
        load.batches,
        load.whole,
    )
    return Outcome(load.done, gateway.kills, time.perf_counter() - started, found, dict(load.seen))


async def _drive(load: Load, gateway: _Gateway, plan: Plan) -> None:
    work = jobs(plan.exchanges, plan.seed, plan.kinds, plan.faulty)
    within = _SECONDS_EACH * plan.exchanges + _STOP_SECONDS
    driving = asyncio.wait_for(drive(load, work, plan.concurrency), within)
    clients = asyncio.create_task(driving)
    for number in range(1, plan.kills + 1):
        await _reached(load, plan.exchanges * number // (plan.kills + 1), clients)
        if not clients.done():
            await asyncio.to_thread(gateway.kill)
            await asyncio.to_thread(gateway.start)
    await clients


async def _reached(load: Load, count: int, clients: asyncio.Task[None]) -> None:
    while load.done < count and not clients.done():
        load.progress.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(load.progress.wait(), 1)


@contextmanager
def _emulator(folder: Path) -> Iterator[str]:
    port = _free_port()
    command = [sys.executable, "-c", _EMULATOR, str(folder / "emulator.jsonl"), str(port)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=_environment(folder)
    )
    try:
        _await_line(process, "ready")
        yield f"http://127.0.0.1:{port}"
    finally:
        _stop(process)


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("FARTHING_")}
    return {**kept, "HOME": str(folder), "NO_PROXY": "127.0.0.1"}


def _await_line(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    if word not in line:
        raise RuntimeError(f"a server did not start; it said {line!r}")


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.communicate(timeout=_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _print(outcome: Outcome) -> None:
    print("settled rows in USD beside the bill; unsettled ones as low <= billed <= high, in USD\n")
    print(
        f"{'kind':<11}{'rows':>6}{'settled':>8}{'billed':>11}{'ledger':>11}{'x10^-12 off':>12}",
        end="",
    )
    print(f"{'unsettled':>10}{'low':>9}{'billed':>9}{'high':>10}")
    for kind, tally in sorted(outcome.comparison.kinds.items()):
        print(_line(kind, tally))
    print("\nclients saw: " + ", ".join(f"{k} x{n}" for k, n in sorted(outcome.seen.items())))
    for name, value in outcome.figures().items():
        print(f"{name:<28}{value:>12}")
    for what, texts in outcome.comparison.examples.items():
        for text in texts:
            print(f"! {what}: {text}")


def _line(kind: str, tally: Tally) -> str:
    settled = (
        f"{kind:<11}{tally.rows:>6}{tally.settled:>8}{tally.billed_pico / 1e12:>11.5f}"
        f"{tally.booked_pico / 1e12:>11.5f}{tally.booked_pico - tally.billed_pico:>12}"
    )
    parts = (tally.low_pico, tally.open_pico, tally.high_pico)
    low, billed, high = (amount / 1e12 for amount in parts)
    return f"{settled}{tally.unsettled:>10}{low:>9.4f}{billed:>9.4f}{high:>10.2f}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--exchanges", type=int, default=5_000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--kills", type=int, default=1, help="how often the gateway is killed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=(), help="default: all")
    parser.add_argument("--faulty", type=float, help="share of calls that go wrong, such as 0.5")
    parser.add_argument("--cache", choices=("off", "auto"), default="off", help="the one lever")
    parser.add_argument("--data", type=Path, help="not used: the load is made here")
    parser.add_argument("--keep", type=Path, help="leave ledger, books and log in this folder")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        plan = Plan(
            exchanges=args.exchanges,
            concurrency=args.concurrency,
            kills=args.kills,
            seed=args.seed,
            kinds=tuple(args.kinds),
            faulty=args.faulty,
            cache=args.cache,
        )
        outcome = run(plan, folder)
    _print(outcome)
    if args.json:
        print(json.dumps(outcome.figures()))


if __name__ == "__main__":
    main()
