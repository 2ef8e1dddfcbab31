"""How fast a replay by simulation is: the recorded conversations under every policy, one core.

    python benchmarks/replay.py [--data DIR] [--json]

Timed is all of it, as ``farthing replay`` does it: reading the file, laying out the requests, and
the three policies one after the other; processor seconds, the best of three runs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # also as a script

from benchmarks.required import DATA, require_data
from farthing.lab.replay import POLICIES, Options, read_turns, replay, simulate
from farthing.pricing import catalog
from farthing.traces.importing import Import, import_paths

MAIN = "traces/claude-code-main.jsonl.gz"
RUNS = 3


def time_whole(path: Path) -> tuple[float, dict[str, float]]:
    """Seconds of one whole replay, and what it found."""
    began = time.process_time()
    conversations = list(import_paths([path], Import()))
    document = replay(conversations, list(POLICIES.values()), catalog(), options=Options())
    seconds = time.process_time() - began
    costs = {each["policy"]: float(each["input_usd"]) for each in document["policies"]}
    found = {"conversations": document["conversations"], "calls": document["calls"]}
    found["recorded_breaks"] = document["recorded_breaks"]
    found["billed_then_input_usd"] = float(document["recorded"]["input_usd"])
    return seconds, found | {f"{name}_input_usd": usd for name, usd in costs.items()}


def time_parts(path: Path) -> dict[str, float]:
    """Seconds of each step alone."""
    marks = [time.process_time()]
    conversations = list(import_paths([path], Import()))
    marks.append(time.process_time())
    turns = read_turns(conversations)
    for policy in POLICIES.values():
        marks.append(time.process_time())
        sum(1 for _ in simulate(turns, policy))
    marks.append(time.process_time())
    names = ["read file", "lay out requests", *(f"simulate {name}" for name in POLICIES)]
    return {name: marks[at + 1] - marks[at] for at, name in enumerate(names)}


def main() -> None:
    """Parse arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--json", action="store_true", help="figures as the last line")
    arguments = parser.parse_args()
    path = require_data(arguments.data / MAIN)
    runs = [time_whole(path) for _ in range(RUNS)]
    seconds, found = min(runs, key=lambda run: run[0])
    print(f"{'step':28}{'seconds':>10}")
    for name, part in time_parts(path).items():
        print(f"{name:28}{part:>10.2f}")
    print(f"{'everything, with bills':28}{seconds:>10.2f}   (limit 5)\n")
    for name, value in found.items():
        print(f"{name:28}{value:>10,.2f}")
    if arguments.json:
        print(json.dumps({"seconds": seconds, **found, "on": date.today().isoformat()}))


class _Raw(argparse.RawDescriptionHelpFormatter):
    """Keeps the command line in the docstring on its own line."""


if __name__ == "__main__":
    main()
