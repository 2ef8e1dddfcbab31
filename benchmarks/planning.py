"""What deciding costs on the next turn of a long conversation, beside the wire floor of this run.

    python benchmarks/planning.py [--turns N] [--json]

A coding agent's conversation of 400 KB goes on turn by turn, the client's own two marks moving with
it as those of Claude Code do, and without marks. Each turn goes through every step that an exchange
takes before it sends: parse, fingerprint, pin, breakpoints and lifetimes, planning, the edited body
and the start of the shadows; then its answer is told. *Wire floor*: parse, fingerprint and one
splice, each after the request before, with nothing decided. `answer` is what the end costs.

Memory per lineage is what `tracemalloc` counts while lineages of that size are added, divided.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # also as a script

from farthing.core.engine import Engine
from farthing.core.engine_setup import EngineSetup
from farthing.core.engine_values import Caller, EngineAnswer, EngineCall
from farthing.core.policy import policy_of
from farthing.core.records import Attribution
from farthing.pricing import catalog, price
from farthing.wire.apply import apply
from farthing.wire.edits import mark
from farthing.wire.fingerprint import fingerprint
from farthing.wire.request import Request

MODEL = "claude-opus-5-5"
START = datetime(2026, 11, 21, tzinfo=UTC)
FIGURES = (
    "next_turn_p50_ms",
    "next_turn_p99_ms",
    "wire_floor_p50_ms",
    "wire_floor_p99_ms",
    "unmarked_p50_ms",
    "unmarked_p99_ms",
    "answer_p50_ms",
    "kilobytes_per_lineage",
    "body_kilobytes",
)
_WORDS = "the agent reads a file edits one line runs all tests and looks at what failed".split()


def conversation(
    turns: int, *, is_marked: bool, kilobytes: int = 400, seed: int = 1
) -> Iterator[bytes]:
    """Bodies of ``turns`` turns of a conversation, of about this size on average."""
    rng = Random(seed)
    tools = [
        {
            "name": f"tool_{number}",
            "description": text(rng, 600),
            "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}},
        }
        for number in range(20)
    ]
    system = [block(text(rng, 12_000), is_marked=is_marked)]
    messages: list[dict[str, Any]] = [{"role": "user", "content": f"Task {seed}: make it work"}]
    size, per_turn = len(json.dumps([tools, system])), 2_000
    while size < kilobytes * 1_000 - turns * per_turn * 9 // 16:  # a turn's JSON is longer by 1/8
        added = turn(rng, len(messages), per_turn)
        messages += added
        size += len(json.dumps(added))
    for _ in range(turns):
        messages += turn(rng, len(messages), per_turn)
        sent = messages
        if is_marked:
            last = messages[-1]
            content = [{**last["content"][0], "cache_control": {"type": "ephemeral"}}]
            sent = [*messages[:-1], {**last, "content": content}]
        body = {"model": MODEL, "max_tokens": 8_000, "stream": True, "tools": tools}
        yield json.dumps({**body, "system": system, "messages": sent}).encode()


def turn(rng: Random, number: int, size: int) -> list[dict[str, Any]]:
    use = {"type": "tool_use", "id": f"toolu_{number}", "name": "tool_1", "input": {"path": "a.py"}}
    said = {"type": "text", "text": text(rng, size // 4)}
    result = {
        "type": "tool_result",
        "tool_use_id": f"toolu_{number}",
        "content": text(rng, size * 3 // 4),
    }
    return [
        {"role": "assistant", "content": [said, use]},
        {"role": "user", "content": [result]},
    ]


def block(said: str, *, is_marked: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "text", "text": said}
    return {**found, "cache_control": {"type": "ephemeral"}} if is_marked else found


def text(rng: Random, size: int) -> str:
    words: list[str] = []
    length = 0
    while length < size:
        words.append(rng.choice(_WORDS))
        length += len(words[-1]) + 1
    return " ".join(words)


def engine() -> Engine:
    return Engine(
        EngineSetup(
            policy=policy_of("safe"), engine_version="1", install_key=b"k", prices=catalog()
        )
    )


def caller(now: datetime, task: str = "t") -> Caller:
    return Caller(
        attribution=Attribution(
            task_id=task, root_task_id=task, key_scope="k", source="claude-code"
        ),
        key=None,
        levers=None,
        is_bypassed=False,
        is_subscription=False,
        now=now,
    )


def prepare(made: Engine, body: bytes, now: datetime, task: str = "t") -> EngineCall:
    """Every step before sending."""
    reading = made.read(body, {"x-claude-code-session-id": task})
    call = made.begin(reading, caller(now, task))
    assert call is not None
    wanted = made.choose(call, made.known_pin(call))
    if wanted is not None:
        made.kept(call, wanted)
    made.shape(call)
    made.accounts.began(call, now)
    return call


def answer(made: Engine, call: EngineCall, now: datetime) -> None:
    """What the provider would have said: the model's own forecast."""
    shadowed = call.shadowed
    assert shadowed is not None
    usage = shadowed.forecast.usage
    made.accounts.first_byte(call, now)
    told = EngineAnswer(
        usage=usage, cost=price(usage, call.card), card=call.card, stop_reason="tool_use"
    )
    made.ended(call, told, now)


def milliseconds(run: Callable[[], object]) -> float:
    start = time.perf_counter_ns()
    run()
    return (time.perf_counter_ns() - start) / 1e6


def through_engine(bodies: list[bytes], warm: int) -> tuple[list[float], list[float]]:
    made, now = engine(), START
    before: list[float] = []
    after: list[float] = []
    for body in bodies:
        now += timedelta(seconds=20)
        at = now
        start = time.perf_counter_ns()
        call = prepare(made, body, at)
        before.append((time.perf_counter_ns() - start) / 1e6)
        end = at + timedelta(seconds=2)
        start = time.perf_counter_ns()
        answer(made, call, end)
        after.append((time.perf_counter_ns() - start) / 1e6)
    return before[warm:], after[warm:]


def wire_floor(bodies: list[bytes], warm: int) -> list[float]:
    traits = catalog().traits(MODEL)
    assert traits is not None
    request, prompt = None, None
    found: list[float] = []
    for body in bodies:
        start = time.perf_counter_ns()
        request = Request.parse(body, after=request)
        prompt = fingerprint(request, traits, after=prompt)
        apply(request, [mark(request.blocks[-1].address)])
        found.append((time.perf_counter_ns() - start) / 1e6)
    return found[warm:]


def kilobytes_per_lineage(lineages: int = 12) -> float:
    bodies = [
        next(iter(conversation(1, is_marked=True, seed=100 + number))) for number in range(lineages)
    ]
    made = engine()
    prepare(made, bodies.pop(), START, "first")
    gc.collect()
    tracemalloc.start()
    for number in range(len(bodies)):
        answer(made, prepare(made, bytes(bytearray(bodies[number])), START, f"t{number}"), START)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / len(bodies) / 1_000


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure(turns: int) -> dict[str, float]:
    warm = max(5, turns // 10)
    marked = list(conversation(turns + warm, is_marked=True))
    unmarked = list(conversation(turns + warm, is_marked=False))
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)  # as the gateway does
    floor = wire_floor(marked, warm)
    before, after = through_engine(marked, warm)
    plain, _ = through_engine(unmarked, warm)
    return {
        "next_turn_p50_ms": quantile(before, 0.5),
        "next_turn_p99_ms": quantile(before, 0.99),
        "wire_floor_p50_ms": quantile(floor, 0.5),
        "wire_floor_p99_ms": quantile(floor, 0.99),
        "unmarked_p50_ms": quantile(plain, 0.5),
        "unmarked_p99_ms": quantile(plain, 0.99),
        "answer_p50_ms": quantile(after, 0.5),
        "kilobytes_per_lineage": kilobytes_per_lineage(),
        "body_kilobytes": statistics.mean(len(body) for body in marked) / 1_000,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--turns", type=int, default=100)
    parser.add_argument("--data", type=Path, help="not used: the conversation is made here")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    figures = {name: round(value, 3) for name, value in measure(args.turns).items()}
    for name in FIGURES:
        print(f"{name:24} {figures[name]:10.3f}")
    if args.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
