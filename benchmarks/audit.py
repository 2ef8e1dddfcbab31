"""How fast and how flat the audit reads raw transcripts: one core, a folder of any size.

    python benchmarks/audit.py                    # 300 MB
    python benchmarks/audit.py --megabytes 2048   # the two-gigabyte folder

Recorded transcripts (``--data``, or a generated one where there is none) are copied with fresh
message ids, sessions and folders into a temporary folder until it has the size; so nothing is a
duplicate. The audit runs in a process of its own, which reports its own time and peak memory.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # also as a script

from benchmarks.required import DATA

MEGABYTE = 1_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure is not None:
        print(json.dumps(measure(args.measure)))
        return 0
    report(bench(args.data, args.megabytes, args.rounds), as_json=args.json)
    return 0


def bench(data: Path, megabytes: int, rounds: int) -> dict[str, object]:
    seeds, source = load_seeds(data)
    with tempfile.TemporaryDirectory(prefix="farthing-audit-") as folder:
        small = fill(Path(folder, "small"), seeds, 20 * MEGABYTE)
        large = fill(Path(folder, "large"), seeds, megabytes * MEGABYTE)
        base = run(small)
        runs = [run(large) for _ in range(rounds)]
    best = min(runs, key=lambda found: found["seconds"])
    return {
        "mb_per_s": round(best["bytes"] / MEGABYTE / best["seconds"], 1),
        "mb_per_s_worst": round(
            min(found["bytes"] / MEGABYTE / found["seconds"] for found in runs), 1
        ),
        "mb_per_cpu_s": round(best["bytes"] / MEGABYTE / best["cpu_seconds"], 1),
        "peak_rss_mb": max(found["peak_rss_mb"] for found in runs),
        "peak_rss_mb_at_20_mb": base["peak_rss_mb"],
        "megabytes": round(best["bytes"] / MEGABYTE),
        "files": best["files"],
        "calls": best["calls"],
        "seconds": round(best["seconds"], 3),
        "transcripts": source,
    }


def load_seeds(data: Path) -> tuple[list[bytes], str]:
    found = sorted(data.glob("claude-code/*.jsonl.gz"))
    if found:
        return [gzip.decompress(path.read_bytes()) for path in found], "recorded"
    return [generated_transcript()], "generated"


def generated_transcript(turns: int = 150) -> bytes:
    """A session that reads and edits: shaped like recorded ones, about 1 MB."""
    start, lines, prompt = datetime(2026, 10, 1, 9, tzinfo=UTC), [], 40_000
    for turn in range(turns):
        at = (start + timedelta(seconds=20 * turn)).isoformat()
        common = {"sessionId": "s", "cwd": "/w", "version": "2.1.300", "timestamp": at}
        result = {"type": "tool_result", "tool_use_id": f"toolu_{turn}", "content": "text " * 600}
        user = {"role": "user", "content": [result]}
        lines.append({"type": "user", **common, "message": user, "toolUseResult": result})
        usage = {
            "input_tokens": 5,
            "cache_creation_input_tokens": 1000,
            "cache_read_input_tokens": prompt,
            "output_tokens": 200,
        }
        use = {"type": "tool_use", "id": f"toolu_{turn + 1}", "name": "Read", "input": {}}
        for block in ({"type": "text", "text": "I look at it."}, use):
            message = {
                "id": f"msg_{turn:06}",
                "role": "assistant",
                "model": "claude-opus-4-8",
                "content": [block],
                "usage": usage,
            }
            lines.append({"type": "assistant", **common, "message": message})
        prompt += 1000
    return b"\n".join(json.dumps(line, separators=(",", ":")).encode() for line in lines) + b"\n"


def fill(folder: Path, seeds: list[bytes], size: int) -> Path:
    written = copy = 0
    while written < size:
        for number, seed in enumerate(seeds):
            if written >= size:
                break
            project = folder / f"-home-dev-project-{copy % 40}"
            project.mkdir(parents=True, exist_ok=True)
            fresh = seed.replace(b'"id":"msg_', b'"id":"msg_%05d' % copy)
            (project / f"{copy:06}-{number:04}.jsonl").write_bytes(fresh)
            written += len(fresh)
        copy += 1
    return folder


def run(folder: Path) -> dict[str, float]:
    command = [sys.executable, str(Path(__file__).resolve()), "--measure", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(folder: Path) -> dict[str, float]:
    from farthing.pricing import catalog
    from farthing.traces.audit import Audit, build_document
    from farthing.traces.importing import Import, import_paths

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    started, cpu_started = time.perf_counter(), time.process_time()
    audit, imported = Audit(catalog()), Import()
    for conversation in import_paths([folder], imported):
        audit.add(conversation)
    document = build_document(audit, imported)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu_started,
        "bytes": imported.bytes_read,
        "files": len(imported.files),
        "calls": document["totals"]["calls"],
        "peak_rss_mb": round(peak * (1 if sys.platform == "darwin" else 1024) / MEGABYTE, 1),
    }


def report(figures: dict[str, object], *, as_json: bool) -> None:
    for name, value in figures.items():
        print(f"{name:<24} {value}")
    if as_json:
        print(json.dumps(figures))


if __name__ == "__main__":
    raise SystemExit(main())
