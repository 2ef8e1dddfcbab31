"""What a ledger costs: ``open()`` on the way of a call, rows per second, recovery after a crash.

    python benchmarks/ledger.py [--json] [--rows N] [--intents N] [--data DIR]

``open()`` is measured as shipped (journal line, queue) back to back and at a thousand a second,
and as one SQLite INSERT committed before the call goes on, which is what ADR 0013 rejected.
Recovery: a process opens N exchanges and is killed; the next one reads back and closes them.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a program, from anywhere

from farthing.core.records import RowFilter
from farthing.ledger import SqliteLedger
from farthing.ledger.applying import apply
from farthing.ledger.changes import Change
from farthing.ledger.database import open_writer
from farthing.ledger.hands import Writing
from tests.contract.exchanges import opened, settled

NOW = datetime(2026, 11, 21, 13, tzinfo=UTC)

CRASH = """
import os, pathlib, signal, sys
from farthing.ledger import SqliteLedger
from tests.contract.exchanges import opened
ledger = SqliteLedger(pathlib.Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    ledger.open(opened(f"x_{number:09d}"))
os.kill(os.getpid(), signal.SIGKILL)
"""


def microseconds(work: Callable[[int], None], count: int) -> dict[str, float]:
    """Percentiles of one call."""
    samples = list[float]()
    for number in range(count):
        start = time.perf_counter_ns()
        work(number)
        samples.append((time.perf_counter_ns() - start) / 1000)
    cuts = statistics.quantiles(samples, n=1000)
    return {"p50": statistics.median(samples), "p99": cuts[989], "p999": cuts[998]}


def journal_open(folder: Path, count: int) -> dict[str, float]:
    ledger = SqliteLedger(folder / "ledger.db")
    intents = [opened(f"x_{number:09d}") for number in range(count)]
    figures = microseconds(lambda number: ledger.open(intents[number]), count)
    ledger.close()
    return figures


def paced_open(folder: Path, count: int) -> dict[str, float]:
    """At a thousand a second, as a busy gateway would: between calls the writer has its turn."""
    ledger = SqliteLedger(folder / "ledger.db")
    intents = [opened(f"x_{number:09d}") for number in range(count)]
    samples = list[float]()
    for intent in intents:
        time.sleep(0.001)
        start = time.perf_counter_ns()
        ledger.open(intent)
        samples.append((time.perf_counter_ns() - start) / 1000)
    ledger.close()
    cuts = statistics.quantiles(samples, n=1000)
    return {"p50": statistics.median(samples), "p99": cuts[989], "p999": cuts[998]}


def sqlite_open(folder: Path, count: int) -> dict[str, float]:
    """The same intent as a row of its own, committed before the call goes on."""
    connection = open_writer(folder / "ledger.db")
    changes = [[Change(opened=opened(f"x_{number:09d}"))] for number in range(count)]
    figures = microseconds(lambda number: apply(connection, changes[number]), count)
    connection.close()
    return figures


def throughput(
    folder: Path, count: int, *, writing: Writing = "thread", name: str = ""
) -> dict[str, float]:
    """Exchanges recorded (opened and settled) until they are in the database."""
    ledger = SqliteLedger(folder / "ledger.db", writing=writing)
    pairs = [(opened(f"x_{n:09d}"), settled(f"x_{n:09d}")) for n in range(count)]
    start, busy = time.perf_counter(), time.process_time()
    for intent, ending in pairs:
        ledger.open(intent)
        ledger.settle(ending)
    recorded = time.perf_counter() - start
    ledger.flush(600)
    total, cpu = time.perf_counter() - start, time.process_time() - busy
    start = time.perf_counter()
    read = sum(1 for _ in ledger.rows(RowFilter()))
    reading = time.perf_counter() - start
    assert read == count
    ledger.close()
    size = (folder / "ledger.db").stat().st_size
    figures = {
        "recorded_rows_per_second": count / recorded,
        "rows_per_second": count / total,
        "cpu_us_per_row": cpu / count * 1e6,
        "read_rows_per_second": count / reading,
        "bytes_per_row": size / count,
    }
    return {f"{name}{figure}": value for figure, value in figures.items()}


def child_throughput(folder: Path, count: int) -> dict[str, float]:
    """The same with a child that writes; ``cpu_us_per_row`` is then without the child's."""
    return throughput(folder, count, writing="process", name="child_")


def recovery(folder: Path, count: int) -> dict[str, float]:
    database = folder / "ledger.db"
    root = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-c", CRASH, str(database), str(count)]
    done = subprocess.run(command, check=False, env=os.environ | {"PYTHONPATH": str(root)})
    assert done.returncode == -signal.SIGKILL, done.returncode
    start = time.perf_counter()
    ledger = SqliteLedger(database)
    opened_after = time.perf_counter() - start
    report = ledger.recover(NOW)
    recovered_after = time.perf_counter() - start
    ledger.flush(600)
    everything = time.perf_counter() - start
    assert report.unsettled == count, report.unsettled
    ledger.close()
    return {
        "recovery_start_seconds": opened_after,
        "recovery_recover_seconds": recovered_after - opened_after,
        "recovery_seconds": everything,
    }


def in_new_folder(work: Callable[[Path, int], dict[str, float]], count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        return work(Path(folder), count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="../shared/data", help="not needed here")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--intents", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    options = parser.parse_args()

    figures: dict[str, float] = {}
    jobs: dict[str, tuple[Callable[[Path, int], dict[str, float]], int]] = {
        "open": (journal_open, options.rows),
        "open at 1000/s": (paced_open, min(options.rows, 3_000)),
        "open as SQLite row": (sqlite_open, min(options.rows, 20_000)),
    }
    print(f"{'':<22}{'p50 us':>10}{'p99 us':>10}{'p99.9 us':>10}")
    for name, (work, count) in jobs.items():
        found = in_new_folder(work, count)
        print(f"{name:<22}" + "".join(f"{found[p]:>10.1f}" for p in ("p50", "p99", "p999")))
        key = name.replace(" ", "_").replace("/", "_per_")
        figures |= {f"{key}_us_{p}": round(value, 1) for p, value in found.items()}
    for work, count in (
        (throughput, options.rows),
        (child_throughput, options.rows),
        (recovery, options.intents),
    ):
        for name, value in in_new_folder(work, count).items():
            print(f"{name:<32}{value:>14,.2f}")
            figures[name] = round(value, 3)
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
