"""Parse, fingerprint and mark a body, beside decoding and encoding it with orjson.

    python benchmarks/wire.py [--json] [--rounds N] [--data DIR]

Per size, in one run and in turn: ``orjson.loads`` + ``orjson.dumps`` (what a gateway pays that
re-serialises), the same body read cold, as the next turn of a known conversation, and as the next
turn of a client that moves a mark of its own. Each of the last three is parse + fingerprint +
apply of four breakpoints. Medians over rounds; ratios are medians of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import orjson

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a program, from anywhere

from benchmarks.bodies import conversation, dump
from farthing.wire.apply import apply
from farthing.wire.edits import mark
from farthing.wire.fingerprint import Fingerprint, fingerprint
from farthing.wire.models import ModelTraits
from farthing.wire.request import Request

SIZES = {"2kb": 2_000, "100kb": 100_000, "1mb": 1_000_000}
TRAITS = ModelTraits(id="claude-opus-5-5")
Work = Callable[[], object]


def planned(request: Request, after: Fingerprint | None) -> bytes:
    """Fingerprint the request and put breakpoints where an agent's belong."""
    fingerprint(request, TRAITS, after=after)
    blocks = request.blocks
    places = (request.tools[-1], request.system[-1], blocks[-3], blocks[-1])
    marks = [mark(block.address) for block in places if block.cache_control is None]
    return apply(request, marks)


def works(size: int) -> dict[str, Work]:
    value = conversation(size)
    body = dump(value)
    before = value | {"messages": value["messages"][:-2]}
    moved = copy.deepcopy(before)
    moved["messages"][-1]["content"][-1]["cache_control"] = {"type": "ephemeral"}
    value["messages"][-1]["content"][-1]["cache_control"] = {"type": "ephemeral"}
    marked = dump(value)

    def known(previous: bytes) -> tuple[Request, Fingerprint]:
        request = Request.parse(previous)
        return request, fingerprint(request, TRAITS)

    last, last_marked = known(dump(before)), known(dump(moved))
    return {
        "orjson pair": lambda: orjson.dumps(orjson.loads(body)),
        "cold": lambda: planned(Request.parse(body), None),
        "next turn": lambda: planned(Request.parse(body, after=last[0]), last[1]),
        "next turn, mark moved": lambda: planned(
            Request.parse(marked, after=last_marked[0]), last_marked[1]
        ),
    }


def measure(jobs: dict[str, Work], rounds: int) -> dict[str, list[float]]:
    """Microseconds per job and round, the jobs in turn within each round."""
    samples: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            samples[name].append((time.perf_counter() - start) * 1e6)
    return samples


def hashes(rounds: int) -> dict[str, float]:
    """Microseconds to hash 1 MB in blocks of 4 KB: the choice behind ADR 0002."""
    blocks = [bytes([index % 256]) * 4_096 for index in range(244)]
    jobs: dict[str, Work] = {
        "sha256": lambda: [hashlib.sha256(block).digest() for block in blocks],
        "blake2b-16": lambda: [hashlib.blake2b(b, digest_size=16).digest() for b in blocks],
        "blake2b-16 keyed": lambda: [
            hashlib.blake2b(b, digest_size=16, key=b"k" * 32).digest() for b in blocks
        ],
        "sha3-256": lambda: [hashlib.sha3_256(block).digest() for block in blocks],
    }
    return {name: statistics.median(each) for name, each in measure(jobs, rounds).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="../shared/data", help="not needed here")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    options = parser.parse_args()

    figures: dict[str, float] = {}
    print(f"{'body':<8}{'work':<24}{'median us':>12}{'min us':>10}{'x pair':>9}")
    for label, size in SIZES.items():
        samples = measure(works(size), options.rounds)
        pair = samples["orjson pair"]
        for name, each in samples.items():
            ratio = statistics.median(a / b for a, b in zip(each, pair, strict=True))
            median = statistics.median(each)
            print(f"{label:<8}{name:<24}{median:>12.1f}{min(each):>10.1f}{ratio:>9.2f}")
            key = name.replace(", ", "_").replace(" ", "_")
            figures[f"{key}_us_{label}"] = round(median, 1)
            figures[f"{key}_ratio_{label}"] = round(ratio, 3)
    print("\nhash of 1 MB in blocks of 4 KB, us")
    for name, median in hashes(options.rounds).items():
        print(f"  {name:<20}{median:>10.1f}")
        figures[f"hash_{name.replace(' ', '_')}_us"] = round(median, 1)
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
