"""A process that works on a ledger until it is killed; says on standard output what was done.

Each line is written after the call it speaks of has returned: ``o ID`` opened, ``s ID`` settled.
Exchanges overlap; some stay open for long, some are tried twice, some end as intervals.
"""

from __future__ import annotations

import os
import random
import sys
from datetime import UTC, datetime
from pathlib import Path

from farthing.core.records import Held
from farthing.ledger import SqliteLedger
from tests.contract.exchanges import failed, held, settled, unsettled

CAP = 10**18
AMOUNT = 100
NOW = datetime(2026, 11, 21, 13, tzinfo=UTC)


def say(text: str) -> None:
    os.write(1, text.encode("ascii") + b"\n")


def main() -> None:
    folder, life, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    ledger = SqliteLedger(
        folder / "ledger.db",
        gather_seconds=0.002,
        segment_bytes=40_000,  # small, so that the kill often falls into a rotation
        writing="process" if sys.argv[4] == "process" else "thread",
    )
    ledger.recover(NOW)
    dice = random.Random(seed)
    in_flight = list[str]()
    say("ready")
    for number in range(10**9):
        name = f"x-{life}-{number}"
        reservation = ledger.hold(f"task:{life}", AMOUNT, CAP, reservation_id=f"r-{name}", now=NOW)
        assert isinstance(reservation, Held)
        ledger.open(held(name, amount=AMOUNT, scope=f"task:{life}"))
        say(f"o {name}")
        in_flight.append(name)
        while len(in_flight) > dice.randrange(1, 20):
            end(ledger, in_flight.pop(dice.randrange(len(in_flight))), dice, life)


def end(ledger: SqliteLedger, name: str, dice: random.Random, life: str) -> None:
    match dice.randrange(10):
        case 0:
            ledger.settle(unsettled(name, low=1, high=AMOUNT))
        case 1:
            ledger.settle(failed(name))
            ledger.open(held(name, amount=AMOUNT, scope=f"task:{life}", attempt=2))
            ledger.settle(settled(name, attempts=2))
        case _:
            ledger.settle(settled(name))
            ledger.settle(settled(name))
    say(f"s {name}")


if __name__ == "__main__":
    main()
