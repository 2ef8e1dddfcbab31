"""``farthing demo``: one generated scenario, uncached, cached by the provider, and by farthing."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from importlib.util import find_spec
from typing import Any, Final

from farthing.cli.arguments import load_catalog
from farthing.cli.progress import ProgressBar
from farthing.cli.table import bold, render_table
from farthing.lab.replay import Options, find_policy, replay
from farthing.lab.replay.run import Through
from farthing.lab.scenarios import SCENARIOS, generate
from farthing.reports.figures import tokens, usd
from farthing.reports.replay_text import COMPONENT_WORDS

__all__ = ["HELP", "add_arguments", "run"]

HELP: Final = "Send a generated scenario uncached, cached by the provider, by farthing: three bills"

_POLICIES: Final = ("no-cache", "auto-cache", "safe")
#: what the true way needs beside farthing: the SDK, and a server for the emulator
_NEEDED: Final = ("anthropic", "uvicorn")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    add = parser.add_argument
    add("--scenario", choices=tuple(SCENARIOS), default="coding-agent", help="default coding-agent")
    add(
        "--seed", type=int, default=7, metavar="N", help="another seed, another workload; default 7"
    )
    add("--through", choices=("emulator", "simulation"), default="emulator",
        help="the real SDK against the emulator (default), or the model of it")  # fmt: skip
    add("--json", action="store_true", help="print JSON; money as exact decimal strings")


def run(args: argparse.Namespace) -> int:
    """Send the scenario once per policy and print the bills."""
    through = _available(args.through)
    conversations = generate(args.scenario, seed=args.seed)
    policies = [find_policy(name) for name in _POLICIES]
    with ProgressBar(f"sending {args.scenario} by {through}") as bar:
        document = replay(
            conversations,
            policies,
            load_catalog(),
            options=Options(through=through),
            progress=bar.update,
        )
    if args.json:
        print(json.dumps(document))
    else:
        model = conversations[0].model or ""
        print("\n".join(_page(document, f"{args.scenario}, seed {args.seed}", model)))
    return 0


def _available(wanted: Through) -> Through:
    """The true way where its packages are installed, else the model, with a word why."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if wanted == "simulation" or not missing:
        return wanted
    print(
        f"{' and '.join(missing)} not installed, so this is simulated instead of sent; "
        "for the real SDK against the emulator: pip install 'farthing[lab]' anthropic\n",
        file=sys.stderr,
    )
    return "simulation"


def _page(document: dict[str, Any], name: str, model: str) -> Iterator[str]:
    bills = document["policies"]
    naive, automatic, ours = (Decimal(bill["cost_usd"]["total"]) for bill in bills)
    yield f"{name}: {document['calls']} calls in {document['conversations']} sessions on {model}\n"
    yield _table(bills)
    yield f"\nOf that the provider's automatic prompt cache leaves {automatic / naive:.1%}."
    yield from _lost(bills[1])
    yield f"farthing's own breakpoints and lifetimes (`safe`) leave {ours / naive:.1%}."
    yield _first_token(bills)
    if document["through"] == "emulator":
        differing = sum(bill["differing_calls"] for bill in bills)
        sent = sum(bill["calls"] for bill in bills)
        yield f"Sent by the real SDK over HTTP to an emulator of the Claude API: {sent:,} requests."
        yield f"Our own model of the prompt cache predicted {sent - differing:,} to the token."
    else:
        yield "Predicted by our model of the prompt cache; no request was sent."
    yield "The workload is generated. The second bill's discount is the provider's: any client"
    yield "gets it with `cache_control` at the top of its requests. Ours is the third's difference."


def _table(bills: list[dict[str, Any]]) -> str:
    rows = [
        [
            words,
            *(
                cell
                for bill in bills
                for cell in (tokens(bill["tokens"][part]), usd(bill["cost_usd"][part]))
            ),
        ]
        for part, words in COMPONENT_WORDS.items()
        if any(bill["tokens"][part] for bill in bills)
    ]
    totals = [
        cell
        for bill in bills
        for cell in (tokens(sum(bill["tokens"].values())), usd(bill["cost_usd"]["total"]))
    ]
    headers = ["tokens and dollars", *(cell for bill in bills for cell in ("", bill["policy"]))]
    body, _, last = render_table(headers, [*rows, ["total", *totals]], total=True).rpartition("\n")
    return f"{body}\n{bold(last, sys.stdout)}"


def _first_token(bills: list[dict[str, Any]]) -> str:
    seconds = (f"{bill['mean_first_token_seconds']:.2f}" for bill in bills)
    return f"Seconds to the first token, on average and modelled: {', '.join(seconds)}."


def _lost(bill: dict[str, Any]) -> Iterator[str]:
    """What pauses cost even so: the next lever's business."""
    for miss in bill["misses"]:
        if miss["cause"] == "expired" and miss["extra_usd"]:
            pauses = "a pause" if miss["calls"] == 1 else f"{miss['calls']} pauses"
            yield (
                f"{usd(miss['extra_usd'])} of it is for {pauses} longer than the cache lives: "
                "all was written again."
            )
