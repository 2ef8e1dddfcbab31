"""How well loops are told from work that only looks like one, and what that costs per turn.

    python benchmarks/guard_loops.py [--data DIR] [--each 60] [--seed 29] [--json]

Three sets. *Inserted*: seeded loops and seeded look-alikes behind recorded beginnings
(``benchmarks/loop_cases.py``), ``--each`` of a class. *Real*: every recorded conversation; what
fires there was read and judged one by one (``benchmarks/loop_labels.json``, ``reviewed``); what was
not reviewed and fires counts as false. *Blind*: 100 windows drawn and labelled before any detector
ran. Who labelled is in that file.

A case counts as found if anything is told (alert or more) inside it; a *false stop* is a refusal in
a conversation that was not futile. Precision and recall are over inserted and real cases together;
real conversations that fire and are judged futile count as found. Loops that nobody noticed in real
conversations cannot be counted: recall rests on the insertions. Beside it: naive counting of equal
calls (name and arguments, three in a row), of equal tools (five in a row), and the F1 of 0.72 that
arXiv 2511.10650 reports, for other trajectories. `detect_us` is the mean over all next turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import defaultdict
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # also as a script

from benchmarks.loop_cases import CLASSES, Messages, Writer, load, make_cases
from benchmarks.required import DATA, require_data
from farthing.core.loop_guard import LoopGuard
from farthing.core.loop_ladder import LoopLadder
from farthing.core.loop_values import LoopDecision, LoopPolicy
from farthing.pricing import catalog, price, show_usd
from farthing.wire.request import Request
from farthing.wire.usage import Usage

__all__ = ["bench", "clopper_pearson", "decisions", "main", "runaway", "show"]

LABELS = Path(__file__).with_name("loop_labels.json")
PUBLISHED_F1 = 0.72


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--each", type=int, default=60)
    parser.add_argument("--seed", type=int, default=29)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    require_data(args.data / "traces")
    figures = bench(args.data, each=args.each, seed=args.seed)
    show(figures)
    if args.json:
        print(json.dumps(figures))
    return 0


def bench(data: Path, *, each: int, seed: int) -> dict[str, Any]:
    labels = json.loads(LABELS.read_text(encoding="utf-8"))
    reviewed = {row["id"]: row["label"] for row in labels["reviewed"]}
    rows = list(load(data))
    classes, totals = _inserted([messages for _, _, messages in rows], each=each, seed=seed)
    real = _real(rows, reviewed)
    for name in ("guard", "same_call", "same_tool"):
        totals[name]["tp"] += real[name]["tp"]
        totals[name]["fp"] += real[name]["fp"]
        totals[name]["fn"] += real[name]["fn"]
    scores = {name: _score(totals[name]) for name in totals}
    stops, count = real["false_stops"], len(rows)
    return {
        "loop_precision": scores["guard"]["precision"],
        "loop_recall": scores["guard"]["recall"],
        "loop_f1": scores["guard"]["f1"],
        "false_stops_real": stops,
        "real_conversations": count,
        "false_stops_interval_95": [round(x, 5) for x in clopper_pearson(stops, count)],
        "true_stops_real": real["true_stops"],
        "detect_us": real["detect_us"],
        "detect_us_median": real["detect_us_median"],
        "detect_us_p95": real["detect_us_p95"],
        "turns_timed": real["turns"],
        "naive": {name: scores[name] for name in ("same_call", "same_tool")},
        "published_f1": PUBLISHED_F1,
        "classes": classes,
        "real_fired": real["fired"],
        "runaways": [runaway(turns, length) for turns in (50, 100, 300) for length in (1, 3)],
        "blind": _blind(rows, labels["labels"]),
        "labelled_by": labels["labelled_by"],
    }


# -- the three sets ------------------------------------------------------------------------------


def _inserted(
    histories: list[Messages], *, each: int, seed: int
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, int]]]:
    classes: dict[str, dict[str, Any]] = {}
    totals: dict[str, dict[str, int]] = defaultdict(
        lambda: dict.fromkeys(("tp", "fp", "fn", "tn"), 0)
    )
    for name, (_, is_loop) in CLASSES.items():
        classes[name] = {"is_loop": is_loop, "cases": 0, "guard": 0, "same_call": 0, "same_tool": 0}
        classes[name]["stopped"] = 0
    for case in make_cases(histories, each=each, seed=seed):
        row = classes[case.kind]
        row["cases"] += 1
        told = [d for at, d in decisions(case.messages) if at > case.since]
        found = {
            "guard": any(d.finding is not None for d in told),
            "same_call": naive(case.messages, case.since, of=_call, times=3),
            "same_tool": naive(case.messages, case.since, of=_tool, times=5),
        }
        row["stopped"] += any(d.action == "stop" for d in told)
        for name, is_found in found.items():
            row[name] += is_found
            totals[name][_cell(is_found, case.is_loop)] += 1
    return classes, totals


def _real(rows: list[tuple[str, str, Messages]], reviewed: dict[str, str]) -> dict[str, Any]:
    result: dict[str, Any] = {"fired": [], "false_stops": 0, "true_stops": 0}
    for name in ("guard", "same_call", "same_tool"):
        result[name] = dict.fromkeys(("tp", "fp", "fn", "tn"), 0)
    times: list[float] = []
    for file, id_, messages in rows:
        is_futile = reviewed.get(id_) == "futile"
        told = [d for _, d in decisions(messages, times) if d.finding is not None]
        stopped = any(d.action == "stop" for d in told)
        result["false_stops"] += stopped and not is_futile
        result["true_stops"] += stopped and is_futile
        found = {
            "guard": bool(told),
            "same_call": naive(messages, 0, of=_call, times=3),
            "same_tool": naive(messages, 0, of=_tool, times=5),
        }
        for name, is_found in found.items():
            result[name][_cell(is_found, is_futile)] += 1
        if told:
            worst = max(told, key=lambda d: d.finding.percent if d.finding else 0)
            assert worst.finding is not None
            result["fired"].append(
                {
                    "file": file,
                    "id": id_,
                    "kind": worst.finding.kind,
                    "repeats": worst.finding.repeats,
                    "action": worst.action,
                    "label": reviewed.get(id_, "not reviewed"),
                }
            )
    result["turns"] = len(times)
    result["detect_us"] = round(statistics.fmean(times) * 1e6, 1)
    result["detect_us_median"] = round(statistics.median(times) * 1e6, 1)
    result["detect_us_p95"] = round(statistics.quantiles(times, n=20)[-1] * 1e6, 1)
    return result


def _blind(rows: list[tuple[str, str, Messages]], labels: list[dict[str, Any]]) -> dict[str, int]:
    """The windows labelled before: is anything told within the eight answers of the window?"""
    found = {"both": 0, "only_label": 0, "only_guard": 0, "neither": 0}
    histories = {id_: messages for _, id_, messages in rows}
    for label in labels:
        messages = histories[label["id"]][: label["message"] + 2]
        answers = [at for at, message in enumerate(messages) if message["role"] == "assistant"]
        since = answers[-8] if len(answers) >= 8 else 0
        is_told = any(d.finding is not None for at, d in decisions(messages) if at > since)
        is_futile = label["label"] == "futile"
        name = {
            (True, True): "both",
            (True, False): "only_label",
            (False, True): "only_guard",
            (False, False): "neither",
        }[is_futile, is_told]
        found[name] += 1
    return found


# -- runaways ------------------------------------------------------------------------------------


def runaway(turns: int, length: int, *, ladder: LoopLadder | None = None) -> dict[str, Any]:
    """An endless cycle as in the claims' row 17: 4,000 tokens, 500 more a call, 200 out, cached."""
    ladder = ladder or LoopLadder()
    writer = Writer([{"role": "user", "content": "begin"}], Random(length))
    for turn in range(turns):
        writer.turn("read_file", {"path": f"{turn % length}.py"}, f"text {turn % length} " * 40)
    paid = next(
        (
            (end - 1) // 2
            for end, d in decisions(writer.messages, ladder=ladder)
            if d.action == "stop"
        ),
        turns,
    )
    return {
        "turns": turns,
        "cycle": length,
        "paid_turns": paid,
        "bound_turns": ladder.most_turns(length, LoopPolicy()),
        "cost_usd": show_usd(_growing(turns), 4),
        "stopped_usd": show_usd(_growing(paid), 4),
    }


def _growing(calls: int) -> int:
    card = catalog().require("claude-sonnet-4-6", on=date(2026, 11, 20))
    usages = [Usage(cache_write_5m=4000, output=200)] + [
        Usage(cache_read=3500 + 500 * call, cache_write_5m=500, output=200)
        for call in range(1, calls)
    ]
    return sum(price(usage, card).total for usage in usages)


# -- detectors -----------------------------------------------------------------------------------


def decisions(
    messages: Messages, times: list[float] | None = None, *, ladder: LoopLadder | None = None
) -> list[tuple[int, LoopDecision]]:
    """What the guard says to each request of a conversation, and how long each next turn took."""
    body = json.dumps({"model": "m", "messages": messages}, ensure_ascii=False).encode()
    parsed = Request.parse(body).messages
    for message in parsed:
        for block in message.blocks:
            _ = block.kind  # an exchange has read it before it asks the guard
    guard, told = LoopGuard(ladder=ladder), []
    ends = [at for at, message in enumerate(messages) if message["role"] == "assistant"][1:]
    for end in [*ends, len(messages)]:
        history = parsed[:end]
        began = time.thread_time()  # neighbours on the machine are not our cost
        decision = guard.check(history)
        if times is not None:
            times.append(time.thread_time() - began)
        told.append((end, decision))
    return told


def naive(messages: Messages, since: int, *, of: Any, times: int) -> bool:
    """Is one call (or tool) seen so many times in a row?"""
    last, run = None, 0
    for message in messages[since:]:
        for block in message["content"] if isinstance(message["content"], list) else ():
            if block["type"] != "tool_use":
                continue
            seen = of(block)
            run = run + 1 if seen == last else 1
            last = seen
            if run >= times:
                return True
    return False


def _call(block: dict[str, Any]) -> str:
    return json.dumps([block["name"], block["input"]], sort_keys=True)


def _tool(block: dict[str, Any]) -> str:
    return str(block["name"])


# -- figures -------------------------------------------------------------------------------------


def _cell(is_found: bool, is_loop: bool) -> str:
    return {(True, True): "tp", (True, False): "fp", (False, True): "fn"}.get(
        (is_found, is_loop), "tn"
    )


def _score(counts: dict[str, int]) -> dict[str, float]:
    tp, fp, fn = counts["tp"], counts["fp"], counts["fn"]
    return {
        "precision": round(tp / max(1, tp + fp), 4),
        "recall": round(tp / max(1, tp + fn), 4),
        "f1": round(2 * tp / max(1, 2 * tp + fp + fn), 4),
    }


def clopper_pearson(hits: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """The exact interval of a share, by bisection of the binomial's tails."""
    outside = (1 - level) / 2
    low = 0.0 if hits == 0 else _solve(lambda p: 1 - _cdf(hits - 1, count, p), outside)
    high = 1.0 if hits == count else _solve(lambda p: 1 - _cdf(hits, count, p), 1 - outside)
    return low, high


def _solve(rising: Any, target: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < target else (low, middle)
    return (low + high) / 2


def _cdf(hits: int, count: int, share: float) -> float:
    term = total = (1 - share) ** count
    for k in range(1, hits + 1):
        term *= (count - k + 1) / k * share / (1 - share)
        total += term
    return total


def show(figures: dict[str, Any]) -> None:
    """As tables."""
    print(f"{'class':<14} {'is':<9} {'cases':>5} {'told':>5} {'stopped':>7} {'call×3':>6} tool×5")
    for name, row in figures["classes"].items():
        print(
            f"{name:<14} {'loop' if row['is_loop'] else 'no loop':<9} {row['cases']:>5} "
            f"{row['guard']:>5} {row['stopped']:>7} {row['same_call']:>6} {row['same_tool']:>6}"
        )
    print("\nfired in real conversations")
    for row in figures["real_fired"]:
        print(
            f"  {row['label']:<12} {row['action']:<9} {row['kind']:<12} ×{row['repeats']}",
            row["id"],
        )
    print("\nendless cycles, as in row 17 of the claims (sonnet-4-6)")
    for row in figures["runaways"]:
        print(
            f"  {row['turns']:>3} turns, cycle of {row['cycle']}: {row['cost_usd']}, stopped after "
            f"{row['paid_turns']} (bound {row['bound_turns']}): {row['stopped_usd']}"
        )
    print()
    for name, value in figures.items():
        if name not in {"classes", "real_fired", "runaways"}:
            print(f"{name:<24} {value}")


if __name__ == "__main__":
    raise SystemExit(main())
