"""Parallel first calls on one cold prefix, with and without waiting for the first of them.

    python benchmarks/fanout.py [--calls 50] [--tokens 30000] [--scale 3] [--json]

Real processes and real concurrency: a client with as many streams as calls, the gateway with its
defaults, and the emulator on the machine's clock, whose answers begin after 0.5 s plus 60 µs for
each token that it does not read from its prompt cache.

- *at once*: all calls in the same moment; the client marks its system prompt, or marks nothing;
- *spread*: calls spread evenly over 0.5 to 60 s. Time is scaled (``--scale``: latencies and gaps
  are that much shorter, so the table says seconds of the unscaled world);
- *tree*: a head, five branches behind it and the calls behind those, all marked by the client.

``paid_share`` is what the calls paid for their input, by the usage in their answers and the
model's prices, over as many writes of the whole shared prefix. Reads cost a tenth on the model of
the first table; on today's Opus a twentieth. *Added* is the time to first token beside the same
calls without the lever, percentile by percentile. Figures: docs/design/fanout.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # also as a script

import aiohttp
import msgspec

from farthing.compose import running_gateway
from farthing.config import Settings
from farthing.lab.emulator import Settings as EmulatorSettings
from farthing.lab.emulator import emulator
from farthing.lab.emulator.latency import TYPICAL, LatencyProfile
from farthing.pricing import price, require_card
from farthing.wire.usage import Usage
from farthing.wire.usage_objects import usage_of

READS_AT_A_TENTH = "claude-opus-4-6"
READS_AT_A_TWENTIETH = "claude-opus-5-5"
SPREADS = (0.5, 2.0, 10.0, 60.0)
BRANCHES = 5
TRIES = 3
HEADERS = {"x-api-key": "sk-emu-default", "anthropic-version": "2023-06-01"}


@dataclass(frozen=True)
class Answer:
    """What one call saw."""

    usage: Usage
    first_token_seconds: float


@dataclass(frozen=True)
class Run:
    """Calls of one kind, through one door."""

    answers: Sequence[Answer]
    prefix_tokens: int
    model: str

    @property
    def paid_share(self) -> float:
        """Input paid, over as many writes of the prefix."""
        card = require_card(self.model, on=datetime.now(UTC).date())
        write = price(Usage(cache_write_5m=self.prefix_tokens), card).total
        paid = sum(
            price(msgspec.structs.replace(a.usage, output=0), card).total for a in self.answers
        )
        return paid / (len(self.answers) * write)

    @property
    def writes(self) -> int:
        """Calls that wrote half of the prefix or more."""
        half = self.prefix_tokens / 2
        return sum(a.usage.cache_write_5m + a.usage.cache_write_1h >= half for a in self.answers)

    def first_token(self, percentile: int) -> float:
        """Seconds."""
        times = sorted(answer.first_token_seconds for answer in self.answers)
        return statistics.quantiles(times, n=100, method="inclusive")[percentile - 1]


# -- processes ------------------------------------------------------------------------------------


def _emulate(pipe: Connection, latency: LatencyProfile) -> None:
    with emulator(EmulatorSettings(clock="real", latency=latency)) as running:
        pipe.send(running.url)
        pipe.recv()


def _serve(pipe: Connection, upstream: str, folder: str, levers_off: tuple[str, ...]) -> None:
    ledger = str(Path(folder) / f"ledger-{len(levers_off)}.db")
    settings = Settings(upstream=upstream, port=0, ledger=ledger, levers_off=levers_off)
    with running_gateway(settings) as running:
        pipe.send(running.url)
        pipe.recv()


@contextmanager
def process(target: Callable[..., None], *given: object) -> Iterator[str]:
    """A server in a process of its own; its URL."""
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=target, args=(theirs, *given))
    child.start()
    try:
        yield ours.recv()
    finally:
        ours.send("stop")
        child.join(30)


# -- calls ----------------------------------------------------------------------------------------


def text(name: str, tokens: int) -> str:
    """About so many tokens that nobody has sent before."""
    return " ".join(f"{name} {number:05d}" for number in range(tokens // 4))


def body(model: str, parts: Sequence[str], number: int, *, is_marked: bool) -> bytes:
    """A call: shared parts in the system prompt, and a question of its own."""
    mark = {"cache_control": {"type": "ephemeral"}} if is_marked else {}
    asked = {
        "model": model,
        "max_tokens": 64,
        "stream": True,
        "system": [{"type": "text", "text": part, **mark} for part in parts],
        "messages": [{"role": "user", "content": f"Question {number}?"}],
    }
    return json.dumps(asked).encode()


async def call(client: aiohttp.ClientSession, url: str, sent: bytes, delay: float) -> Answer:
    """One streamed call, after a while; a connection that went stale is tried again, as SDKs do."""
    await asyncio.sleep(delay)
    began = time.perf_counter()
    for _ in range(TRIES):
        async with client.post(f"{url}/v1/messages", data=sent, headers=HEADERS) as answer:
            if answer.status >= 500:
                continue
            answer.raise_for_status()
            async for line in answer.content:
                if line.startswith(b"data:") and b"message_start" in line:
                    took = time.perf_counter() - began
                    usage = usage_of(json.loads(line[5:])["message"])
                    await answer.content.read()
                    return Answer(usage, took)
    raise RuntimeError(f"{TRIES} tries, and no answer")


async def calls(url: str, bodies: Sequence[bytes], spread: float) -> list[Answer]:
    """All of them, spread evenly."""
    step = spread / max(1, len(bodies) - 1)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as client:
        jobs = (call(client, url, sent, n * step) for n, sent in enumerate(bodies))
        return list(await asyncio.gather(*jobs))


# -- cases ----------------------------------------------------------------------------------------


@dataclass
class Doors:
    """Where to call, with the lever and without; each case has a prefix of its own."""

    with_lever: str
    without: str
    calls: int
    tokens: int
    cases: int = 0

    def both(
        self, model: str, *, is_marked: bool = True, spread: float = 0.0, branches: int = 0
    ) -> tuple[Run, Run]:
        """Without the lever, and with it."""
        return (
            self._run(self.without, model, is_marked, spread, branches),
            self._run(self.with_lever, model, is_marked, spread, branches),
        )

    def _run(self, url: str, model: str, is_marked: bool, spread: float, branches: int) -> Run:
        self.cases += 1
        name = f"case{self.cases}"
        bodies = []
        for number in range(self.calls):
            parts = [text(name, self.tokens)]
            if branches:
                head, below = text(name, self.tokens // 2), f"{name}b{number % branches}"
                parts = [head, text(below, self.tokens // 2)]
            bodies.append(body(model, parts, number, is_marked=is_marked))
        answers = asyncio.run(calls(url, bodies, spread))
        first = answers[0].usage
        return Run(answers, first.cache_read + first.cache_write_5m + first.cache_write_1h, model)


def row(name: str, runs: tuple[Run, Run], scale: float) -> dict[str, Any]:
    """One line of the table, in seconds of the unscaled world."""
    without, waiting = runs
    shown: dict[str, Any] = {
        "case": name,
        "prefix_tokens": waiting.prefix_tokens,
        "paid_share_without": round(without.paid_share, 4),
        "paid_share": round(waiting.paid_share, 4),
        "writes_without": without.writes,
        "writes": waiting.writes,
    }
    for percentile in (50, 99):
        before, after = (run.first_token(percentile) * scale for run in runs)
        shown[f"ttft_p{percentile}_without"] = round(before, 3)
        shown[f"ttft_p{percentile}"] = round(after, 3)
        shown[f"added_p{percentile}"] = round(after - before, 3)
    return shown


@contextmanager
def doors(options: argparse.Namespace, scale: float) -> Iterator[Doors]:
    """Emulator and both gateways, whose answers take their time divided by ``scale``."""
    latency = LatencyProfile(
        base_seconds=TYPICAL.base_seconds / scale,
        seconds_per_uncached_token=TYPICAL.seconds_per_uncached_token / scale,
        seconds_per_cached_token=TYPICAL.seconds_per_cached_token / scale,
    )
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        upstream = stack.enter_context(process(_emulate, latency))
        with_lever = stack.enter_context(process(_serve, upstream, folder, ()))
        off = ("cache.fanout",)
        without = stack.enter_context(process(_serve, upstream, folder, off))
        yield Doors(with_lever, without, options.calls, options.tokens)


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """All cases."""
    found = []
    with doors(options, 1.0) as real:
        for name, model, is_marked in (
            ("at once, client marks", READS_AT_A_TENTH, True),
            ("at once, client marks nothing", READS_AT_A_TENTH, False),
            ("at once, reads at 0.05", READS_AT_A_TWENTIETH, True),
        ):
            found.append(row(name, real.both(model, is_marked=is_marked), 1.0))
        tree = real.both(READS_AT_A_TENTH, branches=BRANCHES)
        found.append(row(f"tree, {BRANCHES} branches", tree, 1.0))
    with doors(options, options.scale) as scaled:
        for spread in SPREADS:
            runs = scaled.both(READS_AT_A_TENTH, spread=spread / options.scale)
            found.append(row(f"spread over {spread:g} s", runs, options.scale))
    return found


def show(rows: Sequence[dict[str, Any]]) -> None:
    columns = [name for name in rows[0] if name != "case"]
    print(f"{'':30}" + "".join(f"{name.replace('_without', '*'):>18}" for name in columns))
    for each in rows:
        print(f"{each['case']:30}" + "".join(f"{each[name]:>18}" for name in columns))
    print("* without the lever")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--tokens", type=int, default=30_000)
    parser.add_argument("--scale", type=float, default=3.0)
    parser.add_argument("--data", type=Path, help="not used: the calls are made here")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = measure(options)
    show(rows)
    if options.json:
        first = rows[0]
        figures = {
            "paid_share": first["paid_share"],
            "paid_share_without": first["paid_share_without"],
            "added_ttft_p50_seconds": first["added_p50"],
            "added_ttft_p99_seconds": first["added_p99"],
            "rows": rows,
        }
        print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
