"""Counts prefix flips over recorded conversations while everything around them changes.

    python benchmarks/flips.py [--data DIR] [--conversations N] [--json]

Each request of a conversation goes to one of two replicas at random. In mid-conversation, replicas
restart, get another policy (repairs switched on and off) or another engine version. A *flip* is a
call whose prompt, as it leaves, does not continue the one that left before, although the client's
own does. A flip at an epoch (nothing was cached any more, and no thinking is bound) is planned;
every other one is not. The same run without pins, each replica doing what its policy says now, is
the control: it shows how many flips there are to be avoided.

The traces are those of coding agents and service agents; what the trace does not hold is put in
for each conversation: an order of tools, and a system line with a date and a user. Two pins that
are lost by accident are simulated as well: the row is deleted in mid-conversation.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # also as a script

from benchmarks.required import DATA, require_data
from farthing.core.pins import LineagePin, RepairChoice, decide, occasion_of
from farthing.core.policy import Policy, policy_of
from farthing.core.prefix import LIFETIMES
from farthing.core.repairs import repair
from farthing.ledger.pins import SqlitePins
from farthing.pricing import traits
from farthing.traces.format import Conversation, is_billed
from farthing.traces.importing import Import, import_paths
from farthing.wire.fingerprint import Fingerprint, fingerprint
from farthing.wire.request import Request

TRACES = ("claude-code-main", "claude-code-subagents", "tau2-bench", "swe-bench-mini")
#: binds thinking to its prefix, and takes system messages
MODEL = "claude-opus-5-5"
MOST_CALLS = 30
FIGURES = (
    "unplanned_flips",
    "planned_flips",
    "flips_after_lost_pin",
    "flips_without_pins",
    "conversations",
    "calls",
    "continuing_calls",
    "repaired_calls",
    "lost_pins",
    "restart_events",
    "policy_events",
    "version_events",
)
EPOCH = datetime(2026, 11, 1, tzinfo=UTC)
POLICIES = (
    policy_of("safe"),
    policy_of("balanced"),
    policy_of("safe", on=["repair.tools_order"]),
    policy_of("safe", on=["repair.volatile_system"], off=["cache.ttl"]),
)


@dataclass(slots=True)
class Replica:
    """One gateway: a connection of its own, a policy and a version that change under it."""

    path: Path
    policy: Policy = POLICIES[0]
    version: int = 1
    pins: SqlitePins = field(init=False)

    def __post_init__(self) -> None:
        self.pins = SqlitePins(self.path)

    def disturb(self, rng: random.Random) -> str | None:
        """What happens to it before the next request, if anything does."""
        event = rng.choices(["restart", "policy", "version", None], [5, 10, 3, 82])[0]
        if event == "restart":
            self.pins.close()
            self.pins = SqlitePins(self.path)
        elif event == "policy":
            self.policy = rng.choice(POLICIES)
        elif event == "version":
            self.version += 1
        return event

    def proposed(self, lineage_id: str, now: datetime) -> LineagePin:
        """What this replica would choose now."""
        levers = self.policy.in_force().levers
        return LineagePin(
            lineage_id=lineage_id,
            ttl_head="1h" if "cache.ttl" in levers else None,
            ttl_tail="5m",
            repairs=tuple(
                RepairChoice(lever=lever, place="head")
                for lever in sorted(levers)
                if lever.startswith("repair.")
            ),
            policy_digest=self.policy.digest,
            engine_version=str(self.version),
            chosen_at=now,
        )


@dataclass(slots=True)
class Lineage:
    """One conversation under way, as it came and as it left."""

    came: Fingerprint | None = None
    left: Fingerprint | None = None
    uncontrolled: Fingerprint | None = None
    last_at: datetime | None = None


def requests(conversation: Conversation, rng: random.Random) -> Iterator[tuple[float, Request]]:
    """The requests of one conversation with their seconds, as its client would send them."""
    tools: list[Any] = json.loads(bytes(conversation.tools) or b"[]")
    rng.shuffle(tools)
    system = json.loads(bytes(conversation.system) or b'""')
    rules = system if isinstance(system, str) else "\n".join(part["text"] for part in system)
    line = f"Today is 2026-11-{rng.randint(1, 28):02}.\nUser: u{rng.randint(0, 999)}"
    head = {"model": MODEL, "max_tokens": 1, "system": f"You are an agent.\n{line}\n{rules}"}
    calls = [call for call in conversation.calls if is_billed(call) and call.prompt_messages]
    before: Request | None = None
    for number, call in enumerate(calls[:MOST_CALLS]):
        messages = b",".join(
            b'{"role":%b,"content":%b}' % (json.dumps(each.role).encode(), bytes(each.content))
            for each in conversation.messages[: call.prompt_messages]
        )
        body = json.dumps({**head, "tools": tools} if tools else head).encode()[:-1]
        before = Request.parse(body + b',"messages":[%b]}' % messages, after=before)
        yield (10.0 * number if call.at is None else call.at), before


def run(conversations: Iterator[Conversation], folder: Path, seed: int = 1) -> Counter[str]:
    """All conversations, one after the other; what was counted."""
    rng = random.Random(seed)
    path = folder / "ledger.db"
    replicas = [Replica(path), Replica(path)]
    counted: Counter[str] = Counter()
    for conversation in conversations:
        counted["conversations"] += 1
        lineage = Lineage()
        for seconds, request in requests(conversation, rng):
            for each in replicas:
                counted[f"{each.disturb(rng) or 'no'}_events"] += 1
            if rng.random() < 0.01:
                lose(path, conversation.id)
                counted["lost_pins"] += 1
            now = EPOCH + timedelta(seconds=seconds)
            serve(lineage, conversation.id, request, rng.choice(replicas), now, counted)
    for each in replicas:
        each.pins.close()
    return counted


def lose(path: Path, lineage_id: str) -> None:
    """The ledger forgets a pin."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("DELETE FROM lineage_pins WHERE lineage_id = ?", (lineage_id,))
    connection.close()


def serve(
    lineage: Lineage,
    lineage_id: str,
    request: Request,
    replica: Replica,
    now: datetime,
    counted: Counter[str],
) -> None:
    """One request through a replica, and once more without pins."""
    known = traits(MODEL)
    assert known is not None
    is_cold = lineage.last_at is None or now - lineage.last_at >= LIFETIMES["1h"]
    proposed = replica.proposed(lineage_id, now)
    kept = replica.pins.pin(lineage_id, now)
    decision = decide(kept, proposed, occasion_of(request, known, is_cold=is_cold))
    if decision.is_new:
        decision = decision.settled(replica.pins.keep(decision.pin, now))
    came = fingerprint(request, known, after=lineage.came)
    left = fingerprint(repair(request, known, decision.pin.repairs).request, known)
    uncontrolled = fingerprint(repair(request, known, proposed.repairs).request, known)
    counted["calls"] += 1
    counted["repaired_calls"] += bool(decision.pin.repairs)
    if lineage.came is not None and continues(lineage.came, came):
        counted["continuing_calls"] += 1
        if not continues(lineage.left, left):
            is_planned = decision.is_new and decision.pin.epoch > 0
            lost = "flips_after_lost_pin" if decision.is_lost else "unplanned_flips"
            counted["planned_flips" if is_planned else lost] += 1
        counted["flips_without_pins"] += not continues(lineage.uncontrolled, uncontrolled)
    lineage.came, lineage.left, lineage.uncontrolled = came, left, uncontrolled
    lineage.last_at = now


def continues(before: Fingerprint | None, now: Fingerprint) -> bool:
    """Does a prompt go on where the one before ended?"""
    return before is None or now.digests[: len(before.digests)] == before.digests


def main() -> None:
    """Parse arguments, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--conversations", type=int, default=60, help="of each trace")
    parser.add_argument("--json", action="store_true", help="figures as the last line")
    arguments = parser.parse_args()
    total: Counter[str] = Counter()
    for name in TRACES:
        path = arguments.data / "traces" / f"{name}.jsonl.gz"
        require_data(path)
        with tempfile.TemporaryDirectory() as folder:
            found = islice(import_paths([path], Import()), arguments.conversations)
            counted = run(found, Path(folder))
        total += counted
        print(
            f"{name:24} {counted['conversations']:4} conversations {counted['calls']:6,} calls "
            f"{counted['repaired_calls']:6,} repaired  unplanned flips "
            f"{counted['unplanned_flips']:3}  planned {counted['planned_flips']:3}  "
            f"after a lost pin {counted['flips_after_lost_pin']:3}  "
            f"without pins {counted['flips_without_pins']:5,}"
        )
    figures = {name: total[name] for name in FIGURES}
    print()
    for name, value in figures.items():
        print(f"{name:24}{value:>10,}")
    if arguments.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
