"""Measures the token estimator against what the provider counted, on conversations it never saw.

    python benchmarks/estimator.py [--data DIR] [--json]

Growth of a call: its prompt minus the prompt of the call before it in the same conversation. The
shipped weights were fitted on four fifths of the sessions; every figure here is of the other fifth
(``is_held_out``). The online figures are prequential: each call is estimated before it is learned
from, conversations in order of time, nothing learned from the fitting part.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # also as a script

from benchmarks.required import DATA, require_data
from farthing.core.estimate import BlockMemo, Estimate, Tally, tally_blocks
from farthing.core.estimate_correction import Correction
from farthing.core.estimate_text import count_classes
from farthing.core.estimate_weights import WEIGHTS, Weights
from farthing.pricing import traits
from farthing.wire.blocks import Block
from farthing.wire.models import ModelTraits

FOLDS = 5
MAIN = "traces/claude-code-main.jsonl.gz"
#: the whole request is visible here: system, tools, no client that adds content
VISIBLE = "traces/tau2-bench.jsonl.gz"
VISIBLE_MODELS = ("claude-sonnet-4-5-20250929", "claude-opus-4-6")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call whose growth the provider's usage tells."""

    session: str
    model: str
    traits: ModelTraits
    #: all message blocks of the request before, and how many are new in this one
    blocks: tuple[Block, ...]
    blocks_before: int
    prompt_before: int
    growth: int

    @property
    def new_blocks(self) -> tuple[Block, ...]:
        return self.blocks[self.blocks_before :]

    @property
    def prompt(self) -> int:
        return self.prompt_before + self.growth

    def tally(self, memo: BlockMemo) -> Tally:
        """What the request weighs more than the one before it."""
        before = tally_blocks(self.blocks[: self.blocks_before], self.traits, memo)
        return tally_blocks(self.blocks, self.traits, memo) - before


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One call, estimated."""

    call: Call
    offline: Estimate
    online: Estimate


def read_rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path) as lines:
        rows = [json.loads(line) for line in lines]
    return sorted(rows, key=lambda row: (row.get("started_at") or "", row["id"]))


def prompt_of(turn: dict[str, Any]) -> int:
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    return sum(turn["usage"].get(name) or 0 for name in names)


def read_blocks(message: dict[str, Any], index: int) -> list[Block]:
    content = message["content"]
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    return [
        Block(
            f"messages.{index}.content.{position}",
            "messages",
            message["role"],
            msgspec.json.encode(part),
        )
        for position, part in enumerate(content)
    ]


def read_calls(path: Path, excluded: Counter[str]) -> Iterator[Call]:
    for row in read_rows(path):
        yield from _row_calls(row, excluded)


def _row_calls(row: dict[str, Any], excluded: Counter[str]) -> Iterator[Call]:
    """Calls with a call of the same model before them; ``excluded`` counts the others by reason."""
    turns = iter(row["turns"])
    blocks: list[Block] = []
    before: dict[str, Any] | None = None
    seen = 0
    for index, message in enumerate(row["messages"]):
        if message["role"] == "assistant":
            turn = next(turns)
            reason = _exclusion(before, turn)
            known = traits(turn["model"])
            if reason or before is None or known is None:
                excluded[reason] += 1
            else:
                yield Call(
                    session=row["id"].partition("#")[0],
                    model=turn["model"],
                    traits=known,
                    blocks=tuple(blocks),
                    blocks_before=seen,
                    prompt_before=prompt_of(before),
                    growth=prompt_of(turn) - prompt_of(before),
                )
            before, seen = turn, len(blocks)
        blocks += read_blocks(message, index)


def _exclusion(before: dict[str, Any] | None, turn: dict[str, Any]) -> str:
    if before is None:
        return "first call of a conversation"
    if not before["usage"] or not turn["usage"]:
        return "no usage"
    if before.get("replayed") or turn.get("replayed"):
        return "replayed"
    if before["model"] != turn["model"]:
        return "model changed"
    return "" if prompt_of(turn) > prompt_of(before) else "prompt did not grow"


def fold_of(session: str) -> int:
    return int(sha256(session.encode()).hexdigest()[:8], 16) % FOLDS


def is_held_out(session: str) -> bool:
    return fold_of(session) == 0


def evaluate(calls: Sequence[Call], weights: Weights) -> list[Outcome]:
    """Estimate the calls in the order given, learning online from each."""
    memo = BlockMemo(1 << 18, weights={"old": weights, "new": WEIGHTS["new"]})
    fresh = Correction.initial(weights)
    learned: dict[str, Correction] = {}
    outcomes = []
    for call in calls:
        tally = call.tally(memo)
        correction = learned.get(call.model, fresh)
        outcomes.append(
            Outcome(
                call=call,
                offline=fresh.estimate(tally, call.prompt_before),
                online=correction.estimate(tally, call.prompt_before),
            )
        )
        learned[call.model] = correction.learned(tally, call.growth)
    return outcomes


def figures(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """All ratios; ``bias`` weighs tokens (sum of estimates over sum of counts, minus one)."""
    growth = sum(o.call.growth for o in outcomes)
    offline_misses = [o.offline.point - o.call.prompt for o in outcomes]
    online_misses = [o.online.point - o.call.prompt for o in outcomes]
    offline = [miss / o.call.growth for miss, o in zip(offline_misses, outcomes, strict=True)]
    online = [miss / o.call.growth for miss, o in zip(online_misses, outcomes, strict=True)]
    bias_offline, bias = sum(offline_misses) / growth, sum(online_misses) / growth
    return {
        "calls": len(outcomes),
        "median_error_offline": median(map(abs, offline)),
        "median_error_online": median(map(abs, online)),
        "bias_offline": bias_offline,
        "abs_bias_offline": abs(bias_offline),
        "bias": bias,
        "abs_bias": abs(bias),
        "median_bias_offline": median(offline),
        "abs_median_bias_offline": abs(median(offline)),
        "median_bias": median(online),
        "abs_median_bias": abs(median(online)),
        "total_error_offline": median(abs(o.offline.point / o.call.prompt - 1) for o in outcomes),
        "total_error": median(abs(o.online.point / o.call.prompt - 1) for o in outcomes),
        "coverage_95_offline": _share(o.call.prompt <= o.offline.q95 for o in outcomes),
        "coverage_95": _share(o.call.prompt <= o.online.q95 for o in outcomes),
        "growth_beyond_bytes": _share(o.call.prompt > o.online.bound for o in outcomes),
    }


def _share(flags: Iterator[bool]) -> float:
    values = list(flags)
    return sum(values) / len(values)


def measure_visible(path: Path) -> dict[str, float]:
    """Whole prompts, nothing known before and nothing hidden: error, coverage, byte bound."""
    memo = BlockMemo()
    correction = Correction.initial(WEIGHTS["old"])
    errors, covered, violations = [], [], 0
    for row in read_rows(path):
        if row["model"] in VISIBLE_MODELS:
            for tally, prompt in _visible_prompts(row, memo):
                estimate = correction.estimate(tally)
                errors.append((estimate.point - prompt) / prompt)
                covered.append(prompt <= estimate.q95)
                violations += prompt > estimate.bound
    return {
        "visible_calls": len(errors),
        "visible_prompt_error": median(map(abs, errors)),
        "visible_prompt_bias": median(errors),
        "abs_visible_prompt_bias": abs(median(errors)),
        "visible_coverage_95": _share(iter(covered)),
        "byte_bound_violations": violations,
    }


def _visible_prompts(row: dict[str, Any], memo: BlockMemo) -> Iterator[tuple[Tally, int]]:
    known = traits(row["model"])
    assert known is not None
    head = _head(row)
    hidden = Tally((0.0,) * 4 + (float(known.tool_prompt_tokens[0]),), 1024)
    turns = iter(row["turns"])
    for index, message in enumerate(row["messages"]):
        if message["role"] == "assistant":
            turn = next(turns)
            if turn["usage"]:
                yield tally_blocks(head, known, memo) + hidden, prompt_of(turn)
        head += read_blocks(message, index)


def _head(row: dict[str, Any]) -> list[Block]:
    tools = [
        Block(f"tools.{at}", "tools", None, msgspec.json.encode(tool))
        for at, tool in enumerate(row["tools"])
    ]
    return [*tools, Block("system", "system", None, msgspec.json.encode(row["system"]))]


def milliseconds_per_100_kb(calls: Sequence[Call]) -> float:
    """Counting one typical text of 100 KB, the best of five."""
    text = b"\n".join(b.raw for call in calls[:400] for b in call.new_blocks)[:100_000]
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        count_classes(text)
        best = min(best, time.perf_counter() - start)
    return best * 1e3 * 100_000 / max(1, len(text))


def print_table(title: str, columns: dict[str, dict[str, float]]) -> None:
    print(f"\n{title}")
    print(f"{'':24}" + "".join(f"{name.removeprefix('claude-')[:16]:>18}" for name in columns))
    for row in next(iter(columns.values())):
        cells = (column[row] for column in columns.values())
        shown = (f"{v:>18,.0f}" if row == "calls" else f"{v:>18.4f}" for v in cells)
        print(f"{row:24}" + "".join(shown))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    args = parser.parse_args()
    excluded = Counter[str]()
    main, visible = require_data(args.data / MAIN), require_data(args.data / VISIBLE)
    calls = list(read_calls(main, excluded))
    held_out = [call for call in calls if is_held_out(call.session)]
    outcomes = evaluate(held_out, WEIGHTS["old"])
    result: dict[str, Any] = figures(outcomes)
    models = sorted({call.model for call in held_out})
    per_model = {m: figures([o for o in outcomes if o.call.model == m]) for m in models}
    print(f"{len(calls):,} calls with a known growth; excluded:", dict(excluded))
    print_table("held-out fifth of the sessions", {"all": result, **per_model})
    result |= measure_visible(visible)
    result["milliseconds_per_100_kb"] = milliseconds_per_100_kb(calls)
    print("\nwhole requests visible (tau2: sonnet 4.5, opus 4.6), and speed")
    for name in list(result)[-7:]:
        print(f"{name:28}{result[name]:10.4f}")
    if args.json:
        print(json.dumps({**result, "per_model": per_model, "excluded": dict(excluded)}))


if __name__ == "__main__":
    main()
