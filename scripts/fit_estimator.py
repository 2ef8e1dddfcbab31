"""Fits the estimator's weights on provider usage and writes ``core/estimate_fitted.py``.

    python -m scripts.fit_estimator [--data DIR]            # fit on four fifths, write
    python -m scripts.fit_estimator [--data DIR] --check    # change nothing; exit 1 if stale
    python -m scripts.fit_estimator [--data DIR] --folds    # five fits, each on four fifths

Non-negative least *absolute relative* errors: weighted least squares, weights updated twenty times,
so that calls with content the transcript hides do not bend the weights of the content it shows.
Standard library only: the normal equations have 18 unknowns.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import isclose
from pathlib import Path
from statistics import quantiles
from typing import NamedTuple

from benchmarks.estimator import (
    FOLDS,
    MAIN,
    Call,
    Outcome,
    evaluate,
    figures,
    fold_of,
    print_table,
    read_calls,
)
from benchmarks.required import DATA, require_data
from farthing.core.estimate_blocks import read_features
from farthing.core.estimate_text import CLASSES
from farthing.core.estimate_weights import SIZE_STEPS, STRUCTURES, Weights, old_weights

TARGET = Path(__file__).resolve().parent.parent / "src/farthing/core/estimate_fitted.py"

#: too rare on coding traces to be fitted; ``estimate_weights`` assumes them
NOT_FITTED = {"two_byte", "three_byte", "four_byte", "system_text", "tool", "tool_result"}
NAMES = [name for name in (*CLASSES, *STRUCTURES) if name not in NOT_FITTED]

NUMBER = re.compile(r"\d+\.\d+")

ROUNDS = 20
SWEEPS = 100
#: below this relative error a call counts as explained
EXPLAINED = 0.02
#: margins start from this quantile; of the calls of a size
COVERED = 0.95

Row = tuple[list[float], float]


def design_row(call: Call, cached: dict[bytes, dict[str, float]]) -> Row:
    """How often each fitted thing occurs in the new content of a call, and its growth."""
    sums = Counter[str]()
    for block in call.new_blocks:
        key = block.digest + (block.role or "").encode()
        if key not in cached:
            features = read_features(block, call.traits)
            cached[key] = dict(zip(CLASSES, map(float, features.counts), strict=True))
            cached[key].update({name: float(times) for name, times in features.structures})
        sums.update(cached[key])
    return [float(sums[name]) for name in NAMES], float(call.growth)


def is_fitted_on(call: Call) -> bool:
    """Not where the provider drops earlier thinking: its growth is not the new content's."""
    return call.traits.keeps_all_thinking or not any(
        block.role == "user" and block.kind != "tool_result" for block in call.new_blocks
    )


def fit(rows: Sequence[Row]) -> dict[str, float]:
    solution = [0.1] * len(NAMES)
    weights = [1.0 / growth for _, growth in rows]
    for _ in range(ROUNDS):
        solution = _solve(rows, weights, solution)
        for index, (counts, growth) in enumerate(rows):
            estimate = sum(map(float.__mul__, counts, solution))
            weights[index] = 1 / growth / max(abs(estimate / growth - 1), EXPLAINED) ** 0.5
    return dict(zip(NAMES, solution, strict=True))


def _solve(rows: Sequence[Row], weights: Sequence[float], start: list[float]) -> list[float]:
    """Non-negative weighted least squares by coordinate descent on the normal equations."""
    size = len(NAMES)
    gram = [[0.0] * size for _ in range(size)]
    target = [0.0] * size
    for (counts, growth), weight in zip(rows, weights, strict=True):
        used = [(index, count * weight) for index, count in enumerate(counts) if count]
        for index, value in used:
            target[index] += value * growth * weight
            line = gram[index]
            for other, other_value in used:
                line[other] += value * other_value
    solution = list(start)
    for _ in range(SWEEPS):
        for index, line in enumerate(gram):
            if line[index]:
                rest = target[index] - sum(map(float.__mul__, line, solution))
                solution[index] = max(0.0, solution[index] + rest / line[index])
    return solution


class Fitted(NamedTuple):
    """What a fit found, as numbers by name and as weights."""

    values: dict[str, float]
    weights: Weights


def fit_weights(calls: Sequence[Call]) -> Fitted:
    """Weights, then margins from the online errors that these weights leave on the same calls."""
    cached: dict[bytes, dict[str, float]] = {}
    fitted = fit([design_row(call, cached) for call in calls if is_fitted_on(call)])
    flat = (0.3,) * (len(SIZE_STEPS) + 1)
    draft = old_weights(fitted, fitted, opaque_byte=_thinking_density(calls, fitted), margins=flat)
    margins = _margins(evaluate(calls, draft))
    weights = old_weights(fitted, fitted, opaque_byte=draft.opaque_byte, margins=margins)
    return Fitted(fitted, weights)


def _thinking_density(calls: Sequence[Call], fitted: dict[str, float]) -> float:
    """Tokens per byte of visible thinking: the best guess for thinking that is not shown."""
    weights = [fitted.get(name, 0.0) for name in CLASSES]
    tokens = size = 0.0
    for call in calls:
        for block in call.new_blocks:
            if block.kind == "thinking":
                counts = read_features(block, call.traits).counts
                tokens += sum(w * count for w, count in zip(weights, counts, strict=True))
                size += len((block.string("thinking") or "").encode())
    return tokens / size


def _margins(outcomes: Sequence[Outcome]) -> tuple[float, ...]:
    edges = (float("-inf"), *SIZE_STEPS, float("inf"))
    pairs = [(o.online.point - o.call.prompt_before, o.call.growth) for o in outcomes]
    return tuple(
        quantiles(
            [growth / estimate - 1 for estimate, growth in pairs if low < estimate <= high],
            n=100,
        )[round(COVERED * 100) - 1]
        for low, high in pairwise(edges)
    )


def module_text(fitted: Fitted, sessions: int, calls: int) -> str:
    tables: dict[str, dict[str, float]] = {
        "CLASSES": {name: fitted.values[name] for name in CLASSES if name not in NOT_FITTED},
        "STRUCTURES": {name: fitted.values[name] for name in STRUCTURES if name not in NOT_FITTED},
    }
    lines = [
        '"""Weights of the old tokenizer. Fitted by `scripts/fit_estimator.py`; do not edit.',
        "",
        f"Fitted on {calls:,} calls of {sessions} sessions of the claude-code-main traces (opus",
        "4.5 and 4.6, sonnet 4.5); the sessions kept out are those that the benchmark judges by.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "from typing import Final",
        "",
        '__all__ = ["CLASSES", "MARGINS", "OPAQUE_BYTE", "STRUCTURES"]',
        "",
    ]
    for table, values in tables.items():
        lines += [f"{table}: Final = {{"]
        lines += [f'    "{name}": {value:.4f},' for name, value in values.items()]
        lines += ["}", ""]
    margins = ", ".join(f"{margin:.3f}" for margin in fitted.weights.margins)
    lines += [f"OPAQUE_BYTE: Final = {fitted.weights.opaque_byte:.4f}", ""]
    lines += [f"MARGINS: Final = ({margins})", ""]
    return "\n".join(lines)


def judge_folds(calls: Sequence[Call]) -> dict[str, dict[str, float]]:
    """Each fifth judged with weights fitted on the other four; then all, by model."""
    outcomes: list[Outcome] = []
    columns: dict[str, dict[str, float]] = {}
    for fold in range(FOLDS):
        weights = fit_weights([c for c in calls if fold_of(c.session) != fold]).weights
        judged = evaluate([c for c in calls if fold_of(c.session) == fold], weights)
        columns[f"fold {fold}"] = figures(judged)
        outcomes += judged
    columns["all folds"] = figures(outcomes)
    print_table("each fifth of the sessions, weights fitted on the others", columns)
    models = sorted({call.model for call in calls})
    by_model = {m: figures([o for o in outcomes if o.call.model == m]) for m in models}
    print_table("all folds by model", by_model)
    return columns | by_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--check", action="store_true", help="exit 1 if the module is stale")
    parser.add_argument("--folds", action="store_true", help="cross-validate, write nothing")
    parser.add_argument("--json", action="store_true", help="the folds as JSON, last line")
    args = parser.parse_args()
    if args.check and not (args.data / MAIN).is_file():
        print(f"cannot check {TARGET.name}: no traces in {args.data}; pass --data DIR")
        return
    calls = list(read_calls(require_data(args.data / MAIN), Counter()))
    if args.folds:
        judged = judge_folds(calls)
        if args.json:
            print(json.dumps(judged))
        return
    fitted_on = [call for call in calls if fold_of(call.session) != 0]
    sessions = len({call.session for call in fitted_on})
    text = module_text(fit_weights(fitted_on), sessions, len(fitted_on))
    if args.check:
        sys.exit(not is_same(text, TARGET.read_text("utf-8")))
    TARGET.write_text(text, "utf-8")
    print(f"wrote {TARGET.name}: {len(fitted_on):,} calls of {sessions} sessions")


def is_same(text: str, other: str) -> bool:
    """Equal but for the last digits, which depend on how a version of Python adds floats."""
    if NUMBER.sub("", text) != NUMBER.sub("", other):
        return False
    pairs = zip(NUMBER.findall(text), NUMBER.findall(other), strict=True)
    return all(isclose(float(a), float(b), rel_tol=0.01, abs_tol=0.002) for a, b in pairs)


if __name__ == "__main__":
    main()
